"""Overlap-add: cuts signals of any length into chunks, and joins the processed chunks.

Chunks overlap by half and are cross-faded with the halves of a periodic Hann window, which sum to
one. Only the last chunk may have a larger overlap: it ends at the end of the signal and thus needs
no padding.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np


class Chunk(NamedTuple):
  """A part of a signal.

  Attributes:
    start: index of its first sample.
    samples: float32 `[length]`.
  """

  start: int
  samples: np.ndarray


def cut(blocks: Iterable[np.ndarray], length: int) -> Iterator[Chunk]:
  """Cuts a signal into chunks that overlap by half.

  Args:
    blocks: consecutive blocks of any lengths, float32 `[samples]`.
    length: samples per chunk, at least 2.

  Yields:
    Chunks of that length, in order. A shorter signal gives one chunk, padded with silence; an empty
    signal gives none.
  """
  hop = length // 2
  held = np.zeros(0, np.float32)  # Samples from the start of the last chunk, or all before it.
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
  """Joins processed chunks into one signal."""

  def __init__(self):
    self._start = 0
    self._held = None  # Samples that later chunks may still change.

  def add(self, start: int, made: np.ndarray) -> np.ndarray:
    """Adds the next processed chunk.

    Args:
      start: index of the first sample of the chunk, not before that of the last one.
      made: float32 `[length, channels]`.

    Returns:
      float32 `[samples, channels]`: the finished samples before `start`, which later chunks do not
      change.
    """
    if self._held is None:
      self._start, self._held = start, made
      return made[:0]
    finished = self._held[: start - self._start]
    overlap = self._held[start - self._start :]
    share = _rise(len(overlap))[:, np.newaxis]
    # In this form, equal samples remain bitwise identical.
    faded = overlap + share * (made[: len(overlap)] - overlap)
    self._start, self._held = start, np.concatenate([faded, made[len(overlap) :]])
    return finished

  def finish(self) -> np.ndarray:
    """Returns the remaining samples: float32 `[samples, channels]`; `[0, 0]` without chunks."""
    return np.zeros((0, 0), np.float32) if self._held is None else self._held


def _rise(length: int) -> np.ndarray:
  """The rising half of a periodic Hann window: float32 `[length]`."""
  return (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)
