"""Results of a protocol: computed part by part, stored in a file, printed as a table."""

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
  """A results file that cannot be extended; the message states the reason and a remedy."""


def is_results(path: str) -> bool:
  """Whether a file contains results, of any settings."""
  try:
    content = read_json(path)
  except (OSError, JsonError):
    return False
  return set(content) == {"settings", "parts"}


class Results:
  """The results of a protocol, in a JSON file that is written after each part.

  A part is one unit of the evaluation, such as a fold. Parts in the file need not be computed
  again. This requires unchanged settings: a file with results of other settings is rejected.

  Attributes:
    path: the file; it exists once there is a result.
    settings: values that the results depend on, by name.
  """

  def __init__(self, path: str, settings: Mapping[str, Any]):
    """Reads `path` if it exists.

    Args:
      path: the file; a missing parent folder is created.
      settings: JSON-serialisable values that the results depend on, by name.

    Raises:
      ResultsError: the file contains results of other settings, or no results.
    """
    self.path = path
    self.settings = as_json(settings)
    self._parts: dict[str, dict[str, float]] = {}
    if os.path.exists(path):
      self._parts = self._read()

  def get(self, part: str) -> Optional[dict[str, float]]:
    """Metrics of a part by name; None if it has not been computed."""
    return dict(self._parts[part]) if part in self._parts else None

  def put(self, part: str, metrics: Mapping[str, float]) -> None:
    """Stores the metrics of a part and writes the file atomically.

    Args:
      part: name of the part.
      metrics: values by name. The name determines the unit (`units.unit_of`); by default values
        are fractions in 0..1.

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
    """Formats all parts side by side: fractions in percent, other metrics in their own units.

    A metric that a part lacks is shown as "-".

    Args:
      with_mean: whether the last column shows mean ± standard deviation (n - 1) of several parts,
        with n if some parts lack the metric. Turn it off for parts that are compared.

    Returns:
      Lines of text.
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
        f"The results in {self.path} were computed with other settings (then -> now):\n"
        + "\n".join(lines)
        + "\nTo keep them, choose another --output_dir; pass --overwrite to evaluate again."
      )
    return parts


def read(path: str) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
  """Reads the settings of a results file, and the metrics of each part by name.

  Raises:
    ResultsError: the file contains no results.
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
      f"{path} contains no results of this version ({error!r}): choose another "
      "--output_dir, or move the file."
    ) from error
  return settings, parts


def _finite(value: float) -> float:
  number = float(value)
  if not math.isfinite(number):
    raise UserError(f"{value!r} is not finite")
  return number


def _mean(values: list[Optional[float]], unit: units.Unit) -> str:
  """`mean ± std` of the available values, with their number if some are missing."""
  there = [value for value in values if value is not None]
  # The mean of whole numbers needs a decimal.
  unit = unit if unit.decimals != 0 else dataclasses.replace(unit, decimals=1)
  text = unit.text(statistics.fmean(there))
  if len(there) > 1:
    text += f" ± {unit.text(statistics.stdev(there))}"
  return text if len(there) == len(values) else f"{text} (n={len(there)})"
