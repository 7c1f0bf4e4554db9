"""Tests of the localisation metrics against slow implementations and known cases."""

import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.evaluation.localization import localization_metrics as lm


def _iou(positive, truth):
  """Pixel by pixel."""
  found = union = 0.0
  for p, g in zip(positive.ravel(), truth.ravel()):
    found += g if p else 0.0
    union += g
    union += 1.0 if p and g == 0.0 else 0.0
  return found / union


def _counts(ious, confidences, visible, threshold):
  """True positives, false positives and false negatives at a threshold, image by image."""
  true = false = missed = 0
  for iou, sure, there in zip(ious, confidences, visible):
    if sure >= threshold:
      if there and iou >= 0.5:
        true += 1
      else:
        false += 1
    elif there:
      missed += 1
  return true, false, missed


def _detection(ious, confidences, visible):
  """Max-F1 and LocAP, threshold by threshold."""
  f1, points = [], []
  for threshold in sorted(set(confidences), reverse=True):
    true, false, missed = _counts(ious, confidences, visible, threshold)
    precision = true / (true + false)
    recall = true / (true + missed) if true + missed else 1.0
    f1.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    points.append((recall, precision))
  area, last = 0.0, 0.0
  for number, (recall, _) in enumerate(points):
    area += (recall - last) * max(precision for _, precision in points[number:])
    last = recall
  return {"max_f1": max(f1), "loc_ap": area}


class MapsTest(parameterized.TestCase):
  @parameterized.parameters(0.1, 0.25, 0.5, 1.0)
  def test_a_share_of_the_pixels_is_positive(self, share):
    values = np.random.default_rng(0).permutation(400).reshape(20, 20)
    positive = lm.positives(values, share)
    self.assertEqual(positive.sum(), round(share * 400))
    self.assertGreaterEqual(values[positive].min(), values[~positive].max(initial=-1))

  def test_one_half_is_from_the_median_on(self):
    rng = np.random.default_rng(0)
    for size in ((7, 7), (8, 8)):
      values = rng.normal(size=size)
      np.testing.assert_array_equal(lm.positives(values, 0.5), values >= np.median(values))

  def test_values_that_tie_with_the_lowest_positive_one_are_positive(self):
    self.assertTrue(lm.positives(np.full([5, 5], 0.3), 0.2).all())
    values = np.array([[0.0, 1.0, 1.0, 1.0]])
    self.assertEqual(lm.positives(values, 0.25).tolist(), [[False, True, True, True]])

  def test_a_level_is_of_the_scaled_map(self):
    values = np.array([[-3.0, 1.0, -1.0, -1.2]])
    self.assertEqual(lm.positives(values, None, 0.5).tolist(), [[False, True, True, False]])
    self.assertTrue(lm.positives(np.zeros([2, 2]), None, 0.9).all())

  def test_exactly_one_rule(self):
    for share, level in ((None, None), (0.5, 0.5), (0.0, None), (1.1, None), (None, -0.1)):
      with self.assertRaisesRegex(ValueError, "expected"):
        lm.positives(np.zeros([2, 2]), share, level)

  def test_scaled_to_0_and_1(self):
    found = lm.normalize(np.array([[-0.5, 0.0, 0.5]]))
    np.testing.assert_allclose(found, [[0.0, 0.5, 1.0]])
    np.testing.assert_array_equal(lm.normalize(np.full([2, 2], -7.0)), np.ones([2, 2]))

  def test_enlarged_bilinearly(self):
    # Between the centres of two cells, at a quarter and three quarters of the image.
    found = lm.enlarge(np.array([[0.0, 1.0]]), 3, 8)
    expected = np.clip((np.arange(8) + 0.5) / 4 - 0.5, 0.0, 1.0)
    np.testing.assert_allclose(found, np.tile(expected, (3, 1)), atol=1e-6)

  def test_confidence_is_the_mean_of_the_highest_quarter(self):
    values = np.random.default_rng(0).permutation(16).reshape(4, 4)
    self.assertEqual(lm.confidence(values), (12 + 13 + 14 + 15) / 4)


