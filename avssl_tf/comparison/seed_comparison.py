"""Mean and spread, over seeds, of what runs measured; several methods below each other."""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from avssl_tf.evaluation import units

PROBE = "probe/"
TRAINING_SEC = "training_sec"
UNTRAINED = "untrained"
# What a table shows of a metric, in this order; other metrics come after these under their own
# names, the time last.
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
# Of what is measured of sound fields, a table shows no more than it has titles for.
_FIELD_GROUPS = ("all_", "one_", "several_", "moving_")
_TIME_TITLE = "time, s"

# Of one run: by the name of a metric, its value. Shares are in 0..1.
Metrics = Mapping[str, float]
# By method and seed: the metrics of the untrained and of the trained network.
Runs = Mapping[str, Mapping[int, tuple[Metrics, Metrics]]]


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

  def text(self, unit: units.Unit, num_seeds: int, signed: bool = False) -> str:
    """`mean ± std` in a unit; a single value has no spread, and n is told if not `num_seeds`.

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


# By the name of a row and of a metric.
Rows = Mapping[str, Mapping[str, Statistic]]


def probes(log: Sequence[Mapping[str, float]]) -> tuple[Metrics, Metrics]:
  """The probes of the untrained and those of the trained network.

  Args:
    log: lines of the `metrics.jsonl` of a run; several may hold probes of one step.

  Returns:
    What was probed at step 0, and of each metric the last value that was probed after it, by
    their names without "probe/"; {} where there is none.
  """
  untrained, trained = {}, {}
  for line in log:
    values = {k[len(PROBE) :]: v for k, v in line.items() if k.startswith(PROBE)}
    (trained if line["step"] else untrained).update(values)
  return untrained, trained


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


def rows(runs: Runs) -> dict[str, dict[str, Statistic]]:
  """Brings the runs of each method together.

  Args:
    runs: what was measured; methods may have different seeds, also none yet.

  Returns:
    By the name of a row and of a metric, its `Statistic`. First come the untrained networks: one
    row where those of all methods measure the same, otherwise one for each kind of start. Then
    each method has a row.
  """
  result = {name: _over_seeds(by_seed.values()) for name, by_seed in _starts(runs).items()}
  for method, by_seed in runs.items():
    result[method] = _over_seeds([trained for _, trained in by_seed.values()])
  return {name: row for name, row in result.items() if row}


def differences(runs: Runs, baseline: str) -> dict[str, dict[str, Statistic]]:
  """How much methods differ from one of them, seed by seed.

  Runs with the same seed share what chance decides, so that their difference may vary less than
  each of them does.

  Args:
    runs: what was measured.
    baseline: name of the method that is subtracted.

  Returns:
    By method and metric, the `Statistic` of trained value minus that of the baseline, over the
    seeds and metrics that both have; methods without any are left out.
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
  """Untrained metrics by a name for all methods that start alike, and by seed."""
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
  # Not "untrained": some may begin with the weights of another run.
  return {f"{_listing(methods)}, at step 0": known for methods, known in groups}


def _agree(start: Mapping[int, Metrics], other: Mapping[int, Metrics]) -> bool:
  """Whether two starts measure the same where both measured."""
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
  """Lays out rows below each other: shares in percent, and the time of training in seconds.

  >>> print(table({"AVID": {"knn_video": Statistic.of([0.75, 0.8, 0.85])}}, num_seeds=3))
  %       kNN video
  AVID   80.0 ± 5.0

  Args:
    rows: by the name of a row and of a metric, its statistic. One that a row does not have shows
      as "-". Top 5 accuracies, R@10, retrieval by direction, and most metrics of sound fields are
      left out.
    num_seeds: number of values that goes without saying; others are told.
    corner: what stands above the names.
    signed: whether gains have a sign, as losses do.
    markdown: a table of Markdown instead of plain text.
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
  """Those of some metrics that a table shows, in its order.

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
  """What a metric is called where people read it, with its unit where that is not percent.

  >>> title("retrieval_r1"), title("purity_k32")
  ('R@1', 'purity k32')
  """
  words = metric.replace("_", " ").replace(" auc", " AUC")
  known = _TIME_TITLE if metric == TRAINING_SEC else _TITLES.get(metric, words)
  return known if metric == TRAINING_SEC else units.titled(known, metric)


def as_json(rows: Rows, differences: Rows, runs: Runs) -> dict:
  """Statistics and the single values behind them, as plain dicts.

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
