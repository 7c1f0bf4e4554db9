"""Stopping a command by a signal: SIGTERM, which clusters send before SIGKILL, or Ctrl-C.

Both raise `Stopped` in the main thread, so that `finally` and context managers clean up. Where that
would come at a bad moment, `held` puts it off.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NoReturn, Optional

# A process may get the signal of one stop several times, from the terminal or the cluster and from
# its parent: only what comes later asks again.
SAME_STOP_SEC = 2.0
_PARENT = "AVSSL_TF_STOP_WITH_PARENT"
_PR_SET_PDEATHSIG = 1


class Stopped(KeyboardInterrupt):
  """A signal asked the command to stop.

  Attributes:
    number: of the signal.
    at_once: whether it was asked for a second time: nothing that takes long should follow.
  """

  def __init__(self, number: int, at_once: bool = False):
    super().__init__(signal.Signals(number).name)
    self.number = number
    self.at_once = at_once


class _State:
  """What has been received, and whether it is put off."""

  def __init__(self):
    self.number: Optional[int] = None
    self.since_sec = 0.0
    self.is_held = False


_state = _State()


@contextlib.contextmanager
def handled() -> Iterator[None]:
  """Makes signals raise `Stopped` in this block; those that are ignored stay so.

  A signal that follows the first one within `SAME_STOP_SEC` belongs to the same stop. A later one
  raises at once, even in `held`.
  """
  if threading.current_thread() is not threading.main_thread():  # Signals are not for threads.
    yield
    return
  previous = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
  _state.number = None
  for number, handler in previous.items():
    # A shell lets commands in the background ignore Ctrl-C.
    if handler is not signal.SIG_IGN:
      signal.signal(number, _receive)
  _stop_with_parent()
  try:
    yield
  finally:
    for number, handler in previous.items():
      if handler is not None:  # One that no Python code has set cannot be set by any.
        signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
  """Puts a stop off to the end of this block, or to `check` or `allowed` in it."""
  before, _state.is_held = _state.is_held, True
  try:
    yield
  finally:
    _state.is_held = before
  if not before:
    check()


@contextlib.contextmanager
def allowed() -> Iterator[None]:
  """Inside `held`, lets a stop through in this block, which may take long."""
  check()
  before, _state.is_held = _state.is_held, False
  try:
    yield
  finally:
    _state.is_held = before


def requested() -> bool:
  """Whether a signal has asked for a stop that is put off."""
  return _state.number is not None


def check() -> None:
  """Raises `Stopped` if a signal has asked for it."""
  if _state.number is not None:
    raise Stopped(_state.number)


def end(stop: KeyboardInterrupt, message: str) -> NoReturn:
  """Ends the command with a message and the status of a signal: 143, or 130 for Ctrl-C."""
  print(f"\n{message}", file=sys.stderr, flush=True)
  sys.exit(128 + getattr(stop, "number", signal.SIGINT))


def with_parent() -> Mapping[str, str]:
  """Environment of a command that is to get SIGTERM as soon as this process is gone.

  That holds for any end of this process, a kill included, and for commands that use `handled`.
  """
  return {_PARENT: str(os.getpid())}


def _stop_with_parent() -> None:
  parent = os.environ.pop(_PARENT, None)
  if parent is None:
    return
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
  if os.getppid() != int(parent):  # It was gone before this process could ask.
    os.kill(os.getpid(), signal.SIGTERM)


def _receive(number: int, frame) -> None:
  del frame
  now_sec = time.monotonic()
  first = _state.number is None
  if first:
    _state.number, _state.since_sec = number, now_sec
  elif now_sec - _state.since_sec < SAME_STOP_SEC:
    return
  if first and _state.is_held:
    # Not by print(), which the signal may have interrupted.
    os.write(2, b"\nStopping after this step. The same signal again stops at once.\n")
    return
  raise Stopped(_state.number, at_once=not first)
