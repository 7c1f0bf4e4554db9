"""Tests of the baselines of sound source localisation."""

import numpy as np
from absl.testing import absltest

from avssl_tf.evaluation.localization import localization_baselines as baselines
from avssl_tf.evaluation.localization import localization_metrics as lm
from avssl_tf.evaluation.localization.box_annotations import BoxTruth


def _maps(truth, map_size=(8, 8), seed=0):
  return baselines.maps(truth, map_size, np.random.default_rng(seed))


class BaselinesTest(absltest.TestCase):
  def test_all_of_the_size_of_the_truth(self):
    maps = _maps(np.zeros([20, 30], np.float32))
    self.assertEqual(tuple(maps), baselines.NAMES)
    for values in maps.values():
      self.assertEqual((values.shape, values.dtype), ((20, 30), np.float32))

  def test_all_ones_are_positive_everywhere(self):
    self.assertTrue(lm.positives(_maps(np.zeros([8, 8], np.float32))["all ones"], 0.2).all())

  def test_the_centre_is_a_disc_in_the_middle(self):
    positive = lm.positives(_maps(np.zeros([64, 64], np.float32))["centre"], 0.2)
    y, x = np.nonzero(positive)
    self.assertAlmostEqual(positive.mean(), 0.2, delta=0.01)
    self.assertAlmostEqual(y.mean(), 31.5)
    radius = np.hypot(y - 31.5, x - 31.5).max()
    self.assertAlmostEqual(radius, np.sqrt(0.2 * 64**2 / np.pi), delta=1)

  def test_random_maps_are_as_coarse_as_the_network_and_differ(self):
    truth = np.zeros([64, 64], np.float32)
    first, again, other = (_maps(truth, (2, 2), seed)["random"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    self.assertGreater(np.abs(first - other).max(), 0.01)
    np.testing.assert_allclose(
      lm.enlarge(np.float32([[first[0, 0], first[0, -1]], [first[-1, 0], first[-1, -1]]]), 64, 64),
      first,
      atol=1e-5,
    )

  def test_the_oracle_finds_what_its_map_is_fine_enough_for(self):
    truth = BoxTruth(np.float32([[0.25, 0.5, 0.75, 1.0]])).map(64, 64)
    fine, coarse = (
      lm.consensus_iou(lm.positives(_maps(truth, size)["oracle"], truth.mean()), truth)
      for size in ((16, 16), (2, 2))
    )
    self.assertGreater(fine, 0.9)
    self.assertBetween(coarse, 0.3, 0.8)

  def test_a_share_larger_than_the_source_takes_what_is_nearest_to_it(self):
    truth = BoxTruth(np.float32([[0.0, 0.0, 0.25, 0.25]])).map(64, 64)
    positive = lm.positives(_maps(truth)["oracle"], 0.5)
    self.assertAlmostEqual(positive.mean(), 0.5, delta=0.01)
    self.assertTrue(positive[truth > 0].all())
    self.assertFalse(positive[-16:, -16:].any())

  def test_the_oracle_is_sure_of_sources_alone(self):
    there = BoxTruth(np.float32([[0.0, 0.0, 0.5, 0.5]])).map(64, 64)
    self.assertGreater(lm.confidence(_maps(there)["oracle"]), 0.5)
    self.assertEqual(lm.confidence(_maps(np.zeros([64, 64], np.float32))["oracle"]), 0.0)


if __name__ == "__main__":
  absltest.main()
