"""Tests of panoramas: missing channels of sound fields."""

import dataclasses

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf import keys
from avssl_tf.data.pipeline import panorama
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.spatial import ambisonics, directions
from tests import test_base


class KnownChannelsTest(test_base.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    # A quiet second-order recording.
    self.field = 0.05 * self.rng.normal(size=[2000, 9]).astype(np.float32)

  def known(self, missing):
    return [number not in missing for number in range(9)]

  @parameterized.parameters(
    ([], []),
    ([2], [2]),
    # Rotations about the vertical axis mix Y and X, and other pairs of the same degree.
    ([1], [1, 3]),
    ([3], [1, 3]),
    ([1, 2, 3], [1, 2, 3]),
    ([4], [4, 8]),
    ([7], [5, 7]),
    ([6], [6]),
  )
  def test_silent_channels(self, silent, missing):
    rounding = self.rng.uniform(-0.5, 0.5, self.field.shape).astype(np.float32) / 2**15
    for rest in (np.zeros_like(rounding), rounding):
      field = np.where(np.isin(range(9), silent), rest, self.field)
      known = tf.function(panorama.known_channels)(field)
      self.assert_shape(known, [9], tf.bool)
      self.assertAllEqual(known, self.known(missing))

  def test_a_turned_field_has_the_same_channels(self):
    for silent in ([], [2], [1, 3], [1, 2, 3]):
      field = np.where(np.isin(range(4), silent), 0, self.field[:, :4])
      for yaw_rad in (0.3, 2.0, np.pi):
        turned = ambisonics.rotate(field, directions.rotation(tf.constant(yaw_rad, tf.float32)))
        self.assertAllEqual(
          panorama.known_channels(turned), panorama.known_channels(field)
        )

  def test_what_is_missing_is_missing_in_turned_examples(self):
    clip = ClipSpec(num_frames=1, frame_rate_hz=1.0, frame_size=8, audio_sec=0.5,
                    max_offset_sec=0.0, panorama=True)  # fmt: skip
    stored = StoredClip(
      frames=tf.io.encode_jpeg(np.zeros([8, 16, 3], np.uint8))[tf.newaxis],
      waveform=tf.constant(self.field[:, :4] * np.float32([1, 1, 0, 0])),
      sample_rate_hz=2000,
      frame_rate_hz=tf.constant(1.0),
      label=tf.constant(-1, tf.int64),
      key=tf.constant("a clip"),
    )
    kind = panorama.Panorama(clip)
    uniforms = tf.constant(self.rng.random(kind.num_uniforms()))
    example = kind.random_example(stored, Augmentation(turn_scene=True), uniforms)
    self.assertAllEqual(example[keys.CHANNELS], [True, False, False, False])
    # Part of Y has become X.
    self.assertGreater(np.abs(example[keys.AUDIO][:, 3]).max(), 0.01)

  def test_sound_that_begins_late_or_is_faint(self):
    late = self.field * (np.arange(2000) >= 1900)[:, np.newaxis]
    faint = self.field * np.float32([1, 1, 0.01, 1, 1, 1, 1, 1, 1])
    for field in (late, faint):
      self.assertAllEqual(panorama.known_channels(field), self.known([]))

  def test_silence(self):
    self.assertAllEqual(panorama.known_channels(np.zeros_like(self.field)), self.known(range(9)))


class ZeroBatchTest(test_base.TestCase):

  def test_still_and_silent(self):
    clip = ClipSpec(num_frames=3, frame_size=8, audio_sec=0.5, panorama=True)
    plain = panorama.Panorama(clip).zero_batch(1000, 4)
    self.assertEqual(sorted(plain), ["audio", "video"])
    self.assert_shape(plain["video"], [2, 3, 8, 16, 3], tf.uint8)
    self.assert_shape(plain["audio"], [2, 500, 4], tf.float32)
    clip = dataclasses.replace(clip, flow=True)
    moving = panorama.Panorama(clip).zero_batch(1000, 4)
    self.assertEqual(sorted(moving), ["audio", "flow", "video"])
    # Nothing moves.
    self.assertAllEqual(moving["flow"], np.full([2, 3, 8, 16, 3], 128))
    self.assertEqual(moving["flow"].dtype, tf.uint8)


if __name__ == "__main__":
  tf.test.main()
