"""Generates the sound field of a 360° video from its mono audio and frames, as a stream."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.applications import overlap_add
from avssl_tf.data.media import picture_stream
from avssl_tf.inference.generator import Generator
from avssl_tf.spatial import optical_flow


class FieldGeneration:
  """Runs a generator over a recording of any length.

  The recording is cut into chunks of the generator's input length. Each chunk is processed with the
  frames around its middle, as in evaluation, and the fields of the chunks are cross-faded. W is the
  recording itself.
  """

  def __init__(self, generator: Generator, chunks_per_batch: int = 4):
    """Initialises the object.

    Args:
      generator: the network.
      chunks_per_batch: chunks per batch, at least 1.
    """
    self._generator = generator
    self._clip = generator.clip
    self._chunks_per_batch = chunks_per_batch

  def field(
    self, sound: Iterable[np.ndarray], pictures: picture_stream.PictureGrid
  ) -> Iterator[np.ndarray]:
    """Generates the field.

    Args:
      sound: consecutive blocks, float32 `[samples]`, at the generator's sample rate.
      pictures: frames at the generator's frame rate, `clip.frame_size` high. Frame 0 is at half a
        frame interval after the start of the audio.

    Yields:
      Consecutive blocks, float32 `[samples, 4]`, W Y Z X, with as many samples in total as the
      audio.
    """
    joiner = overlap_add.Joiner()
    num_samples = 0

    def counted() -> Iterator[np.ndarray]:
      nonlocal num_samples
      for block in sound:
        num_samples += len(block)
        yield block

    num_given = 0
    chunks = overlap_add.cut(counted(), self._clip.num_samples(self._generator.sample_rate_hz))
    while True:
      batch = list(itertools.islice(chunks, self._chunks_per_batch))
      if not batch:
        break
      for chunk, made in zip(batch, self._generate(batch, pictures)):
        finished = joiner.add(chunk.start, made)
        num_given += len(finished)
        yield finished
    if num_samples:
      # Remove the padding of a recording shorter than one chunk.
      yield joiner.finish()[: num_samples - num_given]

  def _generate(
    self, chunks: Sequence[overlap_add.Chunk], pictures: picture_stream.PictureGrid
  ) -> np.ndarray:
    """The fields of chunks: float32 `[chunks, samples, 4]`."""
    sound = np.stack([chunk.samples for chunk in chunks])[..., np.newaxis]
    seen = [self._seen(chunk.start, pictures) for chunk in chunks]
    batch = {key: np.stack([one[key] for one in seen]) for key in seen[0]}
    batch[keys.AUDIO] = sound
    # The number of chunks is constant: another number would retrace the network.
    missing = self._chunks_per_batch - len(chunks)
    batch = {
      key: tf.constant(np.concatenate([value, *[value[-1:]] * missing]))
      for key, value in batch.items()
    }
    field = self._generator.generate(batch)[: len(chunks)].numpy()
    return np.concatenate([sound, field[..., 1:]], axis=-1)

  def _seen(self, start: int, pictures: picture_stream.PictureGrid) -> dict[str, np.ndarray]:
    """The visual input of a chunk.

    Returns:
      `VIDEO`: frames, uint8 `[T, H, 2H, 3]`, centred on the middle of the chunk; and `FLOW`, with
      the same dtype and shape, if the generator uses it.
    """
    middle_sec = start / self._generator.sample_rate_hz + self._clip.audio_sec / 2
    first = (middle_sec - self._clip.video_sec / 2) * self._clip.frame_rate_hz
    # The nearest frame, if the frame intervals of the chunk are not aligned with the grid.
    first, count = max(0, math.floor(first + 0.5)), self._clip.num_frames
    if not self._clip.flow:
      return {keys.VIDEO: pictures.take(first, count)}
    # Plus the next frame, for the flow of the last one.
    frames = pictures.take(first, count + 1)
    return {keys.VIDEO: frames[:-1], keys.FLOW: optical_flow.flow_pictures(frames)[:-1]}
