"""Mean and standard deviation of metrics over seeds, in a table of methods."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from avssl_tf.evaluation import units

PROBE = "probe/"
TRAINING_SEC = "training_sec"
UNTRAINED = "untrained"
# Titles of metrics, in the order of the table. Other metrics follow under their own names; the
# training time is last.
_TITLES = {
  "viewpoint_retrieval": "viewpoint retrieval",
  "avsa_bin_1": "AVSA-Bin 1",
  "avsa_bin_4": "AVSA-Bin 4",
  "avc_bin_1": "AVC-Bin 1",
  "avc_bin_4": "AVC-Bin 4",
  "linear_video": "linear video",
  "linear_audio": "linear audio",
  "knn_video": "kNN video",
  "knn_audio": "kNN audio",
  "retrieval_r1": "R@1",
  "retrieval_r5": "R@5",
  "one_error_db": "error, 1 source",
  "several_error_db": "error, several",
  "moving_error_db": "error, moving",
  "one_strongest_deg": "angle, 1 source",
  "several_strongest_deg": "angle, several",
  "moving_strongest_deg": "angle, moving",
  "several_within_20": "several within 20°",
}
# Of the metrics of sound fields, a table contains only those with a title.
_FIELD_GROUPS = ("all_", "one_", "several_", "moving_")
_TIME_TITLE = "time, s"

# Values of the metrics of one run, by name. Ratios are in 0..1.
Metrics = Mapping[str, float]
# Metrics of the untrained and of the trained network, by method and seed.
Runs = Mapping[str, Mapping[int, tuple[Metrics, Metrics]]]


@dataclasses.dataclass(frozen=True)
class Statistic:
  """One metric over several seeds.

  Attributes:
    mean: mean of the values.
    std: standard deviation with n - 1 degrees of freedom; None for a single value.
    n: number of values.
  """

  mean: float
  std: Optional[float]
  n: int

  @classmethod
  def of(cls, values: Sequence[float]) -> "Statistic":
    """Mean and standard deviation of one or more values."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return cls(statistics.fmean(values), std, len(values))

  def text(self, unit: units.Unit, num_seeds: int, signed: bool = False) -> str:
    """`mean ± std` in a unit; without `std` for a single value, with n if it is not `num_seeds`.

    >>> Statistic.of([0.8, 0.84]).text(units.PERCENT, num_seeds=3)
    '82.0 ± 2.8 (n=2)'
    """
    text = unit.text(self.mean)
    if signed and not text.startswith("-"):
      text = f"+{text}"
    if self.std is None:
      return text
    text += f" ± {unit.text(self.std)}"
    return text if self.n == num_seeds else f"{text} (n={self.n})"


# Statistics by name of the row and of the metric.
Rows = Mapping[str, Mapping[str, Statistic]]


def probes(log: Sequence[Mapping[str, float]]) -> tuple[Metrics, Metrics]:
  """Probe results of the untrained and of the trained network.

  Args:
    log: lines of the `metrics.jsonl` of a run; several may contain probes of one step.

  Returns:
    The probe results at step 0, and the last later result of each metric, by name without
    "probe/"; {} if there are none.
  """
  untrained, trained = {}, {}
  for line in log:
    values = {k[len(PROBE) :]: v for k, v in line.items() if k.startswith(PROBE)}
    (trained if line["step"] else untrained).update(values)
  return untrained, trained


def training_sec(log: Sequence[Mapping[str, float]], batch_size: int) -> float:
  """Duration of all training steps in seconds, from the rates in a log.

  Graph construction in the first step is included, probes are not. Steps that were repeated after
  an interruption are counted once.

  Args:
    log: lines of the `metrics.jsonl` of a run.
    batch_size: clips per step, over all replicas.
  """
  total, last_step = 0.0, 0
  for line in log:
    if "clips_per_sec" in line:
      total += (line["step"] - last_step) * batch_size / line["clips_per_sec"]
      last_step = line["step"]
  return total


def rows(runs: Runs) -> dict[str, dict[str, Statistic]]:
  """Aggregates the runs of each method.

  Args:
    runs: metrics of the runs; methods may have different seeds, or none yet.

  Returns:
    `Statistic` by name of the row and of the metric. The first rows are the untrained networks: one
    row if those of all methods have the same metrics, otherwise one per group of methods with the
    same start. One row per method follows.
  """
  result = {name: _over_seeds(by_seed.values()) for name, by_seed in _starts(runs).items()}
  for method, by_seed in runs.items():
    result[method] = _over_seeds([trained for _, trained in by_seed.values()])
  return {name: row for name, row in result.items() if row}


def differences(runs: Runs, baseline: str) -> dict[str, dict[str, Statistic]]:
  """Paired differences between methods and a baseline, seed by seed.

  Runs with the same seed share random choices, so their difference can vary less than the runs
  themselves.

  Args:
    runs: metrics of the runs.
    baseline: name of the method to subtract.

  Returns:
    `Statistic` of the trained value minus that of the baseline, by method and metric, over the
    seeds and metrics that both have. Methods without any are omitted.
  """
  base = {seed: trained for seed, (_, trained) in runs[baseline].items()}
  result = {}
  for method, by_seed in runs.items():
    if method != baseline:
      result[method] = _over_seeds(
        {name: trained[name] - base[seed][name] for name in trained if name in base[seed]}
        for seed, (_, trained) in by_seed.items()
        if seed in base
      )
  return {method: row for method, row in result.items() if row}


