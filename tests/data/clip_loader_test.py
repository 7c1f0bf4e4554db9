"""Tests of what is taken of a clip: windows, augmentation."""

import dataclasses
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf import types
from avssl_tf.data import clips, pipeline
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
  take,
  write,
)


class WindowsTest(ToyRecordsCase):
  def test_windows_are_near_each_other_and_inside_the_clip(self):
    data = take(self.training(augmentation=None), 100)
    first = first_samples(data[types.AUDIO])
    ramp = data[types.AUDIO][:, :, 0] * DURATION_SEC * SAMPLE_RATE_HZ
    self.assertAllClose(ramp, first[:, None] + np.arange(800), atol=0.01)
    self.assertAllEqual(data[types.AUDIO][:, :, 1], -data[types.AUDIO][:, :, 0])
    numbers = frame_numbers(data[types.VIDEO])
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
    numbers = frame_numbers(take(self.training(clip=clip, augmentation=None), 20)[types.VIDEO])
    self.assertAllEqual(numbers, numbers[:, :1] + 3 * np.arange(4))
    self.assertGreater(len(set(numbers[:, 0])), 5)

  def test_windows_as_long_as_the_clip(self):
    clip = dataclasses.replace(CLIP, num_frames=NUM_STORED_FRAMES, audio_sec=DURATION_SEC)
    data = take(self.training(clip=clip), 2)
    self.assertAllEqual(first_samples(data[types.AUDIO]) < 1, [True] * 8)
    self.assert_shape(data[types.VIDEO], (8, NUM_STORED_FRAMES, 16, 16, 3))


class AugmentationTest(ToyRecordsCase):
  def test_volume(self):
    augmentation = dataclasses.replace(ONLY_CROP, volume=(0.5, 0.9))
    loud = take(self.training(augmentation=ONLY_CROP), 10)[types.AUDIO]
    changed = take(self.training(augmentation=augmentation), 10)[types.AUDIO]
    factors = changed[:, -1, 0] / loud[:, -1, 0]
    self.assertAllClose(changed, loud * factors[:, None, None], rtol=1e-4, atol=1e-6)
    self.assertTrue(0.5 <= factors.min() < 0.6 and 0.8 < factors.max() <= 0.9)

  def test_colour_changes_alike_in_all_frames_and_otherwise_in_each_clip(self):
    augmentation = dataclasses.replace(ONLY_CROP, brightness=0.4, contrast=0.4)
    plain = take(self.training(augmentation=ONLY_CROP), 10)[types.VIDEO].mean(axis=(2, 3, 4))
    changed = take(self.training(augmentation=augmentation), 10)[types.VIDEO].mean(axis=(2, 3, 4))
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
    write(cls.data_dir, [[encode(0, content)]])

  def _training(self, augmentation, count):
    dataset = pipeline.training_dataset(self.data_dir, "train", CLIP, augmentation, 1, seed=0)
    return take(dataset, count)[types.VIDEO]

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


if __name__ == "__main__":
  tf.test.main()
