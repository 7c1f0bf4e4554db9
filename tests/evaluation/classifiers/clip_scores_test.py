"""Tests of the accuracy over one and several clips."""

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.evaluation.classifiers import clip_scores
from tests import test_base
from tests.data import toy_records


def _logits(frames):
  """Scores of three classes that depend on the position of a clip in its record."""
  level = tf.reduce_mean(tf.cast(frames, tf.float32), axis=[1, 2, 3, 4]) / 100
  late = tf.stack([1.3 - level, 1.5 * level - 0.6, 1.15 * tf.ones_like(level)], axis=1)
  return {"late": 5 * late, "never": tf.zeros_like(late)}


class LabelRanksTest(test_base.TestCase):

  def test_against_sorting(self):
    scores = self.rng.permuted(np.tile(np.arange(7.0), (20, 1)), axis=1)
    labels = self.rng.integers(0, 7, 20)
    expected = [list(np.argsort(-row)).index(label) for row, label in zip(scores, labels)]
    self.assertAllEqual(clip_scores.label_ranks(scores, labels), expected)

  def test_ties_and_nan_count_against_it(self):
    scores = np.array([[1.0, 1.0, 0.0], [np.nan, np.nan, np.nan], [2.0, 1.0, np.nan]])
    self.assertAllEqual(clip_scores.label_ranks(scores, np.array([0, 1, 0])), [1, 2, 1])


class AccuraciesTest(toy_records.ToyRecordsCase):

  def expected(self, num_windows):
    """Top-1 accuracy of `_logits`, record by record."""
    right = []
    windows = self.evaluation(batch_size=num_windows, windows_per_clip=num_windows)
    for batch in windows.as_numpy_iterator():
      level = batch[keys.VIDEO].astype(np.float64).mean(axis=(1, 2, 3, 4)) / 100
      late = [1.3 - level, 1.5 * level - 0.6, np.full_like(level, 1.15)]
      scores = np.exp(5 * np.stack(late, axis=1))
      scores /= scores.sum(axis=1, keepdims=True)
      if batch[keys.LABEL][0] >= 0:
        right.append(scores.mean(axis=0).argmax() == batch[keys.LABEL][0])
    return np.mean(right)

  def test_against_numpy(self):
    shares = set()
    for num_windows in (1, 3):
      # 3 windows in batches of 4 clips: rounded up to 2 records.
      found = clip_scores.accuracies(
        _logits, self.data_dir, "train", toy_records.CLIP, num_windows, batch_size=4
      )
      self.assertAllClose(found["late"].top1, self.expected(num_windows))
      self.assertEqual(found["late"].top5, 1.0)
      self.assertEqual(found["never"].top1, 0.0)
      shares.add(found["late"].top1)
    self.assertLen(shares, 2)  # Otherwise the test would not cover the windows.

  def test_random_clips_are_each_a_decision(self):
    right = []
    windows = self.evaluation(batch_size=7, windows_per_clip=7, random_seed=3)
    for batch in windows.as_numpy_iterator():
      level = batch[keys.VIDEO].astype(np.float64).mean(axis=(1, 2, 3, 4)) / 100
      scores = np.stack([1.3 - level, 1.5 * level - 0.6, np.full_like(level, 1.15)], axis=1)
      if batch[keys.LABEL][0] >= 0:
        right.extend(scores.argmax(axis=1) == batch[keys.LABEL])
    found = [
      clip_scores.accuracies(
        _logits, self.data_dir, "train", toy_records.CLIP, 7, batch_size=4, random_seed=seed
      )["late"].top1
      for seed in (3, 3, 4)
    ]
    self.assertAllClose(found[0], np.mean(right))
    self.assertEqual(found[0], found[1])
    self.assertNotEqual(found[0], found[2])
    self.assertNotAllClose(found[0], self.expected(7))

  def test_needs_labels(self):
    with self.assertRaisesRegex(ValueError, "No record of split 'train.4:5.'"):
      clip_scores.accuracies(_logits, self.data_dir, "train[4:5]", toy_records.CLIP, 1, 4)


if __name__ == "__main__":
  tf.test.main()
