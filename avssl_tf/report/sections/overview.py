"""Overview of a run and its records."""

import importlib.metadata
import importlib.util
import platform

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.report import page
from avssl_tf.report.reported_run import ReportedRun

# Newer versions of TensorFlow have Keras 2 as a separate package.
_KERAS = "keras" if importlib.util.find_spec("tf_keras") is None else "tf-keras"


def section(run: ReportedRun) -> page.Section:
  """The main facts of a run, and its complete configuration to expand."""
  settings = run.settings
  steps = f"{run.step}" if run.step is not None else "none yet"
  if "train.num_epochs" in settings:
    steps += f" (of {settings['train.num_epochs']} epochs, {settings.get('train.batch_size')} clips"
    steps += " per step)"
  facts = {
    "method": f"{run.method} ({run.task})",
    "steps": steps,
    "seed": settings.get("train.seed", ""),
    "precision": settings.get("train.precision", "float32"),
    "initialised from": settings.get("train.init_from") or "random weights",
    "throughput, clips/s": _last_rate(run),
    "records": _records(run),
    "training split": run.train_split,
    "folder": run.model_dir,
    "versions": f"Python {platform.python_version()}, "
    + ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("tensorflow", _KERAS, "numpy")),
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
    return f"{run.data_dir} (does not exist)"
  return f"{run.data_dir}: {describe(run.info)}"


def describe(info: DatasetInfo) -> str:
  """A one-line summary of a data set."""
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
