"""Mean and spread, over seeds, of what runs measured; several methods side by side."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Optional

_PROBE = "probe/"
TRAINING_SEC = "training_sec"
UNTRAINED = "untrained"

# Of one run: by the name of a metric, its value. Shares are in 0..1.
Metrics = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Statistic:
  """One metric over several seeds.

  Attributes:
    mean: mean of the values.
    std: their standard deviation with n - 1 degrees of freedom; None for a single value.
    n: number of values.
  """

  mean: float
  std: Optional[float]
  n: int

  @classmethod
  def of(cls, values: Sequence[float]) -> "Statistic":
    """Mean and spread of at least one value."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return cls(statistics.fmean(values), std, len(values))

  def text(self, factor: float, decimals: int, num_seeds: int) -> str:
    """`mean ± std`, multiplied; with n where that is not `num_seeds`.

    >>> Statistic.of([0.8, 0.84]).text(100, 1, num_seeds=3)
    '82.0 ± 2.8 (n=2)'
    """
    text = f"{factor * self.mean:.{decimals}f}"
    if self.std is not None:
      text += f" ± {factor * self.std:.{decimals}f}"
    return text if self.n == num_seeds else f"{text} (n={self.n})"


def probes(log: Sequence[Mapping[str, float]]) -> tuple[Metrics, Metrics]:
  """The probe of the untrained and that of the trained network.

  Args:
    log: lines of the `metrics.jsonl` of a run.

  Returns:
    The probe's values at step 0 and at the last step that was probed, by their
    names without "probe/"; {} where there is none.
  """
  found = [
    (line["step"], {k[len(_PROBE) :]: v for k, v in line.items() if k.startswith(_PROBE)})
    for line in log
  ]
  untrained = [values for step, values in found if values and step == 0]
  trained = [values for step, values in found if values and step > 0]
  return (untrained or [{}])[0], (trained or [{}])[-1]


def training_sec(log: Sequence[Mapping[str, float]], batch_size: int) -> float:
  """Time spent in steps of training, from the rates of a log.

  The building of the graph in the first step counts, probes do not. Steps that a killed run
  did after its last checkpoint count once.

  Args:
    log: lines of the `metrics.jsonl` of a run.
    batch_size: clips a step, over all replicas.
  """
  total, last_step = 0.0, 0
  for line in log:
    if "clips_per_sec" in line:
      total += (line["step"] - last_step) * batch_size / line["clips_per_sec"]
      last_step = line["step"]
  return total


def columns(runs: Mapping[str, Mapping[int, tuple[Metrics, Metrics]]]) -> dict[str, dict]:
  """Brings the runs of each method together.

  Args:
    runs: by method and seed, the metrics of the untrained and of the trained network.

  Returns:
    By the name of a column and of a metric, its `Statistic`. Each method has a
    column, with another of its untrained network before it; where the untrained
    networks of all methods measure the same, they share a column.
  """
  untrained = {
    method: {seed: dict(pair[0]) for seed, pair in by_seed.items()}
    for method, by_seed in runs.items()
  }
  first = next(iter(untrained.values()))
  shared = all(by_seed == first for by_seed in untrained.values())
  result = {UNTRAINED: _over_seeds(first.values())} if shared else {}
  for method, by_seed in runs.items():
    if not shared:
      result[f"{method}, {UNTRAINED}"] = _over_seeds(untrained[method].values())
    result[method] = _over_seeds([trained for _, trained in by_seed.values()])
  return {name: column for name, column in result.items() if column}


def _over_seeds(metrics) -> dict[str, Statistic]:
  metrics = list(metrics)
  names = dict.fromkeys(name for values in metrics for name in values)
  return {
    name: Statistic.of([values[name] for values in metrics if name in values]) for name in names
  }


def table(columns: Mapping[str, Mapping[str, Statistic]], num_seeds: int) -> str:
  """Lays out columns side by side: shares in percent, then the time of training in seconds.

  >>> print(table({"avid": {"knn_video": Statistic.of([0.75, 0.8, 0.85])}}, num_seeds=3))
  %                 avid
  knn_video   80.0 ± 5.0

  Args:
    columns: by the name of a column and of a metric, its statistic. One that a
      column does not have shows as "-".
    num_seeds: number of values that goes without saying; others are told.
  """
  names = list(dict.fromkeys(name for column in columns.values() for name in column))
  names.sort(key=lambda name: name == TRAINING_SEC)
  rows = [["%", *columns]]
  for name in names:
    scale = (1, 0) if name == TRAINING_SEC else (100, 1)
    cells = (column.get(name) for column in columns.values())
    rows.append([name, *(cell.text(*scale, num_seeds) if cell else "-" for cell in cells)])
  widths = [max(map(len, column)) for column in zip(*rows)]
  lines = []
  for row in rows:
    cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:])]
    lines.append("   ".join([row[0].ljust(widths[0]), *cells]))
  return "\n".join(lines)


def as_json(
  columns: Mapping[str, Mapping[str, Statistic]],
  runs: Mapping[str, Mapping[int, tuple[Metrics, Metrics]]],
) -> dict:
  """Statistics and the single values behind them, as plain dicts.

  Returns:
    `{"columns": {column: {metric: {"mean", "std", "n"}}},
    "runs": {method: {seed: {"untrained": {metric: value}, "trained": {metric: value}}}}}`.
  """
  return {
    "columns": {
      name: {metric: dataclasses.asdict(value) for metric, value in column.items()}
      for name, column in columns.items()
    },
    "runs": {
      method: {
        seed: {UNTRAINED: dict(untrained), "trained": dict(trained)}
        for seed, (untrained, trained) in by_seed.items()
      }
      for method, by_seed in runs.items()
    },
  }
