"""Display units of metrics, determined by the name of the metric."""

import dataclasses
from typing import Optional


@dataclasses.dataclass(frozen=True)
class Unit:
  """Display unit of a value.

  Attributes:
    symbol: the unit; empty for dimensionless numbers.
    factor: multiplier of the value.
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
# Prefix of metrics that are counts.
_COUNT_PREFIX = "num_"


def unit_of(metric: str) -> Unit:
  """Display unit of a metric; by default the metric is a fraction in 0..1, shown in percent.

  Examples:
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
  """Whether a metric is a count."""
  return metric.rpartition("/")[2].startswith(_COUNT_PREFIX)


def titled(name: str, metric: str) -> str:
  """A name with the unit of its metric, unless that is percent.

  Examples:
    >>> titled("linear video", "linear_video"), titled("one error", "one_error_db")
    ('linear video', 'one error, dB')
  """
  symbol = unit_of(metric).symbol
  return name if symbol in ("%", "") else f"{name}, {symbol}"
