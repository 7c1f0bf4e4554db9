"""Attempts of an engine to run tasks: what has begun, died or failed, and what is to be skipped."""

import collections
from typing import Optional

from avssl_tf.engines.engine import CRASHED

_MOST_IDLE_DEATHS = 4


class Begun:
  """The number of items begun of each task, reported while the tasks run."""

  def __init__(self):
    self._counts: dict[int, int] = collections.Counter()

  def begin(self, position: int, item: int) -> None:
    """Notes that a task begins an item."""
    self._counts[position] = item + 1

  def last(self, position: int) -> int:
    """The item that a task began last; -1 if there is none."""
    return self._counts[position] - 1

  def total(self) -> int:
    """The number of items begun of all tasks."""
    return sum(self._counts.values())


class Attempts:
  """The tasks that wait, and the history of the others.

  Attributes:
    waiting: positions of the tasks that wait, in order.
  """

  def __init__(self, num_tasks: int):
    self.waiting = collections.deque(range(num_tasks))
    self._idle_deaths = 0
    self._failed: set[int] = set()
    self._deaths: dict[tuple[int, int], int] = collections.Counter()
    self._skip: dict[int, dict[int, str]] = collections.defaultdict(dict)

  def skip(self, position: int) -> dict[int, str]:
    """Reasons for items of a task that must be skipped, by item number."""
    return self._skip[position]

  def lost(self, position: Optional[int]) -> None:
    """A task ended for a reason outside of it, and waits again; None: there was no task."""
    if position is not None:
      self.waiting.appendleft(position)

  def died(self, position: Optional[int], item: Optional[int]) -> bool:
    """The process of a task died at an item, which is skipped after the second time.

    Args:
      position: the task; None: the process had none yet.
      item: the item; None or -1: the task had not begun.

    Returns:
      Whether to continue; not if processes have died repeatedly before they began anything.
    """
    if item is None or item < 0:
      self._idle_deaths += 1
      return self._idle_deaths < _MOST_IDLE_DEATHS
    self._idle_deaths = 0
    self._deaths[position, item] += 1
    if self._deaths[position, item] == 2:
      self._skip[position][item] = CRASHED
    return True

  def failed(self, position: int) -> bool:
    """A task raised an exception; returns whether it had before."""
    before = position in self._failed
    self._failed.add(position)
    return before
