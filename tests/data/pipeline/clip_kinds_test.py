"""Tests of windows and augmentation of clips."""

import dataclasses
import os
import tempfile

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data import clip_content
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records import dataset_info
from avssl_tf.training.configurations import configuration
from tests import test_base
from tests.data.toy_records import (
  CLIP,
  DURATION_SEC,
  FRAME_RATE_HZ,
  NUM_STORED_FRAMES,
  ONLY_CROP,
  SAMPLE_RATE_HZ,
  SIZE,
  ToyRecordsCase,
  encode,
  first_samples,
  frame_numbers,
  merge,
  record,
  take,
  write,
)


class WindowsTest(ToyRecordsCase):
  def test_windows_are_near_each_other_and_inside_the_clip(self):
    data = take(self.training(augmentation=None), 100)
    first = first_samples(data[keys.AUDIO])
    ramp = data[keys.AUDIO][:, :, 0] * DURATION_SEC * SAMPLE_RATE_HZ
    self.assertAllClose(ramp, first[:, None] + np.arange(800), atol=0.01)
    self.assertAllEqual(data[keys.AUDIO][:, :, 1], -data[keys.AUDIO][:, :, 0])
    numbers = frame_numbers(data[keys.VIDEO])
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
    numbers = frame_numbers(take(self.training(clip=clip, augmentation=None), 20)[keys.VIDEO])
    self.assertAllEqual(numbers, numbers[:, :1] + 3 * np.arange(4))
    self.assertGreater(len(set(numbers[:, 0])), 5)

  def test_windows_as_long_as_the_clip(self):
    clip = dataclasses.replace(CLIP, num_frames=NUM_STORED_FRAMES, audio_sec=DURATION_SEC)
    data = take(self.training(clip=clip), 2)
    self.assertAllEqual(first_samples(data[keys.AUDIO]) < 1, [True] * 8)
    self.assert_shape(data[keys.VIDEO], (8, NUM_STORED_FRAMES, 16, 16, 3))


class PublishedWindowsTest(ToyRecordsCase):
  """Offset of video and audio under the published settings, compared with a reference.

  In the reference, the audio window is drawn first, uniformly over the clip, then the video window,
  uniformly over its range: from some seconds before the start of the audio to some seconds after
  its end, inside the clip.
  """

  _CLIP_SEC = 6.0
  _STEPS, _BATCH = 100, 40

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    num_frames = round(cls._CLIP_SEC * FRAME_RATE_HZ)
    levels = 4 * np.arange(num_frames)[:, None, None, None] + 16
    ramp = np.arange(round(cls._CLIP_SEC * SAMPLE_RATE_HZ), dtype=np.float32) / 1e4
    content = clip_content.Content(
      frames=np.broadcast_to(levels, (num_frames, SIZE, SIZE, 3)).astype(np.uint8),
      timestamps_us=np.arange(num_frames) * 100_000,
      waveform=np.stack([ramp, -ramp], axis=1),
      label=None,
    )
    write(folder.name, [[encode(index, content) for index in range(cls._BATCH)]])
    info = dataset_info.DatasetInfo.load(folder.name)
    dataclasses.replace(info, clip_duration_sec=cls._CLIP_SEC).save(folder.name)
    cls.data_dir = folder.name

  def drawn(self, files):
    """Starts of the audio and offsets of the centres, in seconds, with the gin files."""
    configuration.parse(files)
    self.addCleanup(gin.clear_config)
    published = gin.get_bindings("train")["clip"]
    self.assertEqual(published.video_sec, 0.5)
    clip = dataclasses.replace(
      CLIP, num_frames=5, audio_sec=published.audio_sec, max_offset_sec=published.max_offset_sec
    )
    data = take(self.training(self._BATCH, clip=clip, augmentation=None), self._STEPS)
    start_sec = np.round(data[keys.AUDIO][:, 0, 0] * 1e4) / SAMPLE_RATE_HZ
    frame = np.round((data[keys.VIDEO][:, 0].mean(axis=(1, 2, 3)) - 16) / 4)
    return start_sec, frame / FRAME_RATE_HZ + 0.25 - start_sec - clip.audio_sec / 2

  def expected(self, audio_sec, beyond_sec):
    """The same, as published."""
    rng = np.random.default_rng(5)
    start_sec = rng.uniform(0, self._CLIP_SEC - audio_sec, self._STEPS * self._BATCH)
    low = np.maximum(start_sec - beyond_sec, 0.0)
    high = np.minimum(start_sec + audio_sec + beyond_sec, self._CLIP_SEC) - 0.5
    return start_sec, rng.uniform(low, high) + 0.25 - start_sec - audio_sec / 2

  def assert_as_published(self, files, audio_sec, beyond_sec, most_sec):
    start_sec, offset_sec = self.drawn(files)
    oracle_start_sec, oracle_sec = self.expected(audio_sec, beyond_sec)
    self.assertAllInRange(offset_sec, -most_sec - 0.01, most_sec + 0.01)
    last = self._CLIP_SEC - audio_sec
    # All clips; the two ends of a clip, which limit the range; and its middle.
    for first, end in ((0, last), (0, 0.5), (last - 0.5, last), (1, 3)):
      inside = (first <= start_sec) & (start_sec <= end)
      oracle_inside = (first <= oracle_start_sec) & (oracle_start_sec <= end)
      self.assertNear(inside.mean(), oracle_inside.mean(), 0.04)
      found = np.quantile(offset_sec[inside], np.linspace(0.02, 0.98, 9))
      wanted = np.quantile(oracle_sec[oracle_inside], np.linspace(0.02, 0.98, 9))
      # Frames are 0.1 s apart.
      self.assertAllClose(found, wanted, rtol=0, atol=0.05 + 0.11 * most_sec)
    return np.std(offset_sec[(0.5 <= start_sec) & (start_sec <= last - 0.5)])

  def test_avid(self):
    files = ["gin/avid.gin", "gin/scale/kinetics400.gin"]
    spread_sec = self.assert_as_published(files, 2.0, 0.5, 1.25)
    self.assertNear(spread_sec, 0.72, 0.03)

  def test_avsa(self):
    spread_sec = self.assert_as_published(["gin/avsa.gin", "gin/scale/yt360.gin"], 1.0, 0.0, 0.25)
    self.assertNear(spread_sec, 0.144, 0.02)

  def test_settings_of_old_files_keep_their_meaning(self):
    late = os.path.join(self.get_temp_dir(), "late.gin")
    with open(late, "w", encoding="utf-8") as f:
      f.write("ClipSpec.max_offset_sec = 0.5\n")
    _, offset_sec = self.drawn(["gin/avid.gin", "gin/scale/kinetics400.gin", late])
    self.assertNear(np.abs(offset_sec).max(), 0.5, 0.01)
    self.assertNear(np.std(offset_sec), 0.3, 0.02)
    self.assertEqual(datasets.ClipSpec().max_offset_sec, 0.5)


