"""Curves of methods over training steps, with the standard deviation over seeds."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avssl_tf.comparison import seed_comparison
from avssl_tf.evaluation import units

LOSS = "loss"
_PANEL_INCHES = (4.0, 2.8)
_MIN_POINTS = 3  # Fewer points are better shown in a table.
_COLOURS = colormaps["tab10"].colors

# Lines of the `metrics.jsonl` of a run.
Log = Sequence[Mapping[str, float]]


@dataclasses.dataclass(frozen=True)
class Curve:
  """A metric over steps.

  Attributes:
    steps: int64 `[n]`, increasing.
    mean: float64 `[n]`, mean over the runs.
    std: float64 `[n]`, standard deviation with one degree of freedom less than runs; None for a
      single run.
  """

  steps: np.ndarray
  mean: np.ndarray
  std: Optional[np.ndarray]

  @classmethod
  def of(cls, logs: Sequence[Log], name: str) -> Optional["Curve"]:
    """Curve of the metric `name` at the steps that all runs with it share; None if there are none.

    If a run logged a step twice, the last value counts.
    """
    values = [{line["step"]: line[name] for line in log if name in line} for log in logs]
    values = [by_step for by_step in values if by_step]
    if not values:
      return None
    steps = sorted(set.intersection(*map(set, values)))
    table = np.array([[by_step[step] for step in steps] for by_step in values], np.float64)
    std = table.std(axis=0, ddof=1) if len(values) > 1 else None
    return cls(np.array(steps, np.int64), table.mean(axis=0), std)


def curves(logs: Mapping[str, Sequence[Log]]) -> dict[str, dict[str, Curve]]:
  """Curves of the loss and of the probe metrics of the table, with three points or more.

  Args:
    logs: logs of the runs, by method.

  Returns:
    Curves by name of the metric in the logs (in table order, the loss last) and by method.
  """
  lines = [line for runs in logs.values() for log in runs for line in log]
  probed = dict.fromkeys(
    name.removeprefix(seed_comparison.PROBE)
    for line in lines
    for name in line
    if name.startswith(seed_comparison.PROBE)
  )
  names = [f"{seed_comparison.PROBE}{name}" for name in seed_comparison.shown(probed)]
  result = {}
  for name in [*names, LOSS]:
    found = {method: Curve.of(runs, name) for method, runs in logs.items()}
    result[name] = {
      method: curve
      for method, curve in found.items()
      if curve is not None and len(curve.steps) >= _MIN_POINTS
    }
  return {name: by_method for name, by_method in result.items() if by_method}


def draw(logs: Mapping[str, Sequence[Log]]) -> Optional[Figure]:
  """Draws one panel per metric: the mean of each method, and a band of one standard deviation.

  Args:
    logs: logs of the runs, by method.

  Returns:
    A matplotlib figure; None if no metric has a curve.
  """
  found = curves(logs)
  if not found:
    return None
  num_columns = min(3, len(found))
  num_rows = math.ceil(len(found) / num_columns)
  width, height = _PANEL_INCHES
  figure = Figure((width * num_columns, height * num_rows + 0.5), dpi=110, layout="constrained")
  FigureCanvasAgg(figure)  # Requires no display.
  panels = figure.subplots(num_rows, num_columns, squeeze=False)
  colours = {method: _COLOURS[i % len(_COLOURS)] for i, method in enumerate(logs)}
  handles = {}
  for panel, (name, by_method) in zip(panels.flat, found.items()):
    factor = 1 if name == LOSS else units.unit_of(name).factor
    for method, curve in by_method.items():
      (handles[method],) = panel.plot(curve.steps, factor * curve.mean, color=colours[method])
      if curve.std is not None:
        low, high = curve.mean - curve.std, curve.mean + curve.std
        panel.fill_between(
          curve.steps, factor * low, factor * high, color=colours[method], alpha=0.2, linewidth=0
        )
    panel.set_title(_title(name), fontsize=9)
    panel.set_xlabel("step", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.grid(alpha=0.3)
  for panel in panels.flat[len(found) :]:
    panel.axis("off")
  shown = [method for method in logs if method in handles]
  figure.legend(
    [handles[method] for method in shown], shown, loc="outside upper center", ncols=4, fontsize=8
  )
  return figure


def _title(name: str) -> str:
  if name == LOSS:
    return "loss (differs by method)"
  title = seed_comparison.title(name.removeprefix(seed_comparison.PROBE))
  return f"{title}, %" if units.unit_of(name) is units.PERCENT else title
