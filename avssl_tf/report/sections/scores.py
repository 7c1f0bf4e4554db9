"""Scores of a run: probe results, compared with the untrained network, and evaluations."""

import os
from collections.abc import Mapping
from typing import Any, Optional

from markupsafe import Markup

from avssl_tf.evaluation import units
from avssl_tf.report import page
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training import run_folder
from avssl_tf.training.metrics import PROBE

_SUPERVISED = "@Classification"
_COMPARED_SETTINGS = ("R2Plus1D.", "AudioNet.", "ClipSpec.")


def section(run: ReportedRun) -> page.Section:
  """Tables of the probe and of each evaluation."""
  columns: dict[str, Mapping[str, float]] = {}
  if run.probes:
    first, last = min(run.probes), max(run.probes)
    if first == 0:
      columns["untrained"] = run.probes[first]
    if last:
      columns[f"after {last} steps"] = run.probes[last]
    supervised = _supervised(run)
    if supervised is not None:
      columns[f"supervised ({supervised.name})"] = supervised.probes[max(supervised.probes)]
  parts = []
  if columns:
    parts.append(table(columns, f"Probe of the frozen network on {run.probed}").html)
  for task, measured in run.results.items():
    parts.append(table(measured, f"evaluate --task={task}").html)
  if not parts:
    return page.Section("Scores", left_out="no results: the run had no probe.")
  return page.Section("Scores", Markup("").join(parts))


def table(columns: Mapping[str, Mapping[str, float]], caption: str) -> page.Table:
  """A table with a row per metric, with its unit; fractions in percent.

  Args:
    columns: metrics by name, by the name of the column.
    caption: caption of the table.
  """
  metrics = list(dict.fromkeys(name for column in columns.values() for name in column))
  rows = []
  for metric in metrics:
    unit, short = units.unit_of(metric), metric.removeprefix(PROBE).replace("_", " ")
    symbol = f" ({unit.symbol})" if unit.symbol else ""
    cells = [unit.text(c[metric]) if metric in c else "–" for c in columns.values()]
    rows.append([f"{short}{symbol}", *cells])
  return page.Table(["", *columns], rows, caption)


def _supervised(run: ReportedRun) -> Optional[ReportedRun]:
  """A supervised run in the same parent folder, with the same networks and records."""
  if run.is_supervised or run.is_spherical:
    return None
  parent = os.path.dirname(os.path.abspath(run.model_dir))
  for name in sorted(os.listdir(parent)):
    folder = os.path.join(parent, name)
    path = os.path.join(folder, run_folder.OPERATIVE_CONFIG)
    if not os.path.isfile(path):
      continue
    try:
      # The text is searched first: most runs are of other methods.
      if _SUPERVISED not in _text(path):
        continue
      other = ReportedRun(folder)
    except (ValueError, OSError):
      continue  # A run of another version, or a damaged one.
    if other.is_supervised and other.probes and _networks(other) == _networks(run):
      return other
  return None


def _networks(run: ReportedRun) -> dict[str, Any]:
  """Settings that must be equal for two runs to be compared."""
  settings = {
    name: value for name, value in run.settings.items() if name.startswith(_COMPARED_SETTINGS)
  }
  return {**settings, "records": run.data_dir}


def _text(path: str) -> str:
  with open(path, encoding="utf-8") as f:
    return f.read()
