"""Tests of the metrics of a clip, their means, and of the baselines."""

import numpy as np
import tensorflow as tf

from avssl_tf.evaluation.sound_fields import sound_field_baselines as baselines
from avssl_tf.evaluation.sound_fields import sound_field_metrics, sound_field_scores
from tests import test_base

_RATE_HZ = 8000


class ScoresTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    pressure = self.rng.normal(0, 0.1, [4000, 1])
    self.field = pressure * [1.0, 0.48, 0.6, 0.64]
    self.tracks = np.zeros([5, 2, 3])
    self.tracks[:, 0] = [0.64, 0.48, 0.6]

  def clip(self, prior=(0.0, 0.0, 0.0)):
    return baselines.Clip(self.field, self.tracks, _RATE_HZ, np.array(prior))

  def measure(self, prediction, **kwargs):
    return sound_field_scores.measure(self.field, prediction, self.tracks, _RATE_HZ, **kwargs)

  def test_the_truth_is_perfect(self):
    found = self.measure(self.field)
    self.assertLess(found["error_ratio"], 1e-9)
    self.assertEqual((found["num_sources"], found["moving"], found["within_20"]), (1, 0, 1))
    for name in ("strongest_deg", "loudest_deg", "stft_distance", "emd_dir2_distance"):
      self.assertLess(found[name], 1e-4, name)
    self.assertAllClose(found["map_correlation"], 1.0)
    quick = self.measure(self.field, published=False)
    self.assertNotIn("stft_distance", quick)
    self.assertAllClose(quick, {name: found[name] for name in quick})

  def test_baselines(self):
    silence = self.measure(baselines.Silence()(self.clip()))
    self.assertAllClose(silence["error_ratio"], 1.0)
    self.assertAllClose(silence["strongest_deg"], 90.0)
    self.assertEqual(silence["within_20"], 0)
    copied = self.measure(baselines.MonoCopied()(self.clip()))
    # (1, 1, 1) against (0.48, 0.6, 0.64), whose length is 1.
    self.assertAllClose(copied["error_ratio"], 0.56, rtol=1e-5)
    prior = self.measure(baselines.SpatialPrior()(self.clip(prior=(0.24, 0.3, 0.32))))
    self.assertAllClose(prior["error_ratio"], 0.25, rtol=1e-5)
    self.assertLess(prior["strongest_deg"], 1e-3)
    for oracle in (baselines.OracleVector(), baselines.OracleDirections()):
      self.assertLess(self.measure(oracle(self.clip()))["error_ratio"], 1e-6)
    self.tracks[:] = 0
    self.assertIsNone(baselines.OracleDirections()(self.clip()))
    unknown = self.measure(self.field)
    self.assertNotIn("strongest_deg", unknown)
    self.assertNotIn("num_sources", unknown)

  def test_mean_weights(self):
    total = baselines.moments(self.field) + baselines.moments(self.field * [1.0, -1.0, -1.0, 1.0])
    self.assertAllClose(baselines.mean_weights(total), [0.0, 0.0, 0.64])
    self.assertAllEqual(baselines.mean_weights(np.zeros(4)), np.zeros(3))

  def test_channels_that_are_not_known_are_not_compared(self):
    wrong = self.field * [1.0, 1.0, -5.0, 1.0]
    channels = np.array([True, True, False, True])
    found = self.measure(wrong, channels=channels)
    self.assertLess(found["error_ratio"], 1e-9)
    self.assertLess(found["loudest_deg"], 1e-3)
    self.assertGreater(self.measure(wrong)["error_ratio"], 1.0)
    self.assertEqual(self.measure(self.field, channels=np.array([True] + 3 * [False])), {})

  def test_means_of_groups(self):
    rows = [
      {"error_ratio": 0.01, "strongest_deg": 2.0, "num_sources": 1.0, "moving": 0.0},
      {"error_ratio": 0.03, "strongest_deg": 4.0, "num_sources": 1.0, "moving": 1.0},
      {"error_ratio": 0.5, "strongest_deg": 30.0, "num_sources": 2.0, "moving": 1.0},
      {"error_ratio": 1.0},
      {},
    ]
    found = sound_field_scores.summarize(rows)
    expected = {
      "one_error_db": 10 * np.log10(0.02), "several_error_db": 10 * np.log10(0.5),
      "moving_error_db": 10 * np.log10(0.265), "all_error_db": 10 * np.log10(0.385),
      "one_strongest_deg": 3.0, "moving_strongest_deg": 17.0, "several_strongest_deg": 30.0,
      "all_strongest_deg": 12.0,
      "num_unmeasured": 1, "num_all": 4, "num_one": 2, "num_several": 1, "num_moving": 2,
    }  # fmt: skip
    self.assertAllClose(found, expected)

  def test_error_is_that_of_the_metrics(self):
    other = self.field + self.rng.normal(0, 0.02, self.field.shape)
    expected = sound_field_metrics.relative_error_db(self.field[:, 1:], other[:, 1:], 8000)
    self.assertAllClose(10 * np.log10(self.measure(other)["error_ratio"]), expected)


if __name__ == "__main__":
  tf.test.main()
