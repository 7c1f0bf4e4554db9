"""Tests of folds."""

import unittest

from absl.testing import parameterized

from avssl_tf.data.records.dataset_info import DatasetInfo, Shard, Subset
from avssl_tf.evaluation import folds


def _info(labels, subsets=None, label_names=("a", "b"), **settings):
  """Data with a split `train` of the given labels and a split `test` of one record each."""
  shards = {
    split: [Shard(f"{split}.tfrecord", [0] * len(values), list("abcdef")[: len(values)], values)]
    for split, values in (("train", list(labels)), ("test", [0]))
  }
  return DatasetInfo(
    name="data",
    splits=shards,
    frame_rate_hz=8.0,
    frame_size=[16, 16],
    sample_rate_hz=8000,
    num_channels=1,
    clip_duration_sec=1.0,
    subsets=subsets or {},
    label_names=list(label_names),
    **settings,
  )


class FindTest(parameterized.TestCase):

  def test_numbered_subsets(self):
    names = ("train1", "test1", "train2", "test2", "train3", "other")
    info = _info([0, 1], {name: Subset("train", [0]) for name in names})
    self.assertEqual(
      folds.find(info),
      [folds.Fold("fold1", "train1", "test1"), folds.Fold("fold2", "train2", "test2")],
    )

  def test_splits_where_there_are_no_such_subsets(self):
    info = _info([0, 1], {"other": Subset("train", [0])})
    self.assertEqual(folds.find(info), [folds.Fold("fold1", "train", "test")])

  def test_named_ones(self):
    found = folds.find(_info([0, 1]), [["train[:1]", "train[1:]"], ("train", "test")])
    self.assertEqual(
      found, [folds.Fold("fold1", "train[:1]", "train[1:]"), folds.Fold("fold2", "train", "test")]
    )

  @parameterized.parameters(((),), ((("train",),),), ((("train", "test", "test"),),))
  def test_no_pairs(self, wrong):
    with self.assertRaisesRegex(ValueError, "expected pairs"):
      folds.find(_info([0, 1]), wrong)


class CheckLabelledTest(parameterized.TestCase):
  FOLD = folds.Fold("fold1", "train", "test")

  def test_tells_what_is_left_out(self):
    with self.assertLogs("absl", "INFO") as logs:
      folds.check_labelled(_info([0, 1, -1]), "data/mine", self.FOLD)
    self.assertEqual(len(logs.output), 1)
    self.assertRegex(logs.output[0], "1 of the 3 records of split 'train' of data/mine")

  @parameterized.parameters(
    ([0, 0, -1], {}, "has 3 records, 1 of them without a label, and 1 classes"),
    ([0, 1], {"label_names": ()}, "has 0 classes; expected 2 or more"),
  )
  def test_refuses(self, labels, settings, message):
    with self.assertRaisesRegex(ValueError, message):
      folds.check_labelled(_info(labels, **settings), "data/mine", self.FOLD)

  def test_refuses_a_missing_split(self):
    with self.assertRaisesRegex(ValueError, "no split.*'validation'"):
      fold = folds.Fold("fold1", "train", "validation")
      folds.check_labelled(_info([0, 1]), "data/mine", fold)


if __name__ == "__main__":
  unittest.main()
