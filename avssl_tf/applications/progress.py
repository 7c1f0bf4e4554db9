"""How far a command has come: in a file, in seconds of it, or in a number of files."""

import sys
import time
from typing import Optional

import tqdm

_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}, {speed}]"
_FORMAT_WITHOUT_END = "{desc} {n:.0f} s [{elapsed}, {speed}]"
_FORMAT_OF_FILES = (
  "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.0f} files "
  "[{elapsed}<{remaining}, {rate_fmt}{postfix}]"
)
# Between two states of a bar in a log, which keeps them all.
_LOG_INTERVAL_SEC = 10.0


class MediaBar(tqdm.tqdm):
  """A progress bar that counts seconds of a file, with the speed against real time."""

  def __init__(self, what: str, duration_sec: Optional[float]):
    """Starts the bar.

    Args:
      what: what is done.
      duration_sec: of the file; None where that is not known.
    """
    known = duration_sec is not None and duration_sec > 0
    super().__init__(
      desc=what,
      total=duration_sec if known else None,
      bar_format=_FORMAT if known else _FORMAT_WITHOUT_END,
      file=sys.stderr,
      leave=False,
      mininterval=0.5,
      disable=None,  # Where it is no terminal.
    )

  @property
  def format_dict(self) -> dict:
    """What the format can name: all of tqdm, and the speed."""
    values = super().format_dict
    rate = values["n"] / values["elapsed"] if values["elapsed"] else 0.0
    return {**values, "speed": f"{rate:.1f}x real time"}

  def reach(self, done_sec: float) -> None:
    """Goes on to a time of the file, which may be somewhat more than was announced."""
    if self.total is not None:
      done_sec = min(done_sec, self.total)
    self.update(max(0.0, done_sec - self.n))


class FileBar(tqdm.tqdm):
  """A progress bar that counts files, of which parts count as well."""

  def __init__(self, what: str, num_files: int, num_done: int = 0):
    """Starts the bar.

    Args:
      what: what is done.
      num_files: all files.
      num_done: those that were done before; they do not count for the rate.
    """
    terminal = sys.stderr.isatty()
    super().__init__(
      desc=what,
      total=num_files,
      initial=num_done,
      unit="file",
      bar_format=_FORMAT_OF_FILES,
      file=sys.stderr,
      leave=not terminal,
      mininterval=0.1 if terminal else _LOG_INTERVAL_SEC,
    )

  def advance(self, share: float) -> None:
    """Goes on by a share of a file, but for rounding not beyond the end."""
    self.update(min(share, self.total - self.n))


class Stopwatch:
  """Measures time from its making on."""

  def __init__(self):
    self._start = time.monotonic()

  @property
  def seconds(self) -> float:
    return time.monotonic() - self._start