def _starts(runs: Runs) -> dict[str, dict[int, Metrics]]:
  """Untrained metrics by seed, by name of a group of methods with the same start."""
  groups: list[tuple[list[str], dict[int, dict]]] = []
  for method, by_seed in runs.items():
    start = {seed: dict(untrained) for seed, (untrained, _) in by_seed.items() if untrained}
    if not start:
      continue
    for methods, known in groups:
      if _agree(start, known):
        methods.append(method)
        for seed, metrics in start.items():
          known.setdefault(seed, {}).update(metrics)
        break
    else:
      groups.append(([method], start))
  if len(groups) == 1:
    return {UNTRAINED: groups[0][1]}
  # Not "untrained": some may start from the weights of another run.
  return {f"{_listing(methods)}, at step 0": known for methods, known in groups}


def _agree(start: Mapping[int, Metrics], other: Mapping[int, Metrics]) -> bool:
  """Whether two starts have equal metrics where both were measured."""
  return all(
    metrics[name] == other[seed][name]
    for seed, metrics in start.items()
    if seed in other
    for name in metrics
    if name in other[seed]
  )


def _listing(methods: Sequence[str]) -> str:
  return methods[0] if len(methods) == 1 else f"{methods[0]} and {len(methods) - 1} more"


def _over_seeds(metrics) -> dict[str, Statistic]:
  metrics = list(metrics)
  names = dict.fromkeys(name for values in metrics for name in values)
  return {
    name: Statistic.of([values[name] for values in metrics if name in values]) for name in names
  }


def table(
  rows: Rows, num_seeds: int, corner: str = "%", signed: bool = False, markdown: bool = False
) -> str:
  """Formats rows as a table: ratios in percent, and the training time in seconds.

  >>> print(table({"AVID": {"knn_video": Statistic.of([0.75, 0.8, 0.85])}}, num_seeds=3))
  %       kNN video
  AVID   80.0 ± 5.0

  Args:
    rows: statistics by name of the row and of the metric; missing ones appear as "-". Top-5
      accuracies, R@10, retrieval by direction, and most metrics of sound fields are omitted.
    num_seeds: usual number of values; other numbers are stated.
    corner: text of the top left cell.
    signed: whether positive values have a sign.
    markdown: whether to format a Markdown table instead of plain text.
  """
  names = shown(name for row in rows.values() for name in row)
  cells = [[corner, *(title(name) for name in names)]]
  for row_name, row in rows.items():
    cells.append([row_name])
    for name in names:
      known = name in row
      cells[-1].append(row[name].text(units.unit_of(name), num_seeds, signed) if known else "-")
  if markdown:
    cells.insert(1, ["---"] + ["---:"] * len(names))
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
  widths = [max(map(len, column)) for column in zip(*cells)]
  return "\n".join(
    "   ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))])
    for line in cells
  )


def shown(metrics: Iterable[str]) -> list[str]:
  """Metrics that a table contains, in its order.

  >>> shown(["training_sec", "linear_video_top5", "purity", "knn_video"])
  ['knn_video', 'purity', 'training_sec']
  """
  names = dict.fromkeys(metrics)
  others = [
    name
    for name in names
    if name not in _TITLES and name != TRAINING_SEC
    and not name.startswith(("retrieval_", "viewpoint_retrieval_", *_FIELD_GROUPS))
    and not name.endswith("_top5")
  ]  # fmt: skip
  return [name for name in (*_TITLES, *others, TRAINING_SEC) if name in names]


def title(metric: str) -> str:
  """Display name of a metric, with its unit if that is not percent.

  >>> title("retrieval_r1"), title("purity_k32")
  ('R@1', 'purity k32')
  """
  words = metric.replace("_", " ").replace(" auc", " AUC")
  known = _TIME_TITLE if metric == TRAINING_SEC else _TITLES.get(metric, words)
  return known if metric == TRAINING_SEC else units.titled(known, metric)


def as_json(rows: Rows, differences: Rows, runs: Runs) -> dict:
  """Statistics and the individual values, as plain dicts.

  Returns:
    `{"rows": {row: {metric: {"mean", "std", "n"}}},
    "differences": {method: {metric: {"mean", "std", "n"}}},
    "runs": {method: {seed: {"untrained": {metric: value}, "trained": {metric: value}}}}}`.
  """
  return {
    "rows": _statistics_as_json(rows),
    "differences": _statistics_as_json(differences),
    "runs": {
      method: {
        seed: {UNTRAINED: dict(untrained), "trained": dict(trained)}
        for seed, (untrained, trained) in by_seed.items()
      }
      for method, by_seed in runs.items()
    },
  }


def _statistics_as_json(rows: Rows) -> dict:
  return {
    name: {metric: dataclasses.asdict(value) for metric, value in row.items()}
    for name, row in rows.items()
  }
