"""Tests of images of batches: their content, and that they do not affect training."""

import os

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.models import av_model, front_end, network
from avssl_tf.models.spatialization.spatial_unet import SpatialUNet
from avssl_tf.training import batch_picture, training_data
from tests import event_files, test_base, tiny_alignment, tiny_generator, tiny_run, two_replicas

_RED, _GREEN, _BLUE = (200, 30, 20), (20, 180, 40), (30, 40, 220)
_RATE_HZ = tiny_run.SPECTROGRAM.sample_rate_hz


def _frames(*colours, height=16, width=16):
  """Frames of one colour each: uint8 `[1, T, height, width, 3]`."""
  frames = np.empty((1, len(colours), height, width, 3), np.uint8)
  frames[:] = np.array(colours, np.uint8)[:, np.newaxis, np.newaxis]
  return frames


def _tone(frequency_hz, num_channels=1, seconds=0.3):
  """A tone in all channels: float32 `[1, samples, channels]`."""
  times = np.arange(round(seconds * _RATE_HZ)) / _RATE_HZ
  tone = 0.5 * np.sin(2 * np.pi * frequency_hz * times)
  return np.repeat(tone[np.newaxis, :, np.newaxis], num_channels, axis=2).astype(np.float32)


def _batch(video, audio, **more):
  count = len(video)
  batch = {
    keys.VIDEO: video,
    keys.AUDIO: audio,
    keys.LABEL: np.zeros(count, np.int64),
    keys.KEY: np.array([b"cost$_{in$.mp4"] * count),
    **more,
  }
  return {key: tf.constant(value) for key, value in batch.items()}


def _columns(picture, colour):
  """Columns with a coloured pixel."""
  return np.flatnonzero((picture == colour).all(axis=2).any(axis=0))


def _rows(picture, colour):
  return np.flatnonzero((picture == colour).all(axis=2).any(axis=1))


class _Network(av_model.AudioVisualModel):
  """The drawn maps of a network."""

  def __init__(self, layer):
    network.Network.__init__(self)
    self.audio_front_end = layer
    # Levels between silence and the tone, as with the statistics of real audio.
    layer.set_statistics(np.full(64, -40.0), np.full(64, 20.0))


class DrawTest(test_base.TestCase):

  def draw(self, batch, layer=None, clip=tiny_run.CLIP):
    drawn = _Network(layer or front_end.AudioFrontEnd(tiny_run.SPECTROGRAM))
    picture = batch_picture.draw(batch, drawn, clip, ["bell$"])
    self.assert_shape(picture, [None, None, 3])
    self.assertEqual(picture.dtype, np.uint8)
    return picture

  def test_frames_in_their_order_and_colours(self):
    picture = self.draw(_batch(_frames(_RED, _GREEN, _BLUE), _tone(500)))
    red, green, blue = (_columns(picture, colour) for colour in (_RED, _GREEN, _BLUE))
    self.assertLess(red.max(), green.min())
    self.assertLess(green.max(), blue.min())
    self.assertNear(len(red), len(blue), 3)

  def test_as_many_frames_as_fit(self):
    colours = [(10 * index, 0, 255 - 10 * index) for index in range(20)]
    picture = self.draw(_batch(_frames(*colours), _tone(500)))
    shown = [index for index, colour in enumerate(colours) if len(_columns(picture, colour))]
    self.assertEqual(shown, [0, 3, 5, 8, 11, 14, 16, 19])
    picture = self.draw(_batch(_frames(*colours, width=32), _tone(500)))
    self.assertEqual(sum(len(_columns(picture, colour)) > 0 for colour in colours), 4)

  def test_high_frequencies_are_above(self):
    def middle(frequency_hz):
      picture = self.draw(_batch(_frames(_BLUE), _tone(frequency_hz)))
      below = picture[_rows(picture, _BLUE).max() + 5 :, 50:480].astype(float)
      brightness = np.maximum(below.sum(axis=2) - below.sum(axis=2).mean(), 0)
      brightness[(below == 255).all(axis=2)] = 0  # Paper.
      return np.average(np.arange(len(below)), weights=brightness.sum(axis=1))

    self.assertGreater(middle(300), middle(3000) + 20)

  def test_louder_is_brighter(self):
    soft, loud = (
      self.draw(_batch(_frames(_BLUE), volume * _tone(1000))) for volume in (0.01, 1.0)
    )
    self.assertGreater((loud.astype(int) - soft).sum(), 0)

  def test_flow_of_panoramas_lies_below(self):
    clip = ClipSpec(num_frames=2, frame_size=16, audio_sec=0.3, panorama=True, flow=True)
    flow = (90, 160, 130)
    batch = _batch(
      _frames(_RED, _RED, width=32), _tone(500), **{keys.FLOW: _frames(flow, flow, width=32)}
    )
    picture = self.draw(batch, clip=clip)
    self.assertLess(_rows(picture, _RED).max(), _rows(picture, flow).min())
    self.assertEmpty(_rows(self.draw(_batch(_frames(_RED, width=32), _tone(500))), flow))

  def test_views_side_by_side_with_all_maps_of_their_sound(self):
    video = np.stack([_frames(_RED, _RED), _frames(_GREEN, _GREEN), _frames(_BLUE, _BLUE)], axis=1)
    audio = np.stack([_tone(500, num_channels=4)] * 3, axis=1)
    audio[:, 0, :, 3] *= -1  # From behind.
    batch = _batch(
      video,
      audio,
      **{
        keys.VIEW_LABEL: np.array([[0, -1, 0]]),
        keys.DIRECTION: np.zeros([1, 3, 2], np.float32),
      },
    )
    layer = front_end.AmbisonicFrontEnd(tiny_run.SPECTROGRAM)
    picture = self.draw(batch, layer, tiny_alignment.CLIP)
    third = picture.shape[1] // 3
    for index, colour in enumerate((_RED, _GREEN, _BLUE)):
      columns = _columns(picture, colour)
      self.assertGreater(columns.min(), index * third)
      self.assertLess(columns.max(), (index + 1) * third)
    # The lowest map distinguishes front (red) and back (blue) in the bins of the tone.
    lowest = picture[-70:-30].astype(int)
    back, front = ((part[..., 0] - part[..., 2]).sum() for part in (
      lowest[:, :third], lowest[:, third : 2 * third]
    ))  # fmt: skip
    self.assertLess(back, 0)
    self.assertGreater(front, 0)

  def test_several_clips(self):
    video = np.concatenate([_frames(_RED), _frames(_GREEN), _frames(_BLUE)])
    picture = self.draw(_batch(video, np.concatenate([_tone(500)] * 3)))
    self.assertLess(_columns(picture, _RED).max(), _columns(picture, _GREEN).min())
    self.assertLess(_rows(picture, _RED).max(), _rows(picture, _BLUE).min())

  def test_room(self):
    self.assertEqual(batch_picture.max_clips(tiny_run.CLIP), 8)
    self.assertEqual(batch_picture.max_clips(tiny_alignment.CLIP), 2)


