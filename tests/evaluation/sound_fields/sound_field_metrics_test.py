"""Tests of the metrics of sound fields: golden numbers, closed forms, and silence."""

import os

import numpy as np
import tensorflow as tf

from avssl_tf.evaluation.sound_fields import sound_field_metrics as metrics
from avssl_tf.spatial import ambisonics
from tests import source_tree, test_base

_RATE_HZ = 48000


def _source(azimuth_deg, elevation_deg, signal):
  """A plane wave, float32 `[samples, 4]`."""
  angles = np.float32(np.deg2rad([[azimuth_deg], [elevation_deg]]))
  return ambisonics.encode(tf.constant(signal[:, np.newaxis], tf.float32), *angles).numpy()


class SoundFieldMetricsTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    path = os.path.join(str(source_tree.ROOT), "tests", "testdata", "spatial_audio_metrics.npz")
    with np.load(path) as golden:
      cls.golden = dict(golden)

  def noise(self, seconds=0.1):
    return self.rng.normal(0, 0.2, int(seconds * _RATE_HZ)).astype(np.float32)

  def test_golden_numbers(self):
    golden = self.golden
    for i, (target, prediction) in enumerate(zip(golden["target"], golden["prediction"])):
      distance = metrics.stft_distance(target, prediction, _RATE_HZ)
      self.assertAllClose(distance[1:], golden["stft_distance_per_sample_channel"][i], rtol=1e-5)
      error = metrics.mean_squared_error(target, prediction)
      self.assertAllClose(error[1:], golden["mse_per_sample_channel"][i], rtol=1e-5)
      envelope = metrics.envelope_distance(target, prediction)
      self.assertAllClose(envelope[1:], golden["envelope_distance"][i], rtol=1e-5)
      expected = [golden["emd_dir"][i], golden["emd_dir2"][i]]
      found = metrics.earth_movers_distances(target, prediction, _RATE_HZ)
      self.assertAllClose(found, expected, rtol=1e-6)
      found = metrics.energy_map(target, 30.0)
      self.assertAllClose(found, golden["energy_map_target"][i], atol=1e-9)

  def test_stft_distance_equals_slow_oracle(self):
    target, prediction = self.rng.normal(size=[2, 150, 1])
    total, count = 0.0, 0
    # 0.025 s at 1 kHz: 25 samples, rounded up to 32.
    for start in range(0, 150 - 32 + 1, 16):
      window = [0.5 - 0.5 * np.cos(2 * np.pi * n / 32) for n in range(32)]
      for f in range(32):
        value = sum(
          window[n]
          * (target[start + n, 0] - prediction[start + n, 0])
          * np.exp(-2j * np.pi * f * n / 32)
          for n in range(32)
        )
        total, count = total + abs(value) ** 2, count + 1
    self.assertAllClose(metrics.stft_distance(target, prediction, 1000), [total / count])

  def test_relative_error(self):
    field = _source(40, 10, self.noise())
    silence = np.zeros_like(field)
    self.assertAllClose(metrics.relative_error_db(field, silence, _RATE_HZ), 0.0, atol=1e-6)
    # A tenth too loud: 1% of the energy.
    self.assertAllClose(metrics.relative_error_db(field, 1.1 * field, _RATE_HZ), -20.0, atol=1e-3)
    self.assertLess(metrics.relative_error_db(field, field, _RATE_HZ), -100.0)

  def test_signal_to_noise(self):
    target = np.full([10, 2], 1.0)
    found = metrics.signal_to_noise_db(target, target + [0.1, 0.0])
    self.assertAllClose(found, 10 * np.log10([10.1 / 0.2, 10.1 / 0.1]))

  def test_log_spectral_distance(self):
    target = self.rng.normal(0, 100, [4800, 1])
    # Ten times the amplitude is 10 dB everywhere, by the authors' definition.
    found = metrics.log_spectral_distance(target, 10 * target, _RATE_HZ)
    self.assertAllClose(found, [10.0], atol=0.05)
    self.assertAllEqual(metrics.log_spectral_distance(target, target, _RATE_HZ), [0.0])

  def test_earth_movers_distance_grows_with_the_angle(self):
    signal = self.noise(0.2)
    front = _source(0, 0, signal)
    # Rotated about its axis, a first-order map moves only in part.
    found = [
      metrics.earth_movers_distances(front, _source(turn, 0, signal), _RATE_HZ)[1]
      for turn in (0, 60, 120, 180)
    ]
    self.assertAllClose(found[0], 0.0, atol=1e-6)
    self.assertTrue(np.all(np.diff(found) > 0.05), found)
    silent, share = metrics.earth_movers_distances(np.zeros_like(front), front * 0, _RATE_HZ)
    self.assertEqual((silent, share), (0.0, 0.0))

  def test_surplus_costs_the_largest_distance(self):
    signal = self.noise()
    field = _source(0, 0, signal)
    mean_level = np.mean(metrics.energy_map(field, 30.0))
    found, _ = metrics.earth_movers_distances(field, 3.0 * field, _RATE_HZ)
    self.assertAllClose(found, 2.0 * mean_level * np.pi, rtol=1e-5)

  def test_strongest_direction_and_angles(self):
    for azimuth, elevation in ((0, 0), (120, 30), (-90, -60), (180, 0)):
      found = metrics.strongest_direction(_source(azimuth, elevation, self.noise()))
      a, e = np.deg2rad([azimuth, elevation])
      expected = [np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)]
      self.assertLess(metrics.angle_deg(found, np.array(expected)), 1.5)
    self.assertAllClose(metrics.angle_deg(np.array([1, 0, 0]), np.array([0, 0, 2])), 90.0)
    silent = metrics.strongest_direction(np.zeros([100, 4]))
    self.assertAllEqual(silent, np.zeros(3))
    self.assertAllClose(metrics.angle_deg(silent, np.array([1, 0, 0])), 90.0)

  def test_correlation_of_energy_maps(self):
    signal = self.noise()
    front, back = _source(0, 0, signal), _source(180, 0, signal)
    self.assertAllClose(metrics.energy_map_correlation(front, 2 * front), 1.0)
    self.assertAllClose(metrics.energy_map_correlation(front, back), -1.0, atol=1e-3)
    everywhere = np.stack([signal, *[np.zeros_like(signal)] * 3], axis=-1)
    self.assertEqual(metrics.energy_map_correlation(front, everywhere), 0.0)
    self.assertEqual(metrics.energy_map_correlation(front, 0 * front), 0.0)

  def test_fields_that_are_too_short(self):
    with self.assertRaisesRegex(ValueError, "has 100 samples; the metric needs 2048"):
      metrics.stft_distance(np.zeros([100, 4]), np.zeros([100, 4]), _RATE_HZ)
    with self.assertRaisesRegex(ValueError, "has 100 samples; the metric needs 4800, 0.1 s"):
      metrics.earth_movers_distances(np.zeros([100, 4]), np.zeros([100, 4]), _RATE_HZ)


if __name__ == "__main__":
  tf.test.main()
