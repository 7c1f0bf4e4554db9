"""Curves of losses, rates and probe results."""

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from avssl_tf.evaluation import units
from avssl_tf.report import charts, page
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training.metrics import PROBE

_RATES = ("learning_rate", "clips_per_sec")
# Only in the table of the probe, to limit the number of curves.
_MINOR = ("_top5", "_r1", "_r10", "audio_to_video", "video_to_audio")


def section(run: ReportedRun) -> page.Section:
  """A chart for each kind of metric in the log."""
  if not run.metrics:
    return page.Section("Curves", left_out="the run has not logged any metrics yet.")
  return page.Section("Curves", html([run]))


def html(runs: Sequence[ReportedRun]) -> Markup:
  """The charts of one run, or of several runs overlaid.

  Args:
    runs: runs with a log; lines of several runs are labelled with the name of the run.
  """
  names = list(dict.fromkeys(name for run in runs for line in run.metrics for name in line))
  names = [name for name in names if name != "step"]
  probes = [name for name in names if name.startswith(PROBE)]
  losses = [name for name in names if name == "loss" or name.startswith("loss/")]
  others = [name for name in names if name not in {*probes, *losses, *_RATES}]
  if len(runs) > 1:
    losses, others = ["loss"], []  # The terms of a loss depend on the method.
  drawn = [_chart("Loss", runs, losses)]
  by_unit: dict[str, list[str]] = {}
  for name in probes:
    if not any(part in name for part in _MINOR):
      by_unit.setdefault(units.unit_of(name).symbol, []).append(name)
  drawn += [
    _chart(f"Probe, {symbol}" if symbol else "Probe", runs, found)
    for symbol, found in by_unit.items()
  ]
  drawn.append(_chart("Method-specific metrics", runs, others))
  drawn += [_chart(name.replace("_", " ").capitalize(), runs, [name]) for name in _RATES]
  return Markup('<div class="charts">{}</div>').format(Markup("").join(filter(None, drawn)))


def _chart(title: str, runs: Sequence[ReportedRun], names: Iterable[str]) -> str:
  lines = {}
  for name in names:
    factor = units.unit_of(name).factor if name.startswith(PROBE) else 1.0
    for run in runs:
      found = [(line["step"], factor * line[name]) for line in run.metrics if name in line]
      if found:
        short = name.removeprefix(PROBE)
        title_of = short if len(runs) == 1 else f"{run.name}: {short}"
        lines[title_of] = tuple(zip(*found))
  return charts.curves(title, lines) if lines else ""
