"""Signals of any length in chunks: cutting them, and joining what is made of the chunks.

Chunks overlap by half. Where they do, one fades out as the next fades in, with the halves of a
periodic Hann window, which sum to one. Only the last chunk may overlap with more of the one before:
it ends where the signal ends, so that all of it is signal.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np


class Chunk(NamedTuple):
  """A part of a signal.

  Attributes:
    start: number of its first sample.
    samples: float32 `[length]`.
  """

  start: int
  samples: np.ndarray


def cut(blocks: Iterable[np.ndarray], length: int) -> Iterator[Chunk]:
  """Cuts a signal into chunks that overlap by half.

  Args:
    blocks: float32 `[samples]`, of any lengths, one after another.
    length: samples of a chunk, at least 2.

  Yields:
    Chunks of that length, in order. A signal that is shorter is one chunk, with silence after it;
    one without samples is none.
  """
  hop = length // 2
  held = np.zeros(0, np.float32)  # From the last chunk on; at the start, all there is.
  start, next_start = 0, 0
  for block in blocks:
    held = np.concatenate([held, block])
    while start + len(held) >= next_start + length:
      held = held[next_start - start :]
      start, next_start = next_start, next_start + hop
      yield Chunk(start, held[:length])
  end = start + len(held)
  if next_start == 0:
    if end:
      yield Chunk(0, np.pad(held, (0, length - end)))
  elif end > start + length:
    yield Chunk(end - length, held[-length:])


class Joiner:
  """Joins what is made of chunks into one signal again."""

  def __init__(self):
    self._start = 0
    self._held = None  # What later chunks may still change.

  def add(self, start: int, made: np.ndarray) -> np.ndarray:
    """Takes what is made of the next chunk.

    Args:
      start: first sample of the chunk, not before that of the last one.
      made: float32 `[length, channels]`.

    Returns:
      float32 `[samples, channels]`: what no later chunk changes any more, up to `start`.
    """
    if self._held is None:
      self._start, self._held = start, made
      return made[:0]
    finished = self._held[: start - self._start]
    overlap = self._held[start - self._start :]
    share = _rise(len(overlap))[:, np.newaxis]
    # In this form, equal samples stay as they are, to the last bit.
    faded = overlap + share * (made[: len(overlap)] - overlap)
    self._start, self._held = start, np.concatenate([faded, made[len(overlap) :]])
    return finished

  def finish(self) -> np.ndarray:
    """The rest: float32 `[samples, channels]`; of no chunks, `[0, 0]`."""
    return np.zeros((0, 0), np.float32) if self._held is None else self._held


def _rise(length: int) -> np.ndarray:
  """The rising half of a periodic Hann window: float32 `[length]`."""
  return (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)
