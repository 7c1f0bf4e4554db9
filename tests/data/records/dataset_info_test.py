import dataclasses
import json
import os
import tempfile

import numpy as np

from avssl_tf.data.records import dataset_info, split_names
from tests import test_base


def _info():
  shards = [
    dataset_info.Shard("train-0", [0, 10, 30], ["a", "b", "c"], [2, -1, 0], [True, False, False]),
    dataset_info.Shard("train-1", [], [], [], []),
    dataset_info.Shard("train-2", [0, 5], ["d", "e"], [1, 1], [False, True]),
  ]
  return dataset_info.DatasetInfo(
    name="shapes",
    splits={"train": shards, "none": []},
    frame_rate_hz=8.0,
    frame_size=[40, 40],
    sample_rate_hz=8000,
    num_channels=1,
    clip_duration_sec=1.5,
    subsets={
      "train1": dataset_info.Subset("train", [0, 2, 3]),
      "test1": dataset_info.Subset("train", [1, 4]),
    },
  )


class NamesTest(test_base.TestCase):
  def test_files_elsewhere_are_refused(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    path = os.path.join(folder, dataset_info.FILE_NAME)
    for name in ("/etc/passwd", "../other/train-0", "a/b", "..", ".", "", "a\0b", None, ["a"]):
      with self.subTest(name):
        _info().save(folder)
        with open(path, encoding="utf-8") as f:
          content = json.load(f)
        content["splits"]["train"][1]["file"] = name
        with open(path, "w", encoding="utf-8") as f:
          json.dump(content, f)
        with self.assertRaises(ValueError) as caught:
          dataset_info.DatasetInfo.load(folder)
        self.assertIn(f"{path}: Invalid shard file {name!r}", str(caught.exception))

  def test_splits_and_subsets_that_are_paths(self):
    info = _info()
    for change in (
      {"splits": {**info.splits, "../x": []}},
      {"subsets": {"/x": dataset_info.Subset("train", [0])}},
    ):
      with self.assertRaisesRegex(ValueError, "expected text without brackets and slashes"):
        dataclasses.replace(info, **change)

  def test_shards_may_be_links(self):
    info = _info()
    folder = self.enter_context(tempfile.TemporaryDirectory())
    os.symlink("/nowhere", os.path.join(folder, "train-0"))
    info.save(folder)
    self.assertEqual(dataset_info.DatasetInfo.load(folder), info)


class ParseSplitTest(test_base.TestCase):
  def test_forms(self):
    for split, expected in (
      ("train", ("train", 0, None)),
      ("train[:30]", ("train", 0, 30)),
      ("train[30:]", ("train", 30, None)),
      ("test-other[2:5]", ("test-other", 2, 5)),
      ("train[:]", ("train", 0, None)),
    ):
      self.assertEqual(split_names.parse_split(split), expected)

  def test_other_forms_are_errors(self):
    for split in ("", "train[3]", "train[:10%]", "train[-5:]", "train[:3", "train[:3]x", "[:3]"):
      with self.subTest(split), self.assertRaisesRegex(ValueError, "is not valid"):
        split_names.parse_split(split)


class RecordsTest(test_base.TestCase):
  def test_whole_split(self):
    table = _info().records("train")
    self.assertAllEqual(table.numbers, range(5))
    self.assertEqual(
      [table.files[i] for i in table.file_numbers], ["train-0"] * 3 + ["train-2"] * 2
    )
    self.assertAllEqual(table.offsets, [0, 10, 30, 0, 5])
    self.assertEqual(table.offsets.dtype, np.int64)
    self.assertEqual(table.ids, ["a", "b", "c", "d", "e"])
    self.assertAllEqual(table.labels, [2, -1, 0, 1, 1])
    self.assertEqual(table.labels.dtype, np.int64)
    self.assertAllEqual(table.sound_replaced, [True, False, False, False, True])

  def test_slices(self):
    for split, numbers, offsets in (
      ("train[1:4]", [1, 2, 3], [10, 30, 0]),
      ("train[:2]", [0, 1], [0, 10]),
      ("train[4:]", [4], [5]),
      ("train[5:]", [], []),
    ):
      table = _info().records(split)
      self.assertAllEqual(table.numbers, numbers)
      self.assertAllEqual(table.offsets, offsets)
      self.assertEqual(table.ids, [list("abcde")[number] for number in numbers])
      self.assertAllEqual(table.labels, np.array([2, -1, 0, 1, 1])[numbers])
      self.assertLen(table.sound_replaced, len(numbers))
      self.assertEqual(_info().num_clips(split), len(offsets))

  def test_replaced_sound_is_unknown_unless_all_shards_state_it(self):
    info = _info()
    info.splits["train"][2].sound_replaced = None
    self.assertIsNone(info.records("train").sound_replaced)
    self.assertIsNone(info.records("none").sound_replaced)

  def test_empty_split(self):
    self.assertEqual(_info().num_clips("none"), 0)

  def test_slice_beyond_the_split(self):
    for split in ("train[:6]", "train[6:]", "train[4:2]"):
      with self.subTest(split), self.assertRaisesRegex(ValueError, "'train' has 5"):
        _info().records(split)

  def test_parts_of_different_length(self):
    with self.assertRaisesRegex(ValueError, r"train-0 has .* \[2, 2, 1\].*build the data set"):
      dataset_info.Shard("train-0", [0, 10], ["a", "b"], [0])

  def test_unknown_split(self):
    with self.assertRaisesRegex(ValueError, r"no split 'valid'.*\['none', 'train'\]"):
      _info().num_clips("valid[:3]")


class SubsetsTest(test_base.TestCase):
  def test_records(self):
    table = _info().records("train1")
    self.assertAllEqual(table.numbers, [0, 2, 3])
    self.assertEqual([table.files[i] for i in table.file_numbers], ["train-0"] * 2 + ["train-2"])
    self.assertAllEqual(table.offsets, [0, 30, 0])
    self.assertEqual(table.ids, ["a", "c", "d"])
    self.assertAllEqual(table.labels, [2, 0, 1])
    self.assertAllEqual(table.sound_replaced, [True, False, False])
    self.assertEqual(_info().num_clips("test1"), 2)

  def test_slices_count_the_records_of_the_subset(self):
    for split, numbers in (("train1[1:]", [2, 3]), ("train1[:1]", [0]), ("test1[1:2]", [4])):
      table = _info().records(split)
      self.assertAllEqual(table.numbers, numbers)
      self.assertEqual(table.ids, [list("abcde")[number] for number in numbers])
    with self.assertRaisesRegex(ValueError, "'test1' has 2"):
      _info().records("test1[:3]")

  def test_unknown_names_report_the_known_ones(self):
    message = r"no split 'train3'.*\['none', 'train'\]. It has the subsets \['test1', 'train1'\]"
    with self.assertRaisesRegex(ValueError, message):
      _info().records("train3")

  def test_subsets_that_make_no_sense(self):
    for name, subset, message in (
      ("train", dataset_info.Subset("train", [0]), "a name that no split has"),
      ("fold1", dataset_info.Subset("valid", [0]), "one of the splits"),
      ("fold1", dataset_info.Subset("train", [4, 5]), "of the 5 records"),
      ("fold1", dataset_info.Subset("train", [2, 1]), "increasing"),
      ("fold1[:2]", dataset_info.Subset("train", [1]), "without brackets"),
    ):
      with self.subTest(message), self.assertRaisesRegex(ValueError, message):
        dataclasses.replace(_info(), subsets={name: subset})


class SampleTest(test_base.TestCase):
  def test_spread_unless_the_order_is_random(self):
    self.assertAllEqual(dataset_info.sample_positions(10, 4, True), [0, 1, 2, 3])
    self.assertAllEqual(dataset_info.sample_positions(10, 4, False), [0, 2, 5, 7])
    for is_shuffled in (True, False):
      self.assertAllEqual(dataset_info.sample_positions(3, 4, is_shuffled), [0, 1, 2])
      self.assertEmpty(dataset_info.sample_positions(0, 4, is_shuffled))

  def test_every_class_in_its_share(self):
    labels = np.repeat(np.arange(400), 50)
    chosen = labels[dataset_info.sample_positions(len(labels), 1000, False)]
    counts = np.bincount(chosen, minlength=400)
    self.assertEqual((counts.min(), counts.max()), (2, 3))

  def test_which_data_sets_are_in_a_random_order(self):
    for build, expected in (
      ({}, False),
      ({"source": "folder"}, False),
      ({"source": "folder", "shuffle": True}, True),
      ({"source": "demo"}, True),
      ({"source": "demo360"}, True),
    ):
      self.assertEqual(dataclasses.replace(_info(), build=build).is_shuffled, expected)


class FileTest(test_base.TestCase):
  def test_saved_and_loaded(self):
    folder = tempfile.mkdtemp(dir=self.get_temp_dir())
    _info().save(folder)
    self.assertEqual(dataset_info.DatasetInfo.load(folder), _info())
    self.assertEqual(os.listdir(folder), [dataset_info.FILE_NAME])

  def test_records_without_ids(self):
    folder = tempfile.mkdtemp(dir=self.get_temp_dir())
    _info().save(folder)
    path = os.path.join(folder, dataset_info.FILE_NAME)
    with open(path, encoding="utf-8") as f:
      content = json.load(f)
    del content["splits"]["train"][0]["ids"]
    with open(path, "w", encoding="utf-8") as f:
      json.dump(content, f)
    with self.assertRaisesRegex(ValueError, "build the data set again"):
      dataset_info.DatasetInfo.load(folder)

  def test_missing(self):
    with self.assertRaisesRegex(FileNotFoundError, "make_tfrecords"):
      dataset_info.DatasetInfo.load(tempfile.mkdtemp(dir=self.get_temp_dir()))

  def test_of_another_version(self):
    folder = tempfile.mkdtemp(dir=self.get_temp_dir())
    path = os.path.join(folder, dataset_info.FILE_NAME)
    with open(path, "w", encoding="utf-8") as f:
      json.dump({"splits": {}, "surprise": 1}, f)
    with self.assertRaisesRegex(ValueError, "build the data set again"):
      dataset_info.DatasetInfo.load(folder)

  def test_damaged(self):
    folder = tempfile.mkdtemp(dir=self.get_temp_dir())
    path = os.path.join(folder, dataset_info.FILE_NAME)
    for content in ("{", "[1]", "\x00"):
      with open(path, "w", encoding="utf-8") as f:
        f.write(content)
      with self.assertRaisesRegex(ValueError, f"{path}.*build the data set again"):
        dataset_info.DatasetInfo.load(folder)
