"""A progress bar with rate and time to go, for work that may have begun earlier."""

import sys

import tqdm

# Between two states of the bar in a log, which keeps them all.
_LOG_INTERVAL_SEC = 10.0


class ProgressBar:
  """Context manager; `reach` moves the bar.

  What was done before this process began is shown, but does not count for the rate.
  """

  def __init__(self, description: str, unit: str, total: int, done: int = 0):
    """Initialises the bar; nothing is shown where `done` is all."""
    self._done = done
    self._bar = tqdm.tqdm(
      desc=description,
      unit=unit,
      total=total,
      initial=done,
      disable=done == total,
      mininterval=0.1 if sys.stderr.isatty() else _LOG_INTERVAL_SEC,
    )

  def __enter__(self) -> "ProgressBar":
    return self

  def __exit__(self, error_type, *unused) -> None:
    if error_type is None:
      self._bar.update(self._bar.total - self._bar.n)
    self._bar.close()

  def reach(self, count: int) -> None:
    """Shows that this process has come to its item number `count`."""
    self._bar.update(self._done + count - self._bar.n)
