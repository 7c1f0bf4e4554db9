"""The report of a run and the comparison of several runs, each a single HTML file."""

import datetime
import os
import urllib.parse
from collections.abc import Sequence

from markupsafe import Markup

from avssl_tf.errors import UserError
from avssl_tf.progress import Bar
from avssl_tf.report import page
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.report.sections import (
  alignment,
  curves,
  embedding_map,
  generated_fields,
  localized_sounds,
  overview,
  positive_sets,
  retrieved_clips,
  scores,
  weights,
)
from avssl_tf.training import checkpoints, run_folder

# In the order of the report.
_SECTIONS = (
  overview,
  scores,
  curves,
  retrieved_clips,
  positive_sets,
  weights,
  localized_sounds,
  alignment,
  generated_fields,
  embedding_map,
)


def write(run: ReportedRun, progress: bool = False) -> str:
  """Writes the report of a run to its folder.

  Args:
    run: the run.
    progress: show a progress bar.

  Returns:
    Path of the page.

  Raises:
    MissingFileError: the run has no checkpoint yet.
    FileThereError: `report.html` exists and is not a report.
  """
  checkpoints.latest_of(run.model_dir)
  path = os.path.join(run.model_dir, run_folder.REPORT)
  page.check(path)
  bar = Bar("Report", unit="part", items=_SECTIONS, shown=progress, logged=False)
  sections = [module.section(run) for module in bar]
  page.save(
    path, run.name, _subtitle(run), [part for part in sections if part is not None], _facts()
  )
  return path


def compare(model_dirs: Sequence[str], path: str) -> None:
  """Writes a page that compares several runs.

  Args:
    model_dirs: folders of at least two runs.
    path: output file.

  Raises:
    configuration.ConfigurationError: a folder contains no run that this version supports.
    UserError: a run is given twice.
    FileThereError: `path` exists and is not a page of this package.
  """
  page.check(path)
  runs = [ReportedRun(model_dir) for model_dir in model_dirs]
  names = [run.name for run in runs]
  if len(set(names)) < len(names):  # Runs of several experiments may have the same name.
    for run in runs:
      run.name = run.model_dir
  if len({os.path.abspath(run.model_dir) for run in runs}) < len(runs):
    raise UserError(f"A run is given twice: {', '.join(model_dirs)}. Expected different runs.")
  sections = [_runs(runs, path), _probes(runs), *_results(runs), _curves(runs), _differences(runs)]
  page.save(path, "Comparison", ", ".join(run.name for run in runs), sections, _facts())


def _subtitle(run: ReportedRun) -> str:
  data = run.info.name if run.info is not None else run.data_dir
  return f"{run.method} on {data}, {run.step} steps"


def _facts() -> dict[str, str]:
  return {"Written": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"), "by": "avssl_tf"}


def _runs(runs: Sequence[ReportedRun], path: str) -> page.Section:
  rows = []
  for run in runs:
    report = os.path.join(run.model_dir, run_folder.REPORT)
    link = os.path.relpath(report, os.path.dirname(os.path.abspath(path)))
    # Quoting prevents a folder called "javascript:..." from becoming a script.
    link = urllib.parse.quote(os.fsencode(link))
    name = Markup('<a href="{}">{}</a>').format(link, run.name)
    rows.append(
      [
        name if os.path.exists(report) else run.name,
        run.method,
        run.data_dir or "",
        str(run.settings.get("train.seed", "")),
        str(run.settings.get("train.num_epochs", "")),
        str(run.step if run.step is not None else ""),
      ]
    )
  columns = ["run", "method", "records", "seed", "epochs", "steps"]
  return page.Section("Runs", page.Table(columns, rows).html)


def _probes(runs: Sequence[ReportedRun]) -> page.Section:
  columns = {run.name: run.probes[max(run.probes)] for run in runs if run.probes}
  if not columns:
    return page.Section("Probes", left_out="none of the runs has probe results.")
  return page.Section("Probes", scores.table(columns, "Last probe of each run").html)


def _results(runs: Sequence[ReportedRun]) -> list[page.Section]:
  """A table for each evaluation protocol with results."""
  sections = []
  for task in sorted({task for run in runs for task in run.results}):
    columns = {
      f"{run.name}, {part}": measured
      for run in runs
      for part, measured in run.results.get(task, {}).items()
    }
    sections.append(page.Section(task, scores.table(columns, f"evaluate --task={task}").html))
  return sections


def _curves(runs: Sequence[ReportedRun]) -> page.Section:
  logged = [run for run in runs if run.metrics]
  if not logged:
    return page.Section("Curves", left_out="none of the runs has logged metrics.")
  return page.Section("Curves", curves.html(logged))


def _differences(runs: Sequence[ReportedRun]) -> page.Section:
  names = sorted({name for run in runs for name in run.settings})
  rows = []
  for name in names:
    values = [repr(run.settings[name]) if name in run.settings else "–" for run in runs]
    if len(set(values)) > 1:
      rows.append([name, *values])
  if not rows:
    return page.Section("Settings", left_out="all runs have the same settings.")
  table = page.Table(["", *(run.name for run in runs)], rows, "Settings that differ")
  return page.Section("Settings", table.html)


def default_comparison(model_dirs: Sequence[str]) -> str:
  """Default path of a comparison: in the common parent folder of the runs."""
  shared = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in model_dirs])
  return os.path.join(os.path.relpath(shared), "comparison.html")
