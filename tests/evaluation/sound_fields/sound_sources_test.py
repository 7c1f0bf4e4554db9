"""Tests of the directions of the sources of a sound field."""

import numpy as np
import tensorflow as tf

from avssl_tf.evaluation.sound_fields import sound_sources
from avssl_tf.spatial import ambisonics
from tests import test_base

_RATE_HZ = 8000
_TIME_SEC = np.arange(_RATE_HZ // 2) / _RATE_HZ


def _tone(frequency_hz, level=1.0):
  return 0.1 * level * np.sin(2 * np.pi * frequency_hz * _TIME_SEC)


def _field(*sources):
  """Field of signals and their directions: azimuth and elevation in degrees, or functions."""
  total = 0.0
  for signal, azimuth_deg, elevation_deg in sources:
    vector = _vector(np.broadcast_to(azimuth_deg, signal.shape), elevation_deg)
    weights = np.concatenate([np.ones([len(signal), 1]), vector[:, [1, 2, 0]]], axis=1)
    total = total + signal[:, np.newaxis] * weights
  return total


def _vector(azimuth_deg, elevation_deg):
  azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg) + 0 * azimuth_deg
  across = np.cos(elevation)
  return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)], axis=-1)


def _tracks(*directions, steps=25, rows=4):
  tracks = np.zeros([steps, rows, 3])
  for row, (azimuth_deg, elevation_deg) in enumerate(directions):
    tracks[:, row] = _vector(np.broadcast_to(azimuth_deg, [steps]), elevation_deg)
  return tracks


class CompareTest(test_base.TestCase):

  def test_angles_of_each_source_the_loudest_first(self):
    places = ((30.0, 10.0), (-100.0, -20.0))
    field = _field((_tone(400, 0.5), *places[0]), (_tone(1500), *places[1]))
    other = _field((_tone(400, 0.5), 30.0, 35.0), (_tone(1500), -110.0, -20.0))
    tracks = _tracks(*places)
    found = sound_sources.compare(field, other, tracks, _RATE_HZ)
    # At an elevation, ten degrees of azimuth are a smaller angle on the sphere.
    expected = np.degrees(np.arccos(_vector(-100.0, -20.0) @ _vector(-110.0, -20.0)))
    self.assertAllClose(found.angles_deg, [expected, 25.0], atol=0.3)
    self.assertAllEqual(found.moving, [False, False])
    same = sound_sources.compare(field, field, tracks, _RATE_HZ)
    self.assertAllClose(same.angles_deg, [0.0, 0.0], atol=1e-4)

  def test_silence_tells_no_direction(self):
    field = _field((_tone(400), 30.0, 0.0))
    silent = field * [1.0, 0.0, 0.0, 0.0]
    found = sound_sources.compare(field, silent, _tracks((30.0, 0.0)), _RATE_HZ)
    self.assertAllClose(found.angles_deg, [90.0])

  def test_what_is_not_heard_does_not_count(self):
    places = ((30.0, 0.0), (180.0, 0.0), (-60.0, 0.0))
    field = _field((_tone(400), *places[0]), (_tone(1500, 0.05), *places[1]))
    found = sound_sources.compare(field, field, _tracks(*places), _RATE_HZ)
    self.assertLen(found.angles_deg, 1)
    self.assertEmpty(sound_sources.compare(field, field, _tracks(), _RATE_HZ).angles_deg)
    silent = np.zeros_like(field)
    self.assertEmpty(sound_sources.compare(silent, silent, _tracks(*places), _RATE_HZ).angles_deg)

  def test_sources_that_move(self):
    course = np.linspace(-30.0, 30.0, len(_TIME_SEC))
    field = _field((_tone(700), course, 0.0))
    steps = np.linspace(-30.0, 30.0, 26)
    tracks = _tracks(((steps[1:] + steps[:-1]) / 2, 0.0))
    found = sound_sources.compare(field, field, tracks, _RATE_HZ)
    self.assertAllEqual(found.moving, [True])
    self.assertAllClose(found.angles_deg, [0.0], atol=1e-4)
    # From the centre of the trajectory, the mean deviation is 15 degrees.
    still = sound_sources.compare(field, _field((_tone(700), 0.0, 0.0)), tracks, _RATE_HZ)
    self.assertBetween(still.angles_deg[0], 13.0, 17.0)


class PlaceTest(test_base.TestCase):

  def test_each_frequency_where_its_source_is(self):
    places = ((30.0, 10.0), (-100.0, -20.0))
    field = _field((_tone(400), *places[0]), (_tone(1500), *places[1]))
    placed = sound_sources.place(field, _tracks(*places), _RATE_HZ)
    self.assert_shape(tf.constant(placed), [4000, 4], tf.float64)
    error = np.mean((placed - field) ** 2) / np.mean(field**2)
    self.assertLess(error, 1e-3)
    self.assertAllEqual(placed[:, 0], field[:, 0])

  def test_noise_from_everywhere_is_put_nowhere(self):
    noise = self.rng.normal(0, 0.1, [4000, 4])
    placed = sound_sources.place(noise, _tracks((0.0, 0.0)), _RATE_HZ)
    self.assertLess(np.mean(placed[:, 1:] ** 2), 0.25 * np.mean(noise[:, 0] ** 2))
    vector = tf.constant([0.5]), tf.constant([0.1])
    one = ambisonics.encode(tf.constant(noise[:, :1]), *[tf.cast(v, tf.float64) for v in vector])
    tracks = _tracks((np.degrees(0.5), np.degrees(0.1)))
    self.assertAllClose(sound_sources.place(one.numpy(), tracks, _RATE_HZ), one, atol=1e-5)


if __name__ == "__main__":
  tf.test.main()
