"""What was run, and on what."""

import platform
from importlib import metadata

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.report import page
from avssl_tf.report.reported_run import ReportedRun

_VERSIONS = ("tensorflow", "keras", "numpy")


def section(run: ReportedRun) -> page.Section:
  """The facts of a run, and its whole configuration to unfold."""
  settings = run.settings
  steps = f"{run.step}" if run.step is not None else "none yet"
  if "train.num_epochs" in settings:
    steps += f" (of {settings['train.num_epochs']} epochs, {settings.get('train.batch_size')} clips"
    steps += " a step)"
  facts = {
    "method": f"{run.method} ({run.task})",
    "steps done": steps,
    "seed": settings.get("train.seed", ""),
    "precision": settings.get("train.precision", "float32"),
    "begun from": settings.get("train.init_from") or "random weights",
    "clips a second, last": _last_rate(run),
    "records": _records(run),
    "split learnt from": run.train_split,
    "folder": run.model_dir,
    "versions": ", ".join(
      [f"Python {platform.python_version()}", *(f"{n} {metadata.version(n)}" for n in _VERSIONS)]
    ),
  }
  shown = {name: value for name, value in facts.items() if value != ""}
  return page.Section(
    "Run", page.fragment("overview.html", facts=shown, configuration=run.configuration)
  )


def _last_rate(run: ReportedRun) -> str:
  rates = [line["clips_per_sec"] for line in run.metrics if "clips_per_sec" in line]
  return f"{rates[-1]:.0f}" if rates else ""


def _records(run: ReportedRun) -> str:
  if run.info is None:
    return f"{run.data_dir} (not there any more)"
  return f"{run.data_dir}: {describe(run.info)}"


def describe(info: DatasetInfo) -> str:
  """What a data set holds, in a line."""
  splits = ", ".join(f"{info.num_clips(split)} {split}" for split in sorted(info.splits))
  parts = [f"{info.name}, clips: {splits}", f"{info.clip_duration_sec:g} s"]
  if info.frame_rate_hz:
    height, width = info.frame_size
    size = f"{width} x {height}" if height else "frames of several sizes"
    parts.append(f"{size} at {info.frame_rate_hz:g} Hz")
  if info.sample_rate_hz:
    parts.append(f"{info.num_channels} channel(s) at {info.sample_rate_hz} Hz")
  parts.append(f"{len(info.label_names)} classes" if info.label_names else "no labels")
  return "; ".join(parts)
