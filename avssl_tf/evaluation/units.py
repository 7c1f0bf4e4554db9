"""In which unit a metric is told: its name says so."""

import dataclasses
from typing import Optional


@dataclasses.dataclass(frozen=True)
class Unit:
  """How values are shown.

  Attributes:
    symbol: the unit; empty for pure numbers.
    factor: what values are multiplied by.
    decimals: digits after the point; None for three significant digits.
  """

  symbol: str
  factor: float = 1.0
  decimals: Optional[int] = 1

  def text(self, value: float) -> str:
    """The value without its symbol."""
    if self.decimals is None:
      return f"{self.factor * value:.3g}"
    return f"{self.factor * value:.{self.decimals}f}"


PERCENT = Unit("%", 100.0)
_BY_SUFFIX = {
  "_db": Unit("dB"),
  "_deg": Unit("°"),
  "_sec": Unit("s", decimals=0),
  "_distance": Unit("", decimals=None),
  "_error": Unit("", decimals=None),
  "_correlation": Unit("", decimals=2),
  "_d_prime": Unit("", decimals=2),
  "_classes": Unit("", decimals=0),
}
# So begins the name of a metric that is a number of something.
_COUNT_PREFIX = "num_"


def unit_of(metric: str) -> Unit:
  """The unit of a metric; what says nothing is a share in 0..1, told in percent.

  >>> unit_of("linear_video").text(0.5), unit_of("one_error_db").text(-16.25)
  ('50.0', '-16.2')
  """
  if is_count(metric):
    return Unit("", decimals=0)
  for suffix, unit in _BY_SUFFIX.items():
    if metric.endswith(suffix):
      return unit
  return PERCENT


def is_count(metric: str) -> bool:
  """Whether a metric is a number of something."""
  return metric.rpartition("/")[2].startswith(_COUNT_PREFIX)


def titled(name: str, metric: str) -> str:
  """A name with the unit of its metric, where that is not percent.

  >>> titled("linear video", "linear_video"), titled("one error", "one_error_db")
  ('linear video', 'one error, dB')
  """
  symbol = unit_of(metric).symbol
  return name if symbol in ("%", "") else f"{name}, {symbol}"
