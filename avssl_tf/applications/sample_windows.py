"""Consecutive, possibly overlapping windows of a signal of any length."""

from collections.abc import Iterator

import numpy as np


class SampleWindows:
  """Windows of a signal that arrives in blocks, with silence before and after it.

  Attributes:
    ended: whether the last window reached beyond the end of the signal.
  """

  def __init__(self, blocks: Iterator[np.ndarray]):
    """Initialises with a signal in consecutive blocks, float32 `[samples]`."""
    self.ended = False
    self._blocks = blocks
    self._held = np.zeros(0, np.float32)
    self._first = 0  # Index of the first stored sample.

  def take(self, first: int, count: int) -> np.ndarray:
    """Returns samples `first` to `first + count - 1`: float32 `[count]`.

    Args:
      first: index of the first sample. It may be negative or beyond the end of the signal, but not
        smaller than in the previous call.
      count: number of samples.
    """
    while self._first + len(self._held) < first + count:
      block = next(self._blocks, None)
      if block is None:
        self.ended = True
        break
      self._held = np.concatenate([self._held, block])
    # Samples before `first` are not needed any more.
    dropped = min(max(0, first - self._first), len(self._held))
    self._held, self._first = self._held[dropped:], self._first + dropped
    before = min(count, max(0, self._first - first))
    there = self._held[max(0, first - self._first) :][: count - before]
    return np.pad(there, (before, count - before - len(there)))
