"""The one progress bar: on a terminal it moves, in a log it is a line every ten seconds."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

import tqdm

# Between two states of a bar in a log, which keeps them all.
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
  """Whether progress is shown on a terminal, rather than kept in a log."""
  return sys.stderr.isatty()


class Bar(tqdm.tqdm):
  """A progress bar with rate and time to go; a context manager, or an iterator over items.

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
    """Starts the bar; nothing is shown where `done` is all.

    Args:
      what: what is done.
      total: how many units there are; None or negative: not known, or the number of the items.
      unit: name of a unit.
      items: what to iterate over, a unit each.
      done: units done before this process began, which do not count for the rate.
      shown: whether there is a bar.
      logged: whether there is one where the output is no terminal.
      stays: whether a bar stays on the terminal in the end; those in logs do.
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
    """A bar that counts seconds of a file, with the speed against real time.

    Args:
      what: what is done.
      duration_sec: of the file; None where it is not known.
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
    """A bar that counts files, of which parts count as well.

    Args:
      what: what is done.
      num_files: all files.
      num_done: those that were done before.
    """
    return cls(what, total=num_files, unit="file", done=num_done, bar_format=_OF_FILES)

  @property
  def format_dict(self) -> dict:
    """What the format can name: all of tqdm, and the speed against real time."""
    values = super().format_dict
    rate = values["n"] / values["elapsed"] if values["elapsed"] else 0.0
    return {**values, "speed": f"{rate:.1f}x real time"}

  def reach(self, count: float) -> None:
    """Moves the bar to what this process has done, but not beyond the end.

    Args:
      count: units, without those that were done before.
    """
    self.advance(max(0.0, self._done + count - self.n))

  def advance(self, count: float) -> None:
    """Moves the bar by some units, but for rounding not beyond the end."""
    self.update(count if self.total is None else min(count, self.total - self.n))


# What a function calls that shows no bar itself: with how much is done and how much there is.
OnProgress = Callable[[int, int], None]


@contextlib.contextmanager
def bar_when_called(what: str, unit: str, shown: bool = True) -> Iterator[OnProgress]:
  """Yields a function of how much is done and how much there is; its first call opens a bar.

  For work that another function may do or not.
  """
  with contextlib.ExitStack() as stack:
    bars: list[Bar] = []

    def show(done: int, total: int) -> None:
      if not bars:
        bars.append(stack.enter_context(Bar(what, total, unit, shown=shown)))
      bars[0].reach(done)

    yield show


class Stopwatch:
  """Measures time from its making on."""

  def __init__(self):
    self._start = time.monotonic()

  @property
  def seconds(self) -> float:
    """Seconds since then."""
    return time.monotonic() - self._start
