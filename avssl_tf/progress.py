"""Progress bars on a terminal; in a log, a line every ten seconds."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

import tqdm

# Interval between the lines of a bar in a log.
_LOG_INTERVAL_SEC = 10.0
_OF_SECONDS = (
  "{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}, {speed}]"
)
_OF_SECONDS_WITHOUT_END = "{desc} {n:.0f} s [{elapsed}, {speed}]"
_OF_FILES = (
  "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:.0f} files "
  "[{elapsed}<{remaining}, {rate_fmt}{postfix}]"
)


def on_terminal() -> bool:
  """Whether progress is shown on a terminal rather than written to a log."""
  return sys.stderr.isatty()


class Bar(tqdm.tqdm):
  """A progress bar with rate and remaining time; a context manager, or an iterator over items.

  >>> with Bar("Encoding", total=3, unit="clip", shown=False) as bar:
  ...   bar.reach(2)
  >>> list(Bar("Encoding", items="ab", shown=False))
  ['a', 'b']
  """

  def __init__(
    self,
    what: Optional[str],
    total: Optional[float] = None,
    unit: str = "step",
    items: Optional[Iterable[Any]] = None,
    done: float = 0,
    shown: bool = True,
    logged: bool = True,
    stays: bool = False,
    bar_format: Optional[str] = None,
  ):
    """Starts the bar; nothing is shown if `done` equals `total`.

    Args:
      what: description of the work.
      total: number of units; None or negative: unknown, or the number of `items`.
      unit: name of a unit.
      items: items to iterate over, one unit each.
      done: units completed before this process started, excluded from the rate.
      shown: show the bar.
      logged: show the bar if the output is not a terminal.
      stays: keep the finished bar on the terminal; bars in logs are always kept.
      bar_format: see tqdm.
    """
    self._done = done
    is_terminal = on_terminal()
    if total is not None and total < 0:
      total = None
    super().__init__(
      items,
      desc=what,
      total=total,
      unit=unit,
      initial=done,
      disable=not shown or not (is_terminal or logged) or (total is not None and done == total),
      leave=stays or not is_terminal,
      mininterval=0.1 if is_terminal else _LOG_INTERVAL_SEC,
      dynamic_ncols=True,
      bar_format=bar_format,
      file=sys.stderr,
    )

  @classmethod
  def of_seconds(cls, what: str, duration_sec: Optional[float]) -> "Bar":
    """A bar that counts the seconds of a file and shows the speed relative to real time.

    Args:
      what: description of the work.
      duration_sec: duration of the file; None if unknown.
    """
    known = duration_sec is not None and duration_sec > 0
    return cls(
      what,
      total=duration_sec if known else None,
      unit="s",
      logged=False,
      bar_format=_OF_SECONDS if known else _OF_SECONDS_WITHOUT_END,
    )

  @classmethod
  def of_files(cls, what: str, num_files: int, num_done: int = 0) -> "Bar":
    """A bar that counts files, including fractions of a file.

    Args:
      what: description of the work.
      num_files: total number of files.
      num_done: number of files completed before.
    """
    return cls(what, total=num_files, unit="file", done=num_done, bar_format=_OF_FILES)

  @property
  def format_dict(self) -> dict:
    """Fields for `bar_format`: those of tqdm, and the speed relative to real time."""
    values = super().format_dict
    rate = values["n"] / values["elapsed"] if values["elapsed"] else 0.0
    return {**values, "speed": f"{rate:.1f}x real time"}

  def reach(self, count: float) -> None:
    """Advances the bar to the number of units that this process has completed, up to the end.

    Args:
      count: completed units, without those that were completed before.
    """
    self.advance(max(0.0, self._done + count - self.n))

  def advance(self, count: float) -> None:
    """Advances the bar by `count` units, up to the end."""
    self.update(count if self.total is None else min(count, self.total - self.n))


# Progress callback: takes the number of completed units and the total number.
OnProgress = Callable[[int, int], None]


@contextlib.contextmanager
def bar_when_called(what: str, unit: str, shown: bool = True) -> Iterator[OnProgress]:
  """Yields a callback of the completed and the total number of units; its first call opens a bar.

  For work that a called function may or may not do.
  """
  with contextlib.ExitStack() as stack:
    bars: list[Bar] = []

    def show(done: int, total: int) -> None:
      if not bars:
        bars.append(stack.enter_context(Bar(what, total, unit, shown=shown)))
      bars[0].reach(done)

    yield show


class Stopwatch:
  """Measures the time since its creation."""

  def __init__(self):
    self._start = time.monotonic()

  @property
  def seconds(self) -> float:
    """Seconds since the creation."""
    return time.monotonic() - self._start
