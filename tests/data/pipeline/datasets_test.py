"""Tests of the streams of batches: order, seeds, workers, resuming, errors."""

import dataclasses
import inspect
import os
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import clip_kind, datasets
from tests.data.toy_records import (
  CLIP,
  ToyRecordsCase,
  first_samples,
  frame_numbers,
  merge,
  record,
  take,
  write,
)


class TrainingDatasetTest(ToyRecordsCase):
  def test_batch(self):
    dataset = self.training()
    batch = next(iter(dataset))
    self.assert_shape(batch[keys.VIDEO], (4, 4, 16, 16, 3), tf.uint8)
    self.assert_shape(batch[keys.AUDIO], (4, 800, 2), tf.float32)
    self.assert_shape(batch[keys.INDEX], (4,), tf.int64)
    self.assert_shape(batch[keys.LABEL], (4,), tf.int64)
    self.assert_shape(batch[keys.KEY], (4,), tf.string)
    self.assertEqual(dataset.element_spec[keys.VIDEO].shape, (4, 4, 16, 16, 3))
    self.assertEqual(dataset.element_spec[keys.AUDIO].shape, (4, 800, 2))

  def test_index_label_and_key_belong_together(self):
    data = take(self.training(), 10)
    self.assertEqual(set(data[keys.INDEX]), set(range(12)))
    for index, label, key in zip(data[keys.INDEX], data[keys.LABEL], data[keys.KEY]):
      self.assertEqual(label, -1 if index == 4 else index % 3)
      self.assertEqual(key, f"clip{index}@0.000".encode())

  def test_resumes_at_any_step(self):
    whole = take(self.training(), 5)
    tail = take(self.training(first_step=3), 2)
    self.assert_same({key: value[12:] for key, value in whole.items()}, tail)

  def test_workers_share_the_stream(self):
    whole = self.training(6).take(3)
    parts = [self.training(3, num_workers=2, worker=worker).take(3) for worker in range(2)]
    for batch, *halves in zip(*[data.as_numpy_iterator() for data in (whole, *parts)]):
      self.assert_same(batch, merge(halves))

  def test_threads_change_nothing(self):
    one, four = take(self.training(num_threads=1), 8), take(self.training(num_threads=4), 8)
    self.assert_same(one, four)

  def test_seed_changes_everything(self):
    one, other = take(self.training(seed=1), 3), take(self.training(seed=2), 3)
    for key in (keys.INDEX, keys.VIDEO, keys.AUDIO):
      self.assertNotAllEqual(one[key], other[key])

  def test_shuffle_shows_each_clip_once_a_pass(self):
    index = take(self.training(sampling="shuffle"), 6)[keys.INDEX].reshape(2, 12)
    self.assertAllEqual(np.sort(index, axis=1), np.tile(np.arange(12), (2, 1)))

  def test_slice_counts_from_its_start(self):
    data = take(self.training(split="train[4:9]"), 12)
    self.assertEqual(set(data[keys.INDEX]), set(range(5)))
    for index, key in zip(data[keys.INDEX], data[keys.KEY]):
      self.assertEqual(key, f"clip{index + 4}@0.000".encode())

  def test_default_stream_hides_the_age_of_rows(self):
    # Under "shuffle" the positive is older than a random row in 3 of 4 cases (see draws_test).
    steps, batch_size = 300, 2
    with mock.patch.object(clip_kind.ClipKind, "random_example", self._no_example):
      dataset = self.training(batch_size)
      stream = take(dataset, steps)[keys.INDEX].reshape(steps, batch_size)
    older, drawn_at = [], np.full(12, -1)
    for step, rows in enumerate(stream):
      for row in rows:
        others = np.delete(drawn_at, row)
        older.append(np.mean((others > drawn_at[row]) + 0.5 * (others == drawn_at[row])))
      drawn_at[rows] = step
    self.assertNear(np.mean(older[100:]), 0.5, 0.06)
    parameters = inspect.signature(datasets.training_dataset).parameters
    self.assertEqual(parameters["sampling"].default, "independent")

  @staticmethod
  def _no_example(kind, stored, augmentation, uniforms):
    return {keys.VIDEO: tf.zeros([1], tf.uint8), keys.AUDIO: tf.zeros([1])}


