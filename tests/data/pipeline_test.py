import dataclasses
import inspect
import itertools
import os
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf import types
from avssl_tf.data import clip_spec, clips, dataset_info, jpeg, pipeline, records
from tests import test_base

FRAME_RATE_HZ = 10.0
SAMPLE_RATE_HZ = 1000
NUM_STORED_FRAMES = 20
DURATION_SEC = NUM_STORED_FRAMES / FRAME_RATE_HZ
SIZE = 24
LABELS = ("bell", "drum", "horn")
CLIP = pipeline.ClipSpec(
  num_frames=4, frame_rate_hz=FRAME_RATE_HZ, frame_size=16, audio_sec=0.8, max_offset_sec=0.25
)
ONLY_CROP = pipeline.Augmentation(
  flip_probability=0.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, volume=(1.0, 1.0)
)


def _record(index, num_frames=NUM_STORED_FRAMES, num_channels=2, label=None):
  """A clip that tells its parts: frames by their grey level, sound as a ramp over time."""
  levels = 10 * np.arange(num_frames) + 20
  frames = np.broadcast_to(levels[:, None, None, None], (num_frames, SIZE, SIZE, 3))
  num_samples = round(num_frames / FRAME_RATE_HZ * SAMPLE_RATE_HZ)
  ramp = np.arange(num_samples, dtype=np.float32) / (DURATION_SEC * SAMPLE_RATE_HZ)
  content = clips.Content(
    frames=frames.astype(np.uint8),
    timestamps_us=np.arange(num_frames) * 100_000,
    waveform=np.stack([ramp, -ramp], axis=1)[:, :num_channels],
    label=None if label is None else LABELS[label],
  )
  return _encode(index, content)


def _encode(index, content):
  planned = clips.PlannedClip(
    request=index,
    split="train",
    path=f"{index}.mp4",
    media_id=f"clip{index}",
    label=None,
    start_us=0,
    end_us=2_000_000,
  )
  encoded = records.encode_example(
    planned, content, "test", FRAME_RATE_HZ, SAMPLE_RATE_HZ, LABELS, jpeg.JpegSettings()
  )
  return records.with_index(encoded, index)


def _write(folder, shards):
  """Writes a data set of one split "train" whose shards hold the given records."""
  table = []
  for number, shard in enumerate(shards):
    name = f"train-{number:05d}.tfrecord"
    with tf.io.TFRecordWriter(os.path.join(folder, name)) as writer:
      for record in shard:
        writer.write(record)
    table.append(dataset_info.Shard(name, records.scan_offsets(os.path.join(folder, name))))
  info = dataset_info.DatasetInfo(
    name="test",
    splits={"train": table, "empty": []},
    frame_rate_hz=FRAME_RATE_HZ,
    frame_size=[SIZE, SIZE],
    sample_rate_hz=SAMPLE_RATE_HZ,
    num_channels=2,
    clip_duration_sec=DURATION_SEC,
  )
  info.save(folder)


def _merge(batches):
  batches = list(batches)
  return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def _take(dataset, count):
  return _merge(itertools.islice(dataset.as_numpy_iterator(), count))


def _frame_numbers(video):
  """Stored frames that a clip of `_record` without colour jitter shows."""
  return np.round((video.mean(axis=(-3, -2, -1)) - 20) / 10).astype(int)


def _first_samples(audio):
  return np.round(audio[:, 0, 0] * DURATION_SEC * SAMPLE_RATE_HZ).astype(int)