class OneModalityTest(ToyRecordsCase):
  """Clips of 2, 1.6 and 1 seconds with video only, or audio only."""

  def write_alone(self, modality):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.data_dir = folder.name
    lengths = (20, 16, 10)
    stored = [record(i, n, label=i, modalities=[modality]) for i, n in enumerate(lengths)]
    write(self.data_dir, [stored], [modality])

  def test_pictures_alone(self):
    self.write_alone(keys.VIDEO)
    data = take(self.training(batch_size=3, augmentation=None), 60)
    self.assertEqual(set(data), {keys.VIDEO, keys.INDEX, keys.LABEL, keys.KEY})
    first = frame_numbers(data[keys.VIDEO])[:, 0]
    for index, last in enumerate((16, 12, 6)):
      starts = first[data[keys.INDEX] == index]
      self.assertEqual((starts.min(), starts.max()), (0, last))
    augmented = take(self.training(batch_size=3), 2)
    self.assert_shape(augmented[keys.VIDEO], (6, 4, 16, 16, 3))

  def test_windows_of_pictures_are_spread_over_each_clip(self):
    self.write_alone(keys.VIDEO)
    data = merge(self.evaluation(windows_per_clip=3).as_numpy_iterator())
    self.assertNotIn(keys.AUDIO, data)
    first = frame_numbers(data[keys.VIDEO])[:, 0].reshape(3, 3)
    self.assertAllEqual(first, [[0, 8, 16], [0, 6, 12], [0, 3, 6]])

  def test_sound_alone(self):
    self.write_alone(keys.AUDIO)
    data = take(self.training(batch_size=3), 60)
    self.assertEqual(set(data), {keys.AUDIO, keys.INDEX, keys.LABEL, keys.KEY})
    self.assert_shape(data[keys.AUDIO], (180, 800, 2))
    self.assertAllEqual(data[keys.LABEL], data[keys.INDEX])
    even = merge(self.evaluation(windows_per_clip=3).as_numpy_iterator())
    first = first_samples(even[keys.AUDIO]).reshape(3, 3)
    self.assertAllEqual(first, [[0, 600, 1200], [0, 400, 800], [0, 100, 200]])

  def test_settings_of_what_is_not_there_do_not_matter(self):
    self.write_alone(keys.VIDEO)
    take(self.training(batch_size=3, clip=dataclasses.replace(CLIP, audio_sec=60.0)), 1)
    with self.assertRaisesRegex(ValueError, "ClipSpec.video_sec is 6 s"):
      self.training(batch_size=3, clip=dataclasses.replace(CLIP, num_frames=60))

  def test_a_clip_that_is_too_short_is_named(self):
    for modality, changes, found in (
      (keys.VIDEO, {"num_frames": 12}, r"clip2@0.000.*Number of stored frames:.*\[10\].*\[12\]"),
      (keys.AUDIO, {"audio_sec": 1.2}, r"clip2@0.000.*Number of samples:.*\[1000\].*\[1200\]"),
    ):
      self.write_alone(modality)
      with self.assertRaisesRegex(tf.errors.InvalidArgumentError, found):
        list(self.evaluation(clip=dataclasses.replace(CLIP, **changes)))

  def test_frames_of_short_clips_begin_anew_where_that_is_wanted(self):
    self.write_alone(keys.VIDEO)
    clip = dataclasses.replace(CLIP, num_frames=18, repeat_frames=True)
    evenly = frame_numbers(merge(self.evaluation(clip=clip).as_numpy_iterator())[keys.VIDEO])
    self.assertAllEqual(
      evenly, [np.arange(1, 19), [*range(16), 0, 1], [*range(10), *range(8)]]
    )
    drawn = take(self.training(batch_size=3, clip=clip, augmentation=None), 20)
    rows = np.flatnonzero(drawn[keys.INDEX] == 2)
    self.assertAllEqual(
      frame_numbers(drawn[keys.VIDEO][rows]), [[*range(10), *range(8)]] * len(rows)
    )