class ScoresTest(parameterized.TestCase):
  def test_consensus_iou_agrees_with_counting(self):
    rng = np.random.default_rng(0)
    for _ in range(20):
      truth = rng.choice([0.0, 0.5, 1.0], size=(9, 7)).astype(np.float32)
      positive = rng.random((9, 7)) < rng.random()
      self.assertAlmostEqual(lm.consensus_iou(positive, truth), _iou(positive, truth))

  def test_of_boxes_it_is_intersection_over_union(self):
    truth, positive = np.zeros([10, 10]), np.zeros([10, 10], bool)
    truth[:4, :5] = 1.0  # 20 pixels, 8 of them in common with 16 others.
    positive[2:6, 1:5] = True
    self.assertAlmostEqual(lm.consensus_iou(positive, truth), 8 / (20 + 16 - 8))
    self.assertEqual(lm.consensus_iou(truth > 0, truth), 1.0)
    self.assertEqual(lm.consensus_iou(truth == 0, truth), 0.0)
    # Positive everywhere: the fraction that the box covers.
    self.assertEqual(lm.consensus_iou(np.ones([10, 10], bool), truth), 0.2)

  def test_area_under_curve(self):
    self.assertAlmostEqual(lm.area_under_curve([1.0]), 1.0)
    # The fraction falls from 1 to 0 between the thresholds 0 and 0.05.
    self.assertAlmostEqual(lm.area_under_curve([0.0]), 0.025)
    # 0.6 is reached, although 12 times 0.05 is slightly more in floating point.
    self.assertAlmostEqual(lm.area_under_curve([0.6]), 0.625)
    rng = np.random.default_rng(0)
    ious = rng.random(50)
    shares = [sum(iou >= 0.05 * k for iou in ious) / 50 for k in range(21)]
    expected = sum(0.05 * (a + b) / 2 for a, b in zip(shares, shares[1:]))
    self.assertAlmostEqual(lm.area_under_curve(ious), expected)

  @parameterized.parameters(*range(6))
  def test_detection_agrees_with_counting(self, seed):
    rng = np.random.default_rng(seed)
    ious, visible = rng.random(60), rng.random(60) < 0.6
    confidences = np.round(rng.random(60), 1 if seed % 2 else 6)  # With ties, and without.
    expected = _detection(ious, confidences.tolist(), visible)
    found = lm.detection(ious, confidences, visible)
    for name, value in expected.items():
      self.assertAlmostEqual(found[name], value, msg=name)

  def test_detection_known_by_hand(self):
    # All correct, and all with a source more confident than those without.
    best = lm.detection([1.0, 0.6, 0.0], [0.9, 0.8, 0.1], [True, True, False])
    self.assertEqual(best, {"max_f1": 1.0, "loc_ap": 1.0})
    # Correct, but images without a source have higher confidence.
    worst = lm.detection([1.0, 0.6, 0.0, 0.0], [0.1, 0.2, 0.9, 0.8], [True, True, False, False])
    self.assertAlmostEqual(worst["max_f1"], 2 * 2 / (2 * 2 + 2))
    self.assertAlmostEqual(worst["loc_ap"], 0.5)
    # None correct.
    self.assertEqual(
      lm.detection([0.4, 0.1], [0.5, 0.6], [True, True]), {"max_f1": 0.0, "loc_ap": 0.0}
    )
    # With constant confidence the precision is the fraction of correct images.
    tied = lm.detection([1.0, 0.2, 0.0, 0.0], [1.0] * 4, [True, True, False, False])
    self.assertAlmostEqual(tied["loc_ap"], 0.25)
    self.assertAlmostEqual(tied["max_f1"], 2 / (2 + 3))

  def test_summary_counts_found_sources_among_visible_ones(self):
    found = lm.summarize([0.5, 0.49, 0.9, 0.0], [0.4, 0.3, 0.2, 0.1], [True, True, True, False])
    self.assertAlmostEqual(found["ap50"], 2 / 3)
    self.assertAlmostEqual(found["mean_ciou"], (0.5 + 0.49 + 0.9) / 3)
    self.assertEqual((found["num_visible"], found["num_invisible"]), (3, 1))
    self.assertIn("max_f1", found)
    # With a source in each image there is no detection task.
    self.assertNotIn("max_f1", lm.summarize([0.5, 0.1], [0.4, 0.3], [True, True]))


if __name__ == "__main__":
  absltest.main()
