"""Tests of sets of sounds and their folds."""

import os
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf.data.media import sound_file
from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.data.records.dataset_info import DatasetInfo, Subset
from avssl_tf.data.records.record_reader import RecordReader
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import Listing
from avssl_tf.evaluation.audio_svm import sound_sets
from tests import hostile_media, tiny_run

_LABELS = np.array([0, 1, 0, 1, -1, 1, 0, 1])


class FindPartsTest(tf.test.TestCase):
  def _find(self, splits=None, **selections):
    parts = sound_sets.find_parts(selections, _LABELS, splits)
    return [(part.name, part.train.tolist(), part.test.tolist()) for part in parts]

  def test_numbered_folds_are_tested_by_all_others(self):
    found = self._find(all=range(8), fold2=[2, 3], fold1=[1, 0, 4], fold3=[5, 6])
    self.assertEqual(
      found,
      [
        ("fold1", [2, 3, 5, 6], [0, 1]),  # 4 has no label.
        ("fold2", [0, 1, 5, 6], [2, 3]),
        ("fold3", [0, 1, 2, 3], [5, 6]),
      ],
    )

  def test_pairs_of_subsets(self):
    found = self._find(all=range(8), train1=[0, 1], test1=[2], train2=[2, 3], test2=[0])
    self.assertEqual(found, [("fold1", [0, 1], [2]), ("fold2", [2, 3], [0])])

  def test_splits(self):
    self.assertEqual(self._find(train=[0, 1], test=[2, 3]), [("test", [0, 1], [2, 3])])
    found = self._find([("test", "train")], train=[0, 1], test=[2, 3])
    self.assertEqual(found, [("train", [2, 3], [0, 1])])

  def test_what_is_missing_is_named(self):
    cases = [
      (r"\['fold2'\] are missing", {"fold1": [0, 1], "fold3": [2, 3]}, None),
      (r"\['fold2'\] are missing", {"fold1": [0, 1]}, None),
      ("No split or subset 'test'. There are: .'train'", {"train": [0, 1]}, None),
      ("No split or subset 'tset'", {"train": [0, 1], "test": [2]}, [("train", "tset")]),
      ("also in the training data 'train'", {"train": [0, 1], "test": [1]}, None),
      ("2 labelled recordings of 1 classes", {"train": [0, 2], "test": [1]}, None),
      ("'test' has 0; expected", {"train": [0, 1], "test": [4]}, None),
    ]
    for message, selections, splits in cases:
      with self.assertRaisesRegex(ValueError, message):
        self._find(splits, **selections)


class OfFilesTest(tf.test.TestCase):
  def test_whatever_goes_wrong_with_a_file_is_its_failure(self):
    folder = self.get_temp_dir()
    paths = [os.path.join(folder, f"{n}.wav") for n in range(4)]
    for path, rate_hz in zip(paths, (8000, 1, 8000, 8000)):
      hostile_media.write_wav(path, rate_hz)
    requests = [
      ClipRequest(split, path, None, None, (label,), os.path.basename(path))
      for path, split, label in zip(paths, ("train", "train", "test", "test"), "abab")
    ]
    sounds = sound_sets.of_files(Listing(requests, ["a", "b"]), 8000, 1)
    self.assertEqual(sounds.read(0).shape, (40000, 1))
    with self.assertRaisesRegex(MediaError, "sample rate out of bounds: 1 Hz"):
      sounds.read(1)
    with mock.patch.object(sound_file, "read_sound", side_effect=MemoryError("no memory")):
      with self.assertRaisesRegex(MediaError, "out of memory: no memory"):
        sounds.read(2)
    with mock.patch.object(sound_file, "read_sound", side_effect=KeyboardInterrupt):
      with self.assertRaises(KeyboardInterrupt):
        sounds.read(2)


class OfRecordsTest(tiny_run.TestCase, tf.test.TestCase):
  def test_reads_the_sounds_of_the_splits(self):
    sounds = sound_sets.of_records(self.data_dir, 8000, 1)
    info = DatasetInfo.load(self.data_dir)
    (part,) = sounds.parts
    self.assertEqual(part.name, "test")
    self.assertEqual([len(part.train), len(part.test)], [info.num_clips("train"), 8])
    stored = RecordReader(self.data_dir, "test").read(tf.constant(3, tf.int64))
    number = part.test[3]
    np.testing.assert_array_equal(sounds.read(number), stored.waveform.numpy())
    self.assertEqual(sounds.labels[number], int(stored.label))
    self.assertEqual(sounds.ids[number], f"test/{stored.key.numpy().decode()}")

  def test_converts_the_rate(self):
    sounds = sound_sets.of_records(self.data_dir, 4000, 1)
    stored = RecordReader(self.data_dir, "train").read(tf.constant(0, tf.int64)).waveform
    number = sounds.parts[0].train[0]
    self.assertLessEqual(abs(2 * len(sounds.read(number)) - len(stored)), 2)

  def test_slices_and_subsets(self):
    pairs = [("train[:16]", "train[16:]")]
    (part,) = sound_sets.of_records(self.data_dir, 8000, 1, pairs).parts
    self.assertEqual([len(part.train), len(part.test)], [16, 8])
    self.assertEqual(np.diff([*part.train, *part.test]).tolist(), [1] * 23)
    info = DatasetInfo.load(self.data_dir)
    even, odd = list(range(0, 24, 2)), list(range(1, 24, 2))
    info.subsets = {"fold1": Subset("train", even), "fold2": Subset("train", odd)}
    copy = self.path("copy")
    os.mkdir(copy)
    for name in os.listdir(self.data_dir):
      os.symlink(os.path.join(self.data_dir, name), os.path.join(copy, name))
    os.remove(os.path.join(copy, "dataset_info.json"))
    info.save(copy)
    first, second = sound_sets.of_records(copy, 8000, 1).parts
    self.assertAllEqual(first.train - first.test, [1] * 12)
    self.assertAllEqual(np.diff(first.train), [2] * 11)
    self.assertAllEqual(second.train, first.test)
    self.assertAllEqual(second.test, first.train)

  def test_refuses_other_channels(self):
    with self.assertRaisesRegex(ValueError, "has 1 channels, but the network requires 4"):
      sound_sets.of_records(self.data_dir, 8000, 4)


if __name__ == "__main__":
  tf.test.main()
