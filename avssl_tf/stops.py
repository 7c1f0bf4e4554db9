"""Stopping a command by a signal: SIGTERM, which clusters send before SIGKILL, or Ctrl-C.

Both signals raise `Stopped` in the main thread, so `finally` blocks and context managers clean up.
`held` delays the exception.
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

# A process may receive the signal of one stop several times: from the terminal or cluster, and from
# its parent. Only a later signal counts as a second request.
SAME_STOP_SEC = 2.0
_PARENT = "AVSSL_TF_STOP_WITH_PARENT"
_PR_SET_PDEATHSIG = 1


class Stopped(KeyboardInterrupt):
  """A signal requested a stop of the command.

  Attributes:
    number: number of the signal.
    at_once: whether this is the second request; the command should end without delay.
  """

  def __init__(self, number: int, at_once: bool = False):
    super().__init__(signal.Signals(number).name)
    self.number = number
    self.at_once = at_once


class _State:
  """The received signal, and whether stops are delayed."""

  def __init__(self):
    self.number: Optional[int] = None
    self.since_sec = 0.0
    self.is_held = False


_state = _State()


@contextlib.contextmanager
def handled() -> Iterator[None]:
  """Makes signals raise `Stopped` in this block; ignored signals remain ignored.

  Further signals within `SAME_STOP_SEC` belong to the same stop. A later signal raises at once,
  even in `held`.
  """
  if threading.current_thread() is not threading.main_thread():  # Handlers require the main thread.
    yield
    return
  previous = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
  _state.number = None
  for number, handler in previous.items():
    # A shell makes commands in the background ignore Ctrl-C.
    if handler is not signal.SIG_IGN:
      signal.signal(number, _receive)
  _stop_with_parent()
  try:
    yield
  finally:
    for number, handler in previous.items():
      if handler is not None:  # A handler that was not set from Python cannot be restored.
        signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
  """Delays a stop to the end of this block, or to a `check` or `allowed` in it."""
  before, _state.is_held = _state.is_held, True
  try:
    yield
  finally:
    _state.is_held = before
  if not before:
    check()


@contextlib.contextmanager
def allowed() -> Iterator[None]:
  """Inside `held`, allows a stop in this block, for work that may take long."""
  check()
  before, _state.is_held = _state.is_held, False
  try:
    yield
  finally:
    _state.is_held = before


@contextlib.contextmanager
def kept_from_others() -> Iterator[None]:
  """Keeps the signals of this process to itself, while it starts others in this block.

  Ctrl-C reaches all processes of a terminal, but processes started here ignore it. Handlers that
  libraries set in this block are replaced by those before.
  """
  numbers = (signal.SIGINT, signal.SIGTERM)
  handlers = {number: signal.getsignal(number) for number in numbers}
  # Others inherit the mask.
  mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if threading.current_thread() is threading.main_thread():
      for number, handler in handlers.items():
        if handler is not None:
          signal.signal(number, handler)


def requested() -> bool:
  """Whether a signal has requested a stop."""
  return _state.number is not None


def check() -> None:
  """Raises `Stopped` if a signal has requested a stop."""
  if _state.number is not None:
    raise Stopped(_state.number)


def end(stop: KeyboardInterrupt, message: str) -> NoReturn:
  """Ends the command with a message and the exit status of the signal: 143, or 130 for Ctrl-C."""
  print(f"\n{message}", file=sys.stderr, flush=True)
  # A library may have replaced `Stopped` by a plain KeyboardInterrupt.
  sys.exit(128 + (getattr(stop, "number", None) or _state.number or signal.SIGINT))


def with_parent() -> Mapping[str, str]:
  """Environment variables that make a subprocess receive SIGTERM when this process ends.

  This includes a kill of this process, and applies to commands that use `handled`.
  """
  return {_PARENT: str(os.getpid())}


def _stop_with_parent() -> None:
  parent = os.environ.pop(_PARENT, None)
  if parent is None:
    return
  ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
  if os.getppid() != int(parent):  # The parent ended before this call.
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
    # Not with print(), which the signal may have interrupted.
    os.write(2, b"\nStopping after this step. Send the signal again to stop at once.\n")
    return
  raise Stopped(_state.number, at_once=not first)
