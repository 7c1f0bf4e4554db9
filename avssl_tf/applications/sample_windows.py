"""Stretches of a signal of any length, one after another, that may overlap."""

from collections.abc import Iterator

import numpy as np


class SampleWindows:
  """Gives stretches of a signal that comes in blocks; before and after it there is silence.

  Attributes:
    ended: whether the last stretch reached beyond the end of the signal.
  """

  def __init__(self, blocks: Iterator[np.ndarray]):
    """Takes the signal: float32 `[samples]`, one block after another."""
    self.ended = False
    self._blocks = blocks
    self._held = np.zeros(0, np.float32)
    self._first = 0  # Number of the first sample that is held.

  def take(self, first: int, count: int) -> np.ndarray:
    """Samples `first` to `first + count - 1`: float32 `[count]`.

    Args:
      first: may be negative, and lie beyond the end; not before that of the call before.
      count: number of samples.
    """
    while self._first + len(self._held) < first + count:
      block = next(self._blocks, None)
      if block is None:
        self.ended = True
        break
      self._held = np.concatenate([self._held, block])
    # Of samples that are dropped, none is wanted any more.
    dropped = min(max(0, first - self._first), len(self._held))
    self._held, self._first = self._held[dropped:], self._first + dropped
    before = min(count, max(0, self._first - first))
    there = self._held[max(0, first - self._first) :][: count - before]
    return np.pad(there, (before, count - before - len(there)))