class PipelineTestCase(test_base.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.data_dir = folder.name
    stored = [_record(index, label=index % 3 if index != 4 else None) for index in range(12)]
    _write(cls.data_dir, [stored[:5], stored[5:6], stored[6:]])

  def training(self, batch_size=4, seed=0, split="train", clip=CLIP, **more):
    more.setdefault("augmentation", pipeline.Augmentation())
    return pipeline.training_dataset(
      self.data_dir, split, clip, batch_size=batch_size, seed=seed, **more
    )

  def evaluation(self, batch_size=5, split="train", clip=CLIP, **more):
    return pipeline.evaluation_dataset(self.data_dir, split, clip, batch_size, **more)

  def assert_same(self, a, b):
    self.assertEqual(set(a), set(b))
    for key in a:
      self.assertAllEqual(a[key], b[key])


class TrainingDatasetTest(PipelineTestCase):
  def test_batch(self):
    dataset = self.training()
    batch = next(iter(dataset))
    self.assert_shape(batch[types.VIDEO], (4, 4, 16, 16, 3), tf.uint8)
    self.assert_shape(batch[types.AUDIO], (4, 800, 2), tf.float32)
    self.assert_shape(batch[types.INDEX], (4,), tf.int64)
    self.assert_shape(batch[types.LABEL], (4,), tf.int64)
    self.assert_shape(batch[types.KEY], (4,), tf.string)
    self.assertEqual(dataset.element_spec[types.VIDEO].shape, (4, 4, 16, 16, 3))
    self.assertEqual(dataset.element_spec[types.AUDIO].shape, (4, 800, 2))

  def test_index_label_and_key_belong_together(self):
    data = _take(self.training(), 10)
    self.assertEqual(set(data[types.INDEX]), set(range(12)))
    for index, label, key in zip(data[types.INDEX], data[types.LABEL], data[types.KEY]):
      self.assertEqual(label, -1 if index == 4 else index % 3)
      self.assertEqual(key, f"clip{index}@0.000".encode())

  def test_resumes_at_any_step(self):
    whole = _take(self.training(), 5)
    tail = _take(self.training(first_step=3), 2)
    self.assert_same({key: value[12:] for key, value in whole.items()}, tail)

  def test_workers_share_the_stream(self):
    whole = self.training(6).take(3)
    parts = [self.training(3, num_workers=2, worker=worker).take(3) for worker in range(2)]
    for batch, *halves in zip(*[data.as_numpy_iterator() for data in (whole, *parts)]):
      self.assert_same(batch, _merge(halves))

  def test_threads_change_nothing(self):
    one, four = _take(self.training(num_threads=1), 8), _take(self.training(num_threads=4), 8)
    self.assert_same(one, four)

  def test_seed_changes_everything(self):
    one, other = _take(self.training(seed=1), 3), _take(self.training(seed=2), 3)
    for key in (types.INDEX, types.VIDEO, types.AUDIO):
      self.assertNotAllEqual(one[key], other[key])

  def test_shuffle_shows_each_clip_once_a_pass(self):
    index = _take(self.training(sampling="shuffle"), 6)[types.INDEX].reshape(2, 12)
    self.assertAllEqual(np.sort(index, axis=1), np.tile(np.arange(12), (2, 1)))

  def test_slice_counts_from_its_start(self):
    data = _take(self.training(split="train[4:9]"), 12)
    self.assertEqual(set(data[types.INDEX]), set(range(5)))
    for index, key in zip(data[types.INDEX], data[types.KEY]):
      self.assertEqual(key, f"clip{index + 4}@0.000".encode())

  def test_default_stream_hides_the_age_of_rows(self):
    # Under "shuffle" the positive is older than a random row in 3 of 4 cases (see draws_test).
    steps, batch_size = 300, 2
    with mock.patch.object(pipeline.clip_loader, "random_example", self._no_example):
      dataset = self.training(batch_size)
      stream = _take(dataset, steps)[types.INDEX].reshape(steps, batch_size)
    older, drawn_at = [], np.full(12, -1)
    for step, rows in enumerate(stream):
      for row in rows:
        others = np.delete(drawn_at, row)
        older.append(np.mean((others > drawn_at[row]) + 0.5 * (others == drawn_at[row])))
      drawn_at[rows] = step
    self.assertNear(np.mean(older[100:]), 0.5, 0.06)
    parameters = inspect.signature(pipeline.training_dataset).parameters
    self.assertEqual(parameters["sampling"].default, "independent")

  def _no_example(self, stored, clip, augmentation, uniforms):
    return tf.zeros([1], tf.uint8), tf.zeros([1])


class WindowsTest(PipelineTestCase):
  def test_windows_are_near_each_other_and_inside_the_clip(self):
    data = _take(self.training(augmentation=None), 100)
    first = _first_samples(data[types.AUDIO])
    ramp = data[types.AUDIO][:, :, 0] * DURATION_SEC * SAMPLE_RATE_HZ
    self.assertAllClose(ramp, first[:, None] + np.arange(800), atol=0.01)
    self.assertAllEqual(data[types.AUDIO][:, :, 1], -data[types.AUDIO][:, :, 0])
    numbers = _frame_numbers(data[types.VIDEO])
    self.assertAllEqual(numbers, numbers[:, :1] + np.arange(4))
    self.assertTrue(0 <= first.min() < 60 and 1140 < first.max() <= 1200)
    self.assertEqual((numbers.min(), numbers.max()), (0, NUM_STORED_FRAMES - 1))
    audio_center_sec = first / SAMPLE_RATE_HZ + 0.4
    offset_sec = numbers[:, 0] / FRAME_RATE_HZ + 0.2 - audio_center_sec
    self.assertLessEqual(np.abs(offset_sec).max(), 0.25 + 1e-6)
    self.assertLess(offset_sec.min(), -0.2)
    self.assertGreater(offset_sec.max(), 0.2)
    self.assertNear(np.mean(offset_sec), 0.0, 0.04)

  def test_frames_at_another_rate(self):
    clip = dataclasses.replace(CLIP, frame_rate_hz=FRAME_RATE_HZ / 3)
    numbers = _frame_numbers(_take(self.training(clip=clip, augmentation=None), 20)[types.VIDEO])
    self.assertAllEqual(numbers, numbers[:, :1] + 3 * np.arange(4))
    self.assertGreater(len(set(numbers[:, 0])), 5)

  def test_windows_as_long_as_the_clip(self):
    clip = dataclasses.replace(CLIP, num_frames=NUM_STORED_FRAMES, audio_sec=DURATION_SEC)
    data = _take(self.training(clip=clip), 2)
    self.assertAllEqual(_first_samples(data[types.AUDIO]) < 1, [True] * 8)
    self.assert_shape(data[types.VIDEO], (8, NUM_STORED_FRAMES, 16, 16, 3))


class AugmentationTest(PipelineTestCase):
  def test_volume(self):
    augmentation = dataclasses.replace(ONLY_CROP, volume=(0.5, 0.9))
    loud = _take(self.training(augmentation=ONLY_CROP), 10)[types.AUDIO]
    changed = _take(self.training(augmentation=augmentation), 10)[types.AUDIO]
    factors = changed[:, -1, 0] / loud[:, -1, 0]
    self.assertAllClose(changed, loud * factors[:, None, None], rtol=1e-4, atol=1e-6)
    self.assertTrue(0.5 <= factors.min() < 0.6 and 0.8 < factors.max() <= 0.9)

  def test_colour_changes_alike_in_all_frames_and_otherwise_in_each_clip(self):
    augmentation = dataclasses.replace(ONLY_CROP, brightness=0.4, contrast=0.4)
    plain = _take(self.training(augmentation=ONLY_CROP), 10)[types.VIDEO].mean(axis=(2, 3, 4))
    changed = _take(self.training(augmentation=augmentation), 10)[types.VIDEO].mean(axis=(2, 3, 4))
    # Brightness and contrast make an affine map of the grey levels, one for each clip.
    slopes = np.diff(changed) / np.diff(plain)
    clipped = changed.max(axis=1) > 254
    self.assertLess(np.ptp(slopes[~clipped], axis=1).max(), 0.25)
    self.assertGreater(np.ptp(slopes[~clipped].mean(axis=1)), 0.5)


class StillClipTest(test_base.TestCase):
  """A clip whose frames are all the same, dark on the left and bright on the right."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.data_dir = folder.name
    shade = np.linspace(0, 200, SIZE)[None, None, :, None]
    content = clips.Content(
      frames=np.broadcast_to(shade, (20, SIZE, SIZE, 3)).astype(np.uint8),
      timestamps_us=np.arange(20) * 100_000,
      waveform=np.full((2000, 2), 0.1, np.float32),
    )
    _write(cls.data_dir, [[_encode(0, content)]])

  def _training(self, augmentation, count):
    dataset = pipeline.training_dataset(self.data_dir, "train", CLIP, augmentation, 1, seed=0)
    return _take(dataset, count)[types.VIDEO]

  def test_without_augmentation_it_looks_as_in_evaluation(self):
    still = next(iter(pipeline.evaluation_dataset(self.data_dir, "train", CLIP, 1)))[types.VIDEO]
    self.assertAllEqual(self._training(None, 3), np.repeat(still, 3, axis=0))
    self.assertGreater(np.ptp(still[0, 0, 0, :, 0]), 100)

  def test_frames_of_a_clip_are_changed_alike(self):
    video = self._training(pipeline.Augmentation(), 10)
    self.assertAllEqual(video, np.repeat(video[:, :1], 4, axis=1))
    self.assertGreater(
      np.abs(np.diff(video.astype(float), axis=0)).mean(axis=(1, 2, 3, 4)).min(), 3
    )

  def test_share_of_mirrored_clips(self):
    for probability, low, high in ((0.0, 0.0, 0.0), (0.5, 0.3, 0.7), (1.0, 1.0, 1.0)):
      augmentation = dataclasses.replace(ONLY_CROP, flip_probability=probability)
      video = self._training(augmentation, 80).astype(float)
      left, right = video[..., :4, :].mean(axis=(2, 3, 4)), video[..., -4:, :].mean(axis=(2, 3, 4))
      mirrored = left > right
      self.assertAllEqual(mirrored, np.repeat(mirrored[:, :1], 4, axis=1))
      self.assertBetween(np.mean(mirrored), low, high)


class EvaluationDatasetTest(PipelineTestCase):
  def test_one_window_in_the_middle_of_each_clip_in_order(self):
    data = _merge(self.evaluation().as_numpy_iterator())
    self.assertAllEqual(data[types.INDEX], np.arange(12))
    self.assertAllEqual(_first_samples(data[types.AUDIO]), [600] * 12)
    self.assertAllEqual(_frame_numbers(data[types.VIDEO]), [[8, 9, 10, 11]] * 12)

  def test_windows_of_a_clip_follow_each_other(self):
    data = _merge(self.evaluation(windows_per_clip=3).as_numpy_iterator())
    self.assertAllEqual(data[types.INDEX], np.repeat(np.arange(12), 3))
    self.assertAllEqual(_first_samples(data[types.AUDIO]).reshape(12, 3), [[0, 600, 1200]] * 12)
    # The centres of the windows are the same: 0.4 s, 1 s and 1.6 s.
    first = _frame_numbers(data[types.VIDEO])[:, 0].reshape(12, 3)
    self.assertAllEqual(first, [[2, 8, 14]] * 12)

  def test_last_batch_may_be_smaller(self):
    sizes = [len(batch[types.INDEX]) for batch in self.evaluation(5)]
    self.assertEqual(sizes, [5, 5, 2])

  def test_is_the_same_every_time(self):
    dataset = self.evaluation(windows_per_clip=2)
    first, second = _merge(dataset.as_numpy_iterator()), _merge(dataset.as_numpy_iterator())
    self.assert_same(first, second)

  def test_slice(self):
    data = _merge(self.evaluation(split="train[5:8]").as_numpy_iterator())
    self.assertAllEqual(data[types.INDEX], [0, 1, 2])
    self.assertAllEqual(data[types.KEY], [b"clip5@0.000", b"clip6@0.000", b"clip7@0.000"])


class ErrorsTest(PipelineTestCase):
  def test_before_any_work(self):
    for error, arguments in (
      ("no split 'valid'", {"split": "valid"}),
      ("no records", {"split": "empty"}),
      ("no records", {"split": "train[12:]"}),
      ("has 12", {"split": "train[:13]"}),
      ("not understood", {"split": "train[:50%]"}),
      ("has only 12: lower the batch size", {"batch_size": 13}),
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

  def test_no_data_set(self):
    with self.assertRaisesRegex(FileNotFoundError, "dataset_info.json"):
      pipeline.evaluation_dataset("/nowhere", "train", CLIP, 4)

  def test_missing_file(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    _write(folder, [[_record(0)], [_record(1)]])
    os.remove(os.path.join(folder, "train-00001.tfrecord"))
    with self.assertRaisesRegex(FileNotFoundError, "1 of the 2 files.*train-00001"):
      pipeline.evaluation_dataset(folder, "train", CLIP, 4)

  def _first_error(self, shard):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    _write(folder, [shard])
    with self.assertRaises(tf.errors.InvalidArgumentError) as raised:
      list(pipeline.evaluation_dataset(folder, "train", CLIP, 4))
    return str(raised.exception)

  def test_clip_shorter_than_the_windows_is_named(self):
    message = self._first_error([_record(0), _record(1, num_frames=6)])
    self.assertRegex(message, r"clip1@0.000.*is too short.*600 6.*800 4")

  def test_records_of_another_build(self):
    message = self._first_error([_record(1), _record(0)])
    self.assertRegex(message, "not what dataset_info.json says.*build the data set again")
    message = self._first_error([_record(0, num_channels=1)])
    self.assertRegex(message, "not what dataset_info.json says")

  def test_damaged_record(self):
    folder = self.enter_context(tempfile.TemporaryDirectory())
    _write(folder, [[_record(0)]])
    path = os.path.join(folder, "train-00000.tfrecord")
    with open(path, "r+b") as f:
      f.seek(500)
      f.write(b"\0damaged\0")
    with self.assertRaises(tf.errors.DataLossError):
      list(pipeline.evaluation_dataset(folder, "train", CLIP, 4))


class SpecTest(test_base.TestCase):
  def test_derived(self):
    self.assertEqual(clip_spec.ClipSpec().video_sec, 0.5)
    self.assertEqual(clip_spec.ClipSpec().num_samples(24000), 48000)

  def test_ranges(self):
    for name, value in (
      ("num_frames", 0),
      ("frame_rate_hz", -1.0),
      ("audio_sec", float("nan")),
      ("max_offset_sec", -0.1),
    ):
      with self.subTest(name), self.assertRaisesRegex(ValueError, f"ClipSpec.{name}"):
        clip_spec.ClipSpec(**{name: value})
    for name, value in (
      ("flip_probability", 1.5),
      ("hue", 0.6),
      ("contrast", -0.1),
      ("crop_area", (0.5, 1.2)),
      ("crop_aspect", (1.2, 0.8)),
      ("volume", (0.0, 1.0)),
    ):
      with self.subTest(name), self.assertRaisesRegex(ValueError, f"Augmentation.{name}"):
        clip_spec.Augmentation(**{name: value})


if __name__ == "__main__":
  tf.test.main()