class AugmentationTest(ToyRecordsCase):
  def test_volume(self):
    augmentation = dataclasses.replace(ONLY_CROP, volume=(0.5, 0.9))
    loud = take(self.training(augmentation=ONLY_CROP), 10)[keys.AUDIO]
    changed = take(self.training(augmentation=augmentation), 10)[keys.AUDIO]
    factors = changed[:, -1, 0] / loud[:, -1, 0]
    self.assertAllClose(changed, loud * factors[:, None, None], rtol=1e-4, atol=1e-6)
    self.assertTrue(0.5 <= factors.min() < 0.6 and 0.8 < factors.max() <= 0.9)

  def test_colour_changes_alike_in_all_frames_and_otherwise_in_each_clip(self):
    augmentation = dataclasses.replace(ONLY_CROP, brightness=0.4, contrast=0.4)
    plain = take(self.training(augmentation=ONLY_CROP), 10)[keys.VIDEO].mean(axis=(2, 3, 4))
    changed = take(self.training(augmentation=augmentation), 10)[keys.VIDEO].mean(axis=(2, 3, 4))
    # Brightness and contrast make an affine map of the grey levels, one for each clip.
    slopes = np.diff(changed) / np.diff(plain)
    clipped = changed.max(axis=1) > 254
    self.assertLess(np.ptp(slopes[~clipped], axis=1).max(), 0.25)
    self.assertGreater(np.ptp(slopes[~clipped].mean(axis=1)), 0.5)


class StillClipTest(test_base.TestCase):
  """A clip of identical frames, dark on the left and bright on the right."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.data_dir = folder.name
    shade = np.linspace(0, 200, SIZE)[None, None, :, None]
    content = clip_content.Content(
      frames=np.broadcast_to(shade, (20, SIZE, SIZE, 3)).astype(np.uint8),
      timestamps_us=np.arange(20) * 100_000,
      waveform=np.full((2000, 2), 0.1, np.float32),
    )
    write(cls.data_dir, [[encode(0, content)]])

  def _training(self, augmentation, count):
    dataset = datasets.training_dataset(self.data_dir, "train", CLIP, augmentation, 1, seed=0)
    return take(dataset, count)[keys.VIDEO]

  def test_without_augmentation_it_looks_as_in_evaluation(self):
    still = next(iter(datasets.evaluation_dataset(self.data_dir, "train", CLIP, 1)))[keys.VIDEO]
    self.assertAllEqual(self._training(None, 3), np.repeat(still, 3, axis=0))
    self.assertGreater(np.ptp(still[0, 0, 0, :, 0]), 100)

  def test_frames_of_a_clip_are_changed_alike(self):
    video = self._training(datasets.Augmentation(), 10)
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


if __name__ == "__main__":
  tf.test.main()