class EvaluationDatasetTest(ToyRecordsCase):
  def test_one_window_in_the_middle_of_each_clip_in_order(self):
    data = merge(self.evaluation().as_numpy_iterator())
    self.assertAllEqual(data[keys.INDEX], np.arange(12))
    self.assertAllEqual(first_samples(data[keys.AUDIO]), [600] * 12)
    self.assertAllEqual(frame_numbers(data[keys.VIDEO]), [[8, 9, 10, 11]] * 12)

  def test_windows_of_a_clip_follow_each_other(self):
    data = merge(self.evaluation(windows_per_clip=3).as_numpy_iterator())
    self.assertAllEqual(data[keys.INDEX], np.repeat(np.arange(12), 3))
    self.assertAllEqual(first_samples(data[keys.AUDIO]).reshape(12, 3), [[0, 600, 1200]] * 12)
    # The centres of the windows are the same: 0.4 s, 1 s and 1.6 s.
    first = frame_numbers(data[keys.VIDEO])[:, 0].reshape(12, 3)
    self.assertAllEqual(first, [[2, 8, 14]] * 12)

  def test_last_batch_may_be_smaller(self):
    sizes = [len(batch[keys.INDEX]) for batch in self.evaluation(5)]
    self.assertEqual(sizes, [5, 5, 2])

  def test_is_the_same_every_time(self):
    dataset = self.evaluation(windows_per_clip=2)
    first, second = merge(dataset.as_numpy_iterator()), merge(dataset.as_numpy_iterator())
    self.assert_same(first, second)

  def test_some_records_spread_over_the_split(self):
    everything = merge(self.evaluation(windows_per_clip=2).as_numpy_iterator())
    data = merge(self.evaluation(windows_per_clip=2, max_records=5).as_numpy_iterator())
    self.assertAllEqual(data[keys.INDEX], np.repeat([0, 2, 4, 7, 9], 2))
    rows = np.isin(everything[keys.INDEX], data[keys.INDEX])
    self.assert_same(data, {key: value[rows] for key, value in everything.items()})
    more = merge(self.evaluation(windows_per_clip=2, max_records=50).as_numpy_iterator())
    self.assert_same(more, everything)

  def test_slice(self):
    data = merge(self.evaluation(split="train[5:8]").as_numpy_iterator())
    self.assertAllEqual(data[keys.INDEX], [0, 1, 2])
    self.assertAllEqual(data[keys.KEY], [b"clip5@0.000", b"clip6@0.000", b"clip7@0.000"])


class ErrorsTest(ToyRecordsCase):
  def test_before_any_work(self):
    for error, arguments in (
      ("no split 'valid'", {"split": "valid"}),
      ("no records", {"split": "empty"}),
      ("no records", {"split": "train[12:]"}),
      ("has 12", {"split": "train[:13]"}),
      ("is not valid", {"split": "train[:50%]"}),
      ("has only 12 clips: lower the batch size", {"batch_size": 13}),
      ("has only 12", {"batch_size": 5, "num_workers": 3}),
      ("batch_size is 0", {"batch_size": 0}),
      ("worker is 2 of 2", {"num_workers": 2, "worker": 2}),
      ("first_step is -1", {"first_step": -1}),
      ("sampling is 'random'", {"sampling": "random"}),
      ("audio_sec is 2.5 s.* last 2 s", {"clip": dataclasses.replace(CLIP, audio_sec=2.5)}),
      ("video_sec is 3 s.* last 2 s", {"clip": dataclasses.replace(CLIP, num_frames=30)}),
    ):
      with self.subTest(error), self.assertRaisesRegex(ValueError, error):
        self.training(**arguments)
    with self.assertRaisesRegex(ValueError, "windows_per_clip is 0"):
      self.evaluation(windows_per_clip=0)
    with self.assertRaisesRegex(ValueError, "max_records is 0"):
      self.evaluation(max_records=0)

  def test_no_data_set(self):
    with self.assertRaisesRegex(FileNotFoundError, "dataset_info.json"):
      datasets.evaluation_dataset("/nowhere", "train", CLIP, 4)

  def test_missing_file(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    write(folder, [[record(0)], [record(1)]])
    os.remove(os.path.join(folder, "train-00001.tfrecord"))
    with self.assertRaisesRegex(FileNotFoundError, "1 of the 2 files.*train-00001"):
      datasets.evaluation_dataset(folder, "train", CLIP, 4)

  def _first_error(self, shard):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    write(folder, [shard])
    with self.assertRaises(tf.errors.InvalidArgumentError) as raised:
      list(datasets.evaluation_dataset(folder, "train", CLIP, 4))
    return str(raised.exception)

  def test_clip_shorter_than_the_windows_is_named(self):
    message = self._first_error([record(0), record(1, num_frames=6)])
    self.assertRegex(message, r"clip1@0.000.*is too short.*600 6.*800 4")

  def test_records_of_another_build(self):
    message = self._first_error([record(1), record(0)])
    self.assertRegex(message, "does not match dataset_info.json.*build the data set again")
    message = self._first_error([record(0, num_channels=1)])
    self.assertRegex(message, "does not match dataset_info.json")

  def test_damaged_record(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    write(folder, [[record(0)]])
    path = os.path.join(folder, "train-00000.tfrecord")
    with open(path, "r+b") as f:
      f.seek(500)
      f.write(b"\0damaged\0")
    with self.assertRaises(tf.errors.DataLossError):
      list(datasets.evaluation_dataset(folder, "train", CLIP, 4))


if __name__ == "__main__":
  tf.test.main()
