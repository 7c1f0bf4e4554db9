"""Tests of the similarity of audio and positions: its values, and the inputs of networks."""

import dataclasses

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.sound_localizer import SoundLocalizer
from tests import test_base, tiny_alignment, tiny_av_model

_STRIDE, _SIZE = 8, 32


def _unused(value):
  raise NotImplementedError


def _brightness(frames):
  """A network whose position i is the pixel at i times its stride."""
  value = tf.cast(frames[:, :, ::_STRIDE, ::_STRIDE, :1], tf.float32) / 255.0
  return tf.concat([value, tf.sqrt(1.0 - value**2)], axis=-1)


def _is_bright(waveform):
  ones = tf.ones([tf.shape(waveform)[0], 1])
  return {"features": ones, "embedding": tf.concat([ones, 0 * ones], axis=-1)}


def _encoder(num_channels=1):
  clip = ClipSpec(num_frames=2, frame_rate_hz=8.0, frame_size=_SIZE, audio_sec=0.1)
  return Encoder(clip, 100, num_channels, _unused, _is_bright, _unused, _unused, _brightness)


class SoundLocalizerTest(test_base.TestCase):

  def test_windows_are_over_the_middles_of_equal_parts(self):
    frames = self.rng.integers(0, 256, (3, 2, _SIZE, _SIZE, 3)).astype(np.uint8)
    for windows in (1, 2, 4, 8, 16):
      localizer = SoundLocalizer(_encoder(), windows)
      self.assertEqual(localizer.own_map_size, (4, 4))
      found = localizer.maps(tf.constant(frames), tf.zeros([3, 10, 1]))
      part = _SIZE // windows
      expected = frames[:, :, part // 2 :: part, part // 2 :: part, 0].mean(axis=1) / 255.0
      self.assert_shape(found, (3, windows, windows), tf.float32)
      self.assertAllClose(found, expected, atol=1e-6)

  def test_own_map(self):
    frames = self.rng.integers(0, 256, (3, 2, _SIZE, _SIZE, 3)).astype(np.uint8)
    found = SoundLocalizer(_encoder()).maps(tf.constant(frames), tf.zeros([3, 10, 1]))
    self.assertAllClose(found, frames[:, :, ::8, ::8, 0].mean(axis=1) / 255.0, atol=1e-6)

  def test_mirrored_maps_are_turned_back(self):
    frames = self.rng.integers(0, 256, (2, 2, _SIZE, _SIZE, 3)).astype(np.uint8)
    pixels = frames[..., 0].mean(axis=1) / 255.0
    # Position i is the pixel at 8 i, or with mirrors also that at 8 i + 7.
    low, high = slice(None, None, 8), slice(7, None, 8)
    for mirrors, parts in (
      (("horizontal",), [(low, low), (low, high)]),
      (("vertical",), [(low, low), (high, low)]),
      (("horizontal", "vertical"), [(low, low), (low, high), (high, low), (high, high)]),
    ):
      localizer = SoundLocalizer(_encoder(), mirrors=mirrors)
      found = localizer.maps(tf.constant(frames), tf.zeros([2, 10, 1]))
      expected = np.mean([pixels[:, y, x] for y, x in parts], axis=0)
      self.assertAllClose(found, expected, atol=1e-6)

  def test_what_is_beyond_the_picture_is_as_its_edge(self):
    frames = np.zeros([1, 2, _SIZE, _SIZE, 3], np.uint8)
    frames[:, :, :, -1] = 255

    def rightmost(value):
      return _brightness(tf.repeat(value[:, :, :, -1:], _SIZE, axis=3))

    encoder = dataclasses.replace(_encoder(), embed_video_positions=rightmost)
    found = SoundLocalizer(encoder, 4).maps(tf.constant(frames), tf.zeros([1, 10, 1]))
    # Windows start at columns 4 to 28 less 16; those to the right of 0 exceed the edge.
    self.assertAllClose(found, np.tile([0.0, 0.0, 1.0, 1.0], (1, 4, 1)))

  def test_embeddings_of_a_model(self):
    model = tiny_av_model.make()
    encoder = Encoder.of_model(model, tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1)
    frames, waveform = tiny_av_model.frames(self.rng, 2), tiny_av_model.waveforms(self.rng, 2)
    localizer = SoundLocalizer(encoder, 2)
    self.assertEqual(localizer.own_map_size, (1, 1))
    found = localizer.maps(frames, waveform)
    # The only position of the network is at the first pixel, moved to a quarter of the frame.
    rows = np.minimum(np.arange(16) + 4, 15)
    moved = tf.gather(tf.gather(frames, rows, axis=2), rows, axis=3)
    position = model.embed_video_positions(moved)[:, 0, 0, 0]
    sound = model.embed_audio(waveform)["embedding"]
    self.assertAllClose(found[:, 0, 0], tf.reduce_sum(position * sound, axis=-1), atol=1e-5)

  def test_the_mean_over_time(self):
    places = tf.random.normal([2, 3, 4, 5, 6])
    sounds = tf.random.normal([2, 6])
    found = SoundLocalizer(_encoder()).similarity(places, sounds)
    expected = np.zeros([2, 4, 5])
    for b, t, y, x in np.ndindex(2, 3, 4, 5):
      expected[b, y, x] += np.dot(places[b, t, y, x], sounds[b]) / 3
    self.assertAllClose(found, expected, atol=1e-5)

  def test_a_network_of_360_clips_compares_predictions_with_targets(self):
    model = tiny_alignment.built_network()
    encoder = Encoder.of_model(model, tiny_alignment.CLIP, 8000, 4)
    frames = tf.constant(self.rng.integers(0, 256, (2, 2, 16, 16, 3)), tf.uint8)
    mono = tf.constant(self.rng.normal(0, 0.1, (2, 2400, 1)), tf.float32)
    # From straight ahead: W equals X, and Y and Z are 0.
    ahead = mono * [1.0, 0.0, 0.0, 1.0]
    localizer = SoundLocalizer(encoder)
    self.assertAllClose(localizer.sound_for_network(mono), ahead, atol=1e-6)
    views = {"video": frames[:, tf.newaxis], "audio": ahead[:, tf.newaxis]}
    expected = model(views)["prediction"]["video"][:, 0]
    for sound in (mono, ahead):
      self.assertAllClose(localizer.sounds(sound, frames), expected, atol=1e-5)
    # The frames do not affect the result.
    self.assertAllClose(localizer.sounds(mono, frames[::-1]), expected, atol=1e-5)
    features = model.video_maps(frames)["conv5x"]
    head = model.translation.heads["video"]
    target = tf.math.l2_normalize(head(features[:, 0, 0, 0]), axis=-1)
    self.assertAllClose(model.embed_video_positions(frames)[:, 0, 0, 0], target, atol=1e-5)

  def test_other_numbers_of_channels_are_refused(self):
    for wanted, found in ((1, 2), (2, 1), (4, 2)):
      with self.assertRaisesRegex(ValueError, f"has {found} channel.*requires {wanted}"):
        SoundLocalizer(_encoder(wanted)).sound_for_network(tf.zeros([1, 10, found]))
    with self.assertRaisesRegex(ValueError, "windows is 0"):
      SoundLocalizer(_encoder(), 0)
    with self.assertRaisesRegex(ValueError, "mirrors is .*expected some of"):
      SoundLocalizer(_encoder(), mirrors=("diagonal",))


if __name__ == "__main__":
  tf.test.main()
