"""Results of a protocol: measured part by part, kept in a file, shown as a table."""

import dataclasses
import json
import math
import os
import statistics
from collections.abc import Mapping
from typing import Any, Optional

from avssl_tf.errors import UserError
from avssl_tf.evaluation import units
from avssl_tf.files import JsonError, as_json, changes, read_json, whole_file
from avssl_tf.foreign_text import printable


class ResultsError(UserError):
  """A file of results that cannot be gone on with; the message says why and what to do."""


def is_results(path: str) -> bool:
  """Whether a file holds results, of any settings."""
  try:
    content = read_json(path)
  except (OSError, JsonError):
    return False
  return set(content) == {"settings", "parts"}


class Results:
  """The results of a protocol, in a JSON file that is written after each part.

  A part is what is measured at a time, such as a fold. What the file holds already need not be
  measured again, which holds only as long as nothing else changes: results of other settings
  are refused.

  Attributes:
    path: the file; it is there once there is a result.
    settings: what the results depend on, by name.
  """

  def __init__(self, path: str, settings: Mapping[str, Any]):
    """Reads what `path` holds, if it is there.

    Args:
      path: the file; its folder is made where it is missing.
      settings: what the results depend on, by name; values that JSON can hold.

    Raises:
      ResultsError: the file holds results of other settings, or something else than results.
    """
    self.path = path
    self.settings = as_json(settings)
    self._parts: dict[str, dict[str, float]] = {}
    if os.path.exists(path):
      self._parts = self._read()

  def get(self, part: str) -> Optional[dict[str, float]]:
    """Metrics of a part by name; None where it has not been measured."""
    return dict(self._parts[part]) if part in self._parts else None

  def put(self, part: str, metrics: Mapping[str, float]) -> None:
    """Keeps the metrics of a part, in the file as well, whole or not at all.

    Args:
      part: name of the part.
      metrics: by name, which tells their unit (`units.unit_of`): shares in 0..1 if nothing else.

    Raises:
      UserError: a metric is not finite.
    """
    values = {name: float(value) for name, value in metrics.items()}
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
      raise UserError(f"The results of {part!r} are not finite: {broken}.")
    self._parts[part] = values
    os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
    with whole_file(self.path) as temporary, open(temporary, "w", encoding="utf-8") as f:
      json.dump({"settings": self.settings, "parts": self._parts}, f, indent=1)
      f.write("\n")

  def table(self, with_mean: bool = True) -> str:
    """Lays out all parts side by side, shares in percent, other metrics in their own units.

    A metric that only some parts have shows "-" in the others.

    Args:
      with_mean: whether, with several parts, a last column shows mean ± standard deviation (n - 1),
        and n where not all of them have the metric. Not for parts that are things to compare.
    """
    several = with_mean and len(self._parts) > 1
    rows = [["%", *map(printable, self._parts), *(["mean"] if several else [])]]
    names = dict.fromkeys(name for metrics in self._parts.values() for name in metrics)
    for name in sorted(names, key=units.is_count):
      values = [metrics.get(name) for metrics in self._parts.values()]
      unit = units.unit_of(name)
      row = [printable(units.titled(name, name))]
      row += ["-" if value is None else unit.text(value) for value in values]
      if several:
        row.append(_mean(values, unit))
      rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
      "   ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )

  def _read(self) -> dict[str, dict[str, float]]:
    settings, parts = read(self.path)
    if lines := changes(settings, self.settings):
      raise ResultsError(
        f"The results in {self.path} are of other settings (then -> now):\n"
        + "\n".join(lines)
        + "\nTo keep them, name another --output_dir; pass --overwrite to measure anew."
      )
    return parts


def read(path: str) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
  """What a file of results holds: its settings, and the metrics of each part by name.

  Raises:
    ResultsError: it holds something else than results.
  """
  try:
    content = read_json(path)
    settings = dict(content["settings"])
    parts = {
      part: {name: _finite(value) for name, value in metrics.items()}
      for part, metrics in content["parts"].items()
    }
  except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
    raise ResultsError(
      f"{path} does not hold results of this version ({error!r}): name another "
      "--output_dir, or move the file away."
    ) from error
  return settings, parts


def _finite(value: float) -> float:
  number = float(value)
  if not math.isfinite(number):
    raise UserError(f"{value!r} is not finite")
  return number


def _mean(values: list[Optional[float]], unit: units.Unit) -> str:
  """`mean ± std` of the values that are there, with their number where some are not."""
  there = [value for value in values if value is not None]
  # Of whole numbers, too, a mean has decimals.
  unit = unit if unit.decimals != 0 else dataclasses.replace(unit, decimals=1)
  text = unit.text(statistics.fmean(there))
  if len(there) > 1:
    text += f" ± {unit.text(statistics.stdev(there))}"
  return text if len(there) == len(values) else f"{text} (n={len(there)})"
