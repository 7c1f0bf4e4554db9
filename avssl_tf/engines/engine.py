"""What all engines have in common.

A task is a list of items (files, clips) that one process handles in order. If a process dies, its
task is run again. An item at which a process dies again is skipped, with the reason, and the other
items continue. Tasks write their results to files atomically, so that running one again is safe.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

from avssl_tf.errors import UserError

CRASHED = "crash: the worker process died twice"


class WorkerError(UserError):
  """The worker processes cannot run; the message states the reason."""


@dataclasses.dataclass(frozen=True)
class Monitor:
  """Progress and exclusions, passed to a task function together with its task.

  Attributes:
    begin: must be called with the number of each item before work on it begins.
    skip: reasons for items that must be skipped, by item number.
    advance: may be called with the share of an item that has just been done, for progress.
  """

  begin: Callable[[int], None]
  skip: dict[int, str]
  advance: Callable[[float], None] = lambda share: None


class Engine:
  """Runs tasks. A context manager: `run` and `check_files` are used within its block."""

  def __enter__(self) -> "Engine":
    """Starts what the engine needs."""
    return self

  def __exit__(self, *exc_info) -> None:
    """Stops what the engine started."""

  def check_files(self, shared: Sequence[str], inputs: Sequence[str]) -> None:
    """Checks that all machines of the engine read the same files.

    Args:
      shared: files of the output folder, which all machines must share.
      inputs: some input files, which each machine must have.

    Raises:
      WorkerError: a machine lacks a file, or has another one under its path.
    """

  def run(
    self,
    function: Callable[[Any, Monitor], Any],
    tasks: Sequence[Any],
    on_progress: Optional[Callable[[float], None]] = None,
  ) -> Iterator[tuple[int, Any]]:
    """Yields `(position, function(tasks[position], monitor))` in order of completion.

    Closing the generator early (see `contextlib.closing`) stops the processes.

    Args:
      function: a function at the top level of a module.
      tasks: arguments of the function; must be picklable.
      on_progress: called regularly with the number of items that are done or begun.

    Raises:
      WorkerError: the processes cannot run.
      Exception: any exception of `function`.
    """
    raise NotImplementedError


def use_one_core(hide_gpus: bool = True) -> None:
  """Sets the environment of a worker process: one thread, and no GPU if these are hidden.

  To be called before TensorFlow is imported.
  """
  os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
  os.environ["TF_NUM_INTEROP_THREADS"] = "1"
  os.environ["OMP_NUM_THREADS"] = "1"
  if hide_gpus:
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
