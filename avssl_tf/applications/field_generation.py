"""The sound field of a 360° video, from its mono sound and its pictures, as a stream."""

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

  The recording is cut into chunks of the generator's length. Each is seen with the frames around
  its middle, as clips are in evaluation, and the fields of the chunks are faded into each other. W
  stays the recording itself.
  """

  def __init__(self, generator: Generator, chunks_per_batch: int = 4):
    """Takes the generator.

    Args:
      generator: the network.
      chunks_per_batch: chunks that it is called with at once, at least 1.
    """
    self._generator = generator
    self._clip = generator.clip
    self._chunks_per_batch = chunks_per_batch

  def field(
    self, sound: Iterable[np.ndarray], pictures: picture_stream.PictureGrid
  ) -> Iterator[np.ndarray]:
    """Generates the field.

    Args:
      sound: float32 `[samples]` at the generator's rate, one block after another.
      pictures: frames at the generator's rate, `clip.frame_size` high; number 0 belongs to the
        middle of the first part of the sound that is as long as a frame.

    Yields:
      float32 `[samples, 4]`, W Y Z X, one block after another: as many samples as the sound has.
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
      # Of a recording shorter than a chunk, the silence after it is left out again.
      yield joiner.finish()[: num_samples - num_given]

  def _generate(
    self, chunks: Sequence[overlap_add.Chunk], pictures: picture_stream.PictureGrid
  ) -> np.ndarray:
    """The fields of chunks: float32 `[chunks, samples, 4]`."""
    sound = np.stack([chunk.samples for chunk in chunks])[..., np.newaxis]
    seen = [self._seen(chunk.start, pictures) for chunk in chunks]
    batch = {key: np.stack([one[key] for one in seen]) for key in seen[0]}
    batch[keys.AUDIO] = sound
    # Always as many chunks: for another number, the network would be traced anew.
    missing = self._chunks_per_batch - len(chunks)
    batch = {
      key: tf.constant(np.concatenate([value, *[value[-1:]] * missing]))
      for key, value in batch.items()
    }
    field = self._generator.generate(batch)[: len(chunks)].numpy()
    return np.concatenate([sound, field[..., 1:]], axis=-1)

  def _seen(self, start: int, pictures: picture_stream.PictureGrid) -> dict[str, np.ndarray]:
    """What is seen in a chunk.

    Returns:
      `VIDEO`: frames, uint8 `[T, H, 2H, 3]`, their middle at the middle of the chunk; and `FLOW`,
      of the same type and shape, where the generator wants it.
    """
    middle_sec = start / self._generator.sample_rate_hz + self._clip.audio_sec / 2
    first = (middle_sec - self._clip.video_sec / 2) * self._clip.frame_rate_hz
    # To the nearest one, where the parts of a chunk are not those of all of the sound.
    first, count = max(0, math.floor(first + 0.5)), self._clip.num_frames
    if not self._clip.flow:
      return {keys.VIDEO: pictures.take(first, count)}
    # With the frame after them, which the flow of the last one leads to.
    frames = pictures.take(first, count + 1)
    return {keys.VIDEO: frames[:-1], keys.FLOW: optical_flow.flow_pictures(frames)[:-1]}
