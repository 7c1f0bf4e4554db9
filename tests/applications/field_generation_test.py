"""Tests of generating the sound field of recordings of any length."""

import dataclasses
import tracemalloc
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from avssl_tf.applications import field_generation
from avssl_tf.data.media import picture_stream
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.inference.generator import Generator
from avssl_tf.spatial import optical_flow

_RATE_HZ = 1000
_CLIP = ClipSpec(num_frames=3, frame_rate_hz=10.0, frame_size=2, audio_sec=0.4, panorama=True)


def _constant(batch):
  w = batch["audio"]
  return tf.concat([tf.zeros_like(w), 0.5 * w, -0.25 * w, w], axis=-1)


def _of_the_picture(batch):
  """Sound from the left if the number of the middle frame is even, otherwise from the right."""
  middle = tf.cast(batch["video"][:, 1, 0, 0, 0], tf.float32)
  side = 1.0 - 2.0 * tf.math.floormod(middle, 2.0)
  w = batch["audio"]
  return tf.concat([w, w * side[:, tf.newaxis, tf.newaxis], 0 * w, 0 * w], axis=-1)


class _Pictures:
  """A grid of frames with their numbers as pixel values."""

  def __init__(self):
    self.most_held = 0
    frames = ((k / 10, k) for k in range(10**9))
    self.grid = picture_stream.PictureGrid(
      frames, lambda k: np.full((2, 4, 3), k % 256, np.uint8), 0.0, 10.0
    )

  def take(self, first, count):
    taken = self.grid.take(first, count)
    self.most_held = max(self.most_held, self.grid.num_held)
    return taken


def _field(generate, signal, chunks_per_batch=3, block=130):
  generation = field_generation.FieldGeneration(
    Generator(_CLIP, _RATE_HZ, generate), chunks_per_batch
  )
  blocks = (signal[i : i + block] for i in range(0, len(signal), block))
  return np.concatenate(list(generation.field(blocks, _Pictures())))


def _signal(length):
  return np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)


class FieldGenerationTest(parameterized.TestCase):

  @parameterized.parameters(1, 50, 399, 400, 401, 600, 1000, 5003)
  def test_a_constant_direction_gives_what_it_would_without_chunks(self, length):
    signal = _signal(length)
    expected = _constant({"audio": signal[:, None]}).numpy()
    # The recording is unchanged, whatever is generated for W.
    expected[:, 0] = signal
    np.testing.assert_array_equal(_field(_constant, signal), expected)

  def test_batches_of_any_size_give_the_same(self):
    signal = _signal(3210)
    for chunks_per_batch in (1, 2, 16):
      np.testing.assert_array_equal(
        _field(_of_the_picture, signal, chunks_per_batch), _field(_of_the_picture, signal)
      )

  def test_a_direction_that_jumps_makes_no_clicks(self):
    field = _field(_of_the_picture, np.ones(6000, np.float32))
    np.testing.assert_array_equal(field[:, 0], 1.0)
    self.assertLess(field[:, 1].min(), -0.99)
    self.assertGreater(field[:, 1].max(), 0.99)
    # A hard cut would be a step of 2.
    self.assertLess(np.abs(np.diff(field[:, 1])).max(), 1.05 * np.pi / 200)

  def test_each_chunk_is_seen_with_the_frames_around_its_middle(self):
    seen = []

    def generate(batch):
      for sound, frames in zip(batch["audio"].numpy(), batch["video"].numpy()):
        seen.append((int(sound[0, 0]), frames[:, 0, 0, 0].tolist()))
      return _constant(batch)

    signal = np.arange(1111, dtype=np.float32)  # Values are positions.
    _field(generate, signal, chunks_per_batch=1)
    # The window of 0.3 s starts 0.05 s after that of the audio, which is rounded up.
    self.assertEqual(
      seen, [(0, [1, 2, 3]), (200, [3, 4, 5]), (400, [5, 6, 7]), (600, [7, 8, 9]),
             (711, [8, 9, 10])],
    )  # fmt: skip

  def test_flow_leads_to_the_frame_after(self):
    seen = []

    def generate(batch):
      seen.append((batch["video"].numpy()[0, :, 0, 0, 0], batch["flow"].numpy()[0, :, 0, 0, 0]))
      return _constant(batch)

    def flow_pictures(frames):
      return 10 * frames + np.append(np.diff(frames, axis=0), frames[:1], 0)

    clip = dataclasses.replace(_CLIP, flow=True)
    with mock.patch.object(optical_flow, "flow_pictures", flow_pictures):
      generation = field_generation.FieldGeneration(Generator(clip, _RATE_HZ, generate), 1)
      list(generation.field([_signal(400)], _Pictures()))
    np.testing.assert_array_equal(seen, [[[1, 2, 3], [11, 21, 31]]])

  def test_the_network_is_traced_once(self):
    traces = []

    @tf.function
    def generate(batch):
      traces.append(batch["audio"].shape)
      return _constant(batch)

    _field(generate, _signal(3210))
    self.assertEqual(traces, [[3, 400, 1]])

  def test_memory_does_not_grow_with_the_length(self):
    peaks, held = [], []
    for num_blocks in (60, 600):
      generation = field_generation.FieldGeneration(Generator(_CLIP, _RATE_HZ, _constant), 4)
      pictures = _Pictures()
      blocks = (np.ones(500, np.float32) for _ in range(num_blocks))
      tracemalloc.start()
      total = sum(len(block) for block in generation.field(blocks, pictures))
      peaks.append(tracemalloc.get_traced_memory()[1])
      tracemalloc.stop()
      held.append(pictures.most_held)
      self.assertEqual(total, num_blocks * 500)
    # Python itself uses some memory; the field takes more than 4 MB more.
    self.assertLess(peaks[1] - peaks[0], 0.05 * 540 * 500 * 4 * 4)
    self.assertEqual(held[0], held[1])
    self.assertLess(held[0], 6)

  def test_of_no_sound_there_is_no_field(self):
    generation = field_generation.FieldGeneration(Generator(_CLIP, _RATE_HZ, _constant))
    self.assertEqual(list(generation.field([], _Pictures())), [])


if __name__ == "__main__":
  absltest.main()
