"""Runs tasks in worker processes that may be killed, crash, or outlive their parent.

A task is a list of items (files, clips) handled in order by one process. If a process dies,
the tasks that were under way are run again one at a time; the item at which a process dies
once more is left out, with the reason, and the rest goes on.
"""

import concurrent.futures
import contextlib
import dataclasses
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Optional

from avssl_tf.errors import UserError

# Not "fork": TensorFlow's threads do not survive it.
_PROCESSES = multiprocessing.get_context("spawn")
_POLL_SEC = 0.2
# Tasks handed over before a process is free for them. Waiting takes time for each: not more.
_TASKS_AHEAD = 4
_STOP = 0  # Slot of the progress array that tells the workers to stop.

CRASHED = "crash: the process that worked on it died twice"

# Set in a worker process: [stop flag, items begun of task 0, of task 1, ...].
_progress: Any = None


class WorkerError(UserError):
  """The worker processes cannot do their work; the message says why."""


class _Stopped(Exception):
  """Raised in a worker whose parent gave up."""


@dataclasses.dataclass(frozen=True)
class Monitor:
  """What a task function gets beside its task.

  Attributes:
    begin: to be called with an item's number before the item is worked on.
    skip: reasons by the number of the item, for items not to be touched.
  """

  begin: Callable[[int], None]
  skip: dict[int, str]


def run(
  function: Callable[[Any, Monitor], Any],
  tasks: Sequence[Any],
  num_workers: int,
  on_progress: Optional[Callable[[int], None]] = None,
) -> Iterator[tuple[int, Any]]:
  """Yields `(position, function(tasks[position], monitor))` as tasks get done, in any order.

  Closed early (see `contextlib.closing`) it stops the processes at their next item.

  Args:
    function: of a module's top level.
    tasks: what it is called with; can be pickled.
    num_workers: number of processes; 0 runs all in this one.
    on_progress: called now and then with the number of items begun so far.

  Raises:
    WorkerError: processes die before they begin with any item.
    Exception: what `function` raised. The other tasks stop at their next item.
  """
  if num_workers == 0:
    yield from _run_here(function, tasks, on_progress)
    return
  pool = _Pool(function, tasks, on_progress or (lambda begun: None))
  waiting = set(range(len(tasks)))
  try:
    while waiting:
      suspects = yield from pool.run_until_crash(waiting, num_workers)
      for position in sorted(suspects):
        while position in waiting:
          # Alone, so that there is no doubt at which item the process died.
          if (yield from pool.run_until_crash(waiting, 1, only=position)):
            pool.blame(position)
  finally:
    pool.stop()


def _run_here(function, tasks, on_progress) -> Iterator[tuple[int, Any]]:
  begun = 0

  def begin(item: int) -> None:
    nonlocal begun
    begun += 1
    if on_progress:
      on_progress(begun)

  for position, task in enumerate(tasks):
    yield position, function(task, Monitor(begin, {}))


class _Pool:
  """The processes of one `run` and what is known of the tasks."""

  def __init__(self, function, tasks, on_progress):
    self._function = function
    self._tasks = tasks
    self._on_progress = on_progress
    self._skip: dict[int, dict[int, str]] = {}
    self._idle_crashes = 0  # in a row, before any item was begun
    # Without a lock: a worker killed while it held one would stop everybody. Each slot has
    # one writer.
    self._slots = _PROCESSES.RawArray("q", len(tasks) + 1)

  def run_until_crash(
    self, waiting: set[int], num_workers: int, only: Optional[int] = None
  ) -> Iterator[tuple[int, Any]]:
    """Yields results and takes them out of `waiting`; returns the tasks under way at a crash."""
    positions = sorted(waiting) if only is None else [only]
    for position in positions:
      self._slots[position + 1] = 0
    executor = concurrent.futures.ProcessPoolExecutor(
      min(num_workers, len(positions)), _PROCESSES, _start_worker, (self._slots,)
    )
    upcoming = iter(positions)
    running = {}
    try:
      while True:
        for position in itertools.islice(upcoming, num_workers + _TASKS_AHEAD - len(running)):
          running[self._submit(executor, position)] = position
        if not running:
          break
        done, _ = concurrent.futures.wait(
          running, _POLL_SEC, concurrent.futures.FIRST_COMPLETED
        )
        self._on_progress(sum(self._slots[1:]))
        for future in done:
          position = running.pop(future)
          if isinstance(future.exception(), BrokenProcessPool):
            upcoming = iter(())  # What was done all the same is still to be taken.
          else:
            result = future.result()
            waiting.discard(position)
            yield position, result
    except BrokenProcessPool:
      pass  # `submit` on a pool that broke at once; sorted out below.
    finally:
      executor.shutdown(wait=False, cancel_futures=True)
    suspects = {p for p in positions if p in waiting and self._slots[p + 1]}
    idle_crash = not suspects and any(p in waiting for p in positions)
    self._idle_crashes = self._idle_crashes + 1 if idle_crash else 0
    if self._idle_crashes == 2:
      raise WorkerError(
        "The worker processes die before they begin to work: too little memory, or a script "
        'without `if __name__ == "__main__":`. Fewer --num_workers need less memory.'
      )
    return suspects

  def _submit(self, executor, position: int) -> concurrent.futures.Future:
    # Ctrl-C and SIGTERM, which may reach all processes of a group, are for the parent, which tells
    # the workers. A process that is started here inherits that they are blocked.
    with _interrupts_blocked():
      return executor.submit(
        _call, self._function, position, self._tasks[position], self._skip.get(position, {})
      )

  def blame(self, position: int) -> None:
    """Leaves out the item at which the task's process died."""
    item = self._slots[position + 1] - 1
    self._skip.setdefault(position, {})[item] = CRASHED

  def stop(self) -> None:
    """Makes workers that are still at it stop at their next item."""
    self._slots[_STOP] = 1


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
  previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _start_worker(slots) -> None:
  global _progress
  _progress = slots
  # One thread a process, and no process takes memory of a GPU. Set before TensorFlow is
  # imported, which happens when the first task arrives.
  os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
  os.environ["TF_NUM_INTEROP_THREADS"] = "1"
  os.environ["OMP_NUM_THREADS"] = "1"
  os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
  """Ends this process as soon as its parent is gone, however that came about."""
  parent = multiprocessing.parent_process()
  multiprocessing.connection.wait([parent.sentinel])
  os._exit(1)


def _call(function, position: int, task, skip: dict[int, str]):
  def begin(item: int) -> None:
    if _progress[_STOP]:
      raise _Stopped("The build was given up.")
    _progress[position + 1] = item + 1

  return function(task, Monitor(begin, skip))
