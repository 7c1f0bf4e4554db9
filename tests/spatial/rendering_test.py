"""Tests of stereo and binaural sound."""

import math

import numpy as np
import tensorflow as tf

from avssl_tf.spatial import ambisonics, rendering
from tests import test_base

RATE_HZ = 48000


def _click_from(azimuth, order=1):
  """An impulse at sample 100 of 600: `[600, channels]`."""
  source = tf.constant(np.eye(1, 600, 100).T, tf.float32)
  return ambisonics.encode(source, tf.constant([azimuth]), tf.constant([0.0]), order)


class RenderingTest(test_base.TestCase):

  def test_stereo_cardioids(self):
    left = rendering.to_stereo(_click_from(math.pi / 2))
    self.assertAllClose(left[100], [1.0, 0.0], atol=1e-6)
    self.assertAllClose(rendering.to_stereo(_click_from(0.0))[100], [0.5, 0.5], atol=1e-6)
    # W + Y and W - Y, but for the level.
    field = tf.constant(self.rng.normal(size=[50, 4]), tf.float32)
    expected = tf.stack([field[:, 0] + field[:, 1], field[:, 0] - field[:, 1]], axis=-1) / 2
    self.assertAllClose(rendering.to_stereo(field), expected, atol=1e-6)

  def test_the_sphere_at_low_and_high_frequencies(self):
    """Woodworth's and Rayleigh's limits (Duda and Martens, 1998, section II)."""
    cosines = np.array([1.0, 0.0, -1.0])
    low, high = rendering.sphere_responses(cosines, np.array([50.0, 16000.0])).T
    self.assertAllClose(np.abs(low), np.ones(3), atol=2e-2)
    # Around a small sphere, the signal is early and late by 3 a / 2 c.
    delays_ms = np.angle(low) / (2 * np.pi * 50) * 1e3
    self.assertAllClose(delays_ms, [0.3827, 0.0, -0.3827], atol=3e-3)
    # A large one doubles the pressure in front of it.
    self.assertAllClose(np.abs(high)[0], 2.0, atol=0.05)
    self.assertAllEqual(rendering.sphere_responses(cosines, np.zeros(1)), np.ones([3, 1]))

  def test_binaural_levels_and_delays(self):
    for order in (1, 2, 3):
      left, right = rendering.to_binaural(_click_from(math.pi / 2, order), RATE_HZ).numpy().T
      # The level at the near ear is higher by at least 5 dB.
      self.assertGreater(np.sum(left**2), 3.0 * np.sum(right**2))
      spectra = np.fft.rfft([left, right])
      frequencies_hz = np.fft.rfftfreq(len(left), 1 / RATE_HZ)
      low = (frequencies_hz > 150) & (frequencies_hz < 450)
      phase = np.angle(spectra[0] * np.conj(spectra[1]))[low]
      delays_ms = phase / (2 * np.pi * frequencies_hz[low]) * 1e3
      self.assertAllClose(delays_ms, np.full(len(delays_ms), 0.76), atol=0.1)

  def test_the_front_sounds_alike_in_both_ears(self):
    ears = rendering.to_binaural(_click_from(0.0), RATE_HZ)
    self.assert_shape(ears, [600, 2], tf.float32)
    self.assertAllClose(ears[:, 0], ears[:, 1], atol=1e-5)
    # In time with the field.
    self.assertLess(abs(int(np.argmax(np.abs(ears[:, 0]))) - 100), 20)

  def test_batches(self):
    field = tf.stack([_click_from(0.5), _click_from(-0.5)])
    ears = rendering.to_binaural(field, RATE_HZ)
    self.assertAllClose(ears[0], ears[1][:, ::-1], atol=1e-5)
    self.assertAllClose(ears[0], rendering.to_binaural(field[0], RATE_HZ), atol=1e-5)


if __name__ == "__main__":
  tf.test.main()
