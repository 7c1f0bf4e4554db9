"""Runs tasks in processes of this machine, robust to crashes and to the end of the parent.

If a process dies, the tasks in progress are run again one at a time.
"""

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Optional

from avssl_tf.engines.engine import CRASHED, Engine, Monitor, WorkerError, use_one_core

# Not "fork": TensorFlow's threads do not survive it.
_PROCESSES = multiprocessing.get_context("spawn")
_POLL_SEC = 0.2
# Tasks submitted before a process is free. Each pending task slows down waiting, so keep it small.
_TASKS_AHEAD = 4
_STOP = 0  # Slot of the progress array: 1 stops the workers.

# Set in a worker process: [stop flag, items begun of task 0, of task 1, ...].
_progress: Any = None


class _Stopped(Exception):
  """Raised in a worker to stop it."""


class LocalEngine(Engine):
  """Processes of this machine."""

  def __init__(self, num_workers: int):
    """Stores the number of processes.

    Args:
      num_workers: number of processes; 0 runs all tasks in this process.
    """
    self._num_workers = num_workers

  def run(
    self,
    function: Callable[[Any, Monitor], Any],
    tasks: Sequence[Any],
    on_progress: Optional[Callable[[float], None]] = None,
  ) -> Iterator[tuple[int, Any]]:
    """See `Engine.run`."""
    return run(function, tasks, self._num_workers, on_progress)


def run(
  function: Callable[[Any, Monitor], Any],
  tasks: Sequence[Any],
  num_workers: int,
  on_progress: Optional[Callable[[float], None]] = None,
) -> Iterator[tuple[int, Any]]:
  """Yields `(position, function(tasks[position], monitor))` in order of completion.

  Closing the generator early (see `contextlib.closing`) stops the processes at their next item.

  Args:
    function: a function at the top level of a module.
    tasks: arguments of the function; must be picklable.
    num_workers: number of processes; 0 runs all tasks in this process.
    on_progress: called regularly with the number of items begun so far.

  Raises:
    WorkerError: processes die before they begin any item.
    Exception: any exception of `function`. The other tasks stop at their next item.
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
          # One task at a time, to identify the item at which the process died.
          if (yield from pool.run_until_crash(waiting, 1, only=position)):
            pool.blame(position)
  finally:
    pool.stop()


def _run_here(function, tasks, on_progress) -> Iterator[tuple[int, Any]]:
  begun, done = 0, 0.0

  def report(num_items: float) -> None:
    if on_progress:
      on_progress(num_items)

  def begin(item: int) -> None:
    nonlocal begun
    begun += 1
    report(max(begun - 1, done))

  def advance(share: float) -> None:
    nonlocal done
    done += share
    report(max(begun - 1, done))

  for position, task in enumerate(tasks):
    result = function(task, Monitor(begin, {}, advance))
    report(begun)
    yield position, result


class _Pool:
  """The processes of one `run` and the state of its tasks."""

  def __init__(self, function, tasks, on_progress):
    self._function = function
    self._tasks = tasks
    self._on_progress = on_progress
    self._skip: dict[int, dict[int, str]] = {}
    self._idle_crashes = 0  # in a row, before any item was begun
    # No lock: a worker that is killed while holding it would block all others. Each slot has
    # one writer.
    self._slots = _PROCESSES.RawArray("q", len(tasks) + 1)

  def run_until_crash(
    self, waiting: set[int], num_workers: int, only: Optional[int] = None
  ) -> Iterator[tuple[int, Any]]:
    """Yields results and removes them from `waiting`; returns the tasks in progress at a crash."""
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
            upcoming = iter(())  # Results of finished tasks are still collected.
          else:
            result = future.result()
            waiting.discard(position)
            yield position, result
    except BrokenProcessPool:
      pass  # `submit` on a broken pool; handled below.
    finally:
      executor.shutdown(wait=False, cancel_futures=True)
    suspects = {p for p in positions if p in waiting and self._slots[p + 1]}
    idle_crash = not suspects and any(p in waiting for p in positions)
    self._idle_crashes = self._idle_crashes + 1 if idle_crash else 0
    if self._idle_crashes == 2:
      raise WorkerError(
        "The worker processes die at startup: not enough memory, or the script has no "
        '`if __name__ == "__main__":`. Reduce --num_workers to use less memory.'
      )
    return suspects

  def _submit(self, executor, position: int) -> concurrent.futures.Future:
    # Ctrl-C may reach all processes of a group, but only the parent handles it and stops the
    # workers. A process that is started here inherits the blocked signals.
    with _interrupts_blocked():
      return executor.submit(
        _call, self._function, position, self._tasks[position], self._skip.get(position, {})
      )

  def blame(self, position: int) -> None:
    """Marks the item at which the process of the task died, to skip it."""
    item = self._slots[position + 1] - 1
    self._skip.setdefault(position, {})[item] = CRASHED

  def stop(self) -> None:
    """Stops running workers at their next item."""
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
  # After a crash, the pool ends its other processes by SIGTERM, and waits for their end.
  signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
  use_one_core()  # Before the first task arrives and imports TensorFlow.
  threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
  """Ends this process as soon as its parent has ended for any reason."""
  parent = multiprocessing.parent_process()
  multiprocessing.connection.wait([parent.sentinel])
  os._exit(1)


def _call(function, position: int, task, skip: dict[int, str]):
  def begin(item: int) -> None:
    if _progress[_STOP]:
      raise _Stopped("The build was stopped.")
    _progress[position + 1] = item + 1

  return function(task, Monitor(begin, skip))