class FirstClipsTest(tiny_run.TestCase):

  def data(self, batch_size, strategy=None):
    return training_data.TrainingData(
      self.data_dir, "train", tiny_run.CLIP, Augmentation(), batch_size, 1,
      strategy or tf.distribute.get_strategy(),
    )  # fmt: skip

  def test_they_are_those_that_training_sees(self):
    data = self.data(batch_size=8)
    for sampling in ("independent", "shuffle"):
      for step in (0, 5):
        with self.subTest(f"{sampling} {step}"):
          seen = next(iter(data.batches(step, sampling, seed=3)))
          shown = data.first_clips(step, sampling, 3, max_clips=5)
          self.assertEqual(len(shown[keys.INDEX]), 4)
          self.assertEqual(set(shown), set(seen))
          for key, value in shown.items():
            np.testing.assert_array_equal(value, seen[key][:4], key)

  def test_of_all_replicas(self):
    data = self.data(batch_size=6, strategy=two_replicas.strategy())
    (seen, others) = two_replicas.strategy().experimental_local_results(
      next(iter(data.batches(2, "independent", seed=3)))[keys.INDEX]
    )
    shown = data.first_clips(2, "independent", 3, max_clips=6)
    np.testing.assert_array_equal(
      shown[keys.INDEX], np.concatenate([seen.numpy(), others.numpy()])
    )

  def test_batch_of_a_size_that_nothing_divides(self):
    self.assertEqual(len(self.data(7).first_clips(1, "shuffle", 0, max_clips=6)[keys.INDEX]), 1)


class RunTest(tiny_run.TestCase):

  def pictures(self, name):
    found = list(event_files.pictures(self.path(f"{name}/tensorboard")))
    self.assertLessEqual({tag for _, tag, _ in found}, {"batch/clips"})
    return {step: picture for step, _, picture in found}

  def test_training_does_not_notice(self):
    for name, number in (("without", 0), ("with", 2)):
      tiny_run.train(
        self.data_dir, self.path(name), batch_pictures=number, num_epochs=3,
        augmentation=Augmentation(),
      )  # fmt: skip
    self.assertEqual(self.pictures("without"), {})
    # Two epochs of three steps have them, the third has none.
    pictures = self.pictures("with")
    self.assertEqual(sorted(pictures), [0, 3])
    self.assertFalse(np.array_equal(pictures[0], pictures[3]))
    self.assert_same_state(
      tiny_run.saved(self.path("with")), tiny_run.saved(self.path("without"))
    )

  def test_a_run_on_two_replicas_that_goes_on_draws_what_is_due(self):
    for num_epochs in (1, 2):
      tiny_run.train(
        self.data_dir, self.path("run"), two_replicas.strategy(), batch_pictures=2,
        num_epochs=num_epochs,
      )  # fmt: skip
      self.assertEqual(sorted(self.pictures("run")), [0, 3][:num_epochs])

  def test_networks_of_360_degree_clips(self):
    data_dir = tiny_alignment.make_data(self.path("data360"), num_train=8, num_test=1)
    tiny_run.train(
      data_dir, self.path("views"), batch_pictures=1, num_epochs=1, clip=tiny_alignment.CLIP,
      network=tiny_alignment.tiny_network, task=tiny_alignment.task,
    )  # fmt: skip
    result = tiny_generator.train(data_dir, self.path("whole"), "train.batch_pictures = 1")
    self.assertIsInstance(result.task.network, SpatialUNet)
    for name in ("views", "whole"):
      self.assertEqual(list(self.pictures(name)), [0])
      self.assertGreater(self.pictures(name)[0].std(), 20)
      self.assertEqual(
        [file for file in os.listdir(self.path(f"{name}/tensorboard")) if "tfevents" not in file],
        [],
      )


if __name__ == "__main__":
  tf.test.main()
