#!/usr/bin/env python3
"""Trains methods with several seeds and prints a table of mean and standard deviation.

  python tools/compare_seeds.py --method='AVID: gin/avid.gin' \\
    --method='Self-AVID: gin/avid.gin AVID.cross_coefficient=0.0 AVID.self_coefficient=1.0' \\
    --seeds=0,1,2 --baseline=AVID --output_dir=runs/seeds

Each --method consists of a name, gin files, and gin bindings. Larger comparisons can be stored in a
file with one flag per line: --flagfile=gin/compare/methods.flags.

Runs are written to <output_dir>/<method>-seed<seed>. All methods are trained with one seed before
the next. After each run, the current table is printed, and all numbers are saved to
<output_dir>/comparison.json. --plot draws <output_dir>/comparison.png; for more points, set
train.probe_every_epochs. Rerunning the command skips completed runs and resumes interrupted or
failed ones; seeds and methods can be added. Exits with status 1 if a run failed.

Accuracies are those of classifiers on frozen features, also for supervised runs.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Optional

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.

# isort: split
import gin
import tensorflow as tf
from absl import flags

from avssl_tf import local_paths
from avssl_tf.comparison import run_series, seed_comparison, seed_curves
from avssl_tf.comparison.seed_comparison import Statistic
from avssl_tf.comparison.seed_runs import Method, Run, plan
from avssl_tf.evaluation.frozen import raw_input
from avssl_tf.files import locked_folder, whole_file
from avssl_tf.training import metrics, run_folder
from avssl_tf.training.configurations import configuration
from avssl_tf.training.configurations.settings import ConfigurationError

FLAGS = flags.FLAGS
COMPARISON_FILE = "comparison.json"
CURVES_FILE = "comparison.png"
_RAW_INPUT = "raw input"


def measured(
  run: Run, log: Sequence[Mapping[str, float]]
) -> tuple[seed_comparison.Metrics, seed_comparison.Metrics]:
  """Metrics of the untrained and of the trained network of a completed run, from its log."""
  untrained, trained = seed_comparison.probes(log)
  configuration.parse_operative(run.model_dir)
  seconds = seed_comparison.training_sec(log, gin.get_bindings("train")["batch_size"])
  return untrained, {**trained, seed_comparison.TRAINING_SEC: seconds}


def measure_raw_input(run: Run) -> dict[str, Statistic]:
  """Results of classifiers on the raw input of a run, on the splits of its probe."""
  configuration.parse_operative(run.model_dir)
  train_bindings = gin.get_bindings("train")
  probe = train_bindings["probe"]
  results = raw_input.raw_input(
    os.fspath(train_bindings["data_dir"]),
    train_bindings["clip"],
    gin.get_bindings("AudioFrontEnd")["spectrogram"],
    probe.train_split,
    probe.test_split,
  )
  return {name.split("/", 1)[1]: Statistic.of([value]) for name, value in results.items()}


class Comparison:
  """Metrics of the completed runs of a comparison, and their presentation."""

  def __init__(
    self,
    runs: Sequence[Run],
    output_dir: str,
    baseline: Optional[str] = None,
    with_raw_input: bool = False,
    markdown: bool = False,
    plot: bool = False,
  ):
    """Creates a comparison without results.

    Args:
      runs: all runs of the comparison.
      output_dir: folder of the output files.
      baseline: method to subtract from the others, if any.
      with_raw_input: whether to add a row of classifiers on the raw input.
      markdown: whether to print Markdown tables.
      plot: whether to draw curves.

    Raises:
      ConfigurationError: `baseline` is not one of the methods.
    """
    # In the planned order; runs may be completed in another order.
    self._measured = {run.method: {} for run in runs}
    if baseline is not None and baseline not in self._measured:
      raise ConfigurationError(
        f"--baseline={baseline}: no such method; expected one of {', '.join(self._measured)}."
      )
    self._output_dir = output_dir
    self._baseline = baseline
    self._with_raw_input = with_raw_input
    self._markdown = markdown
    self._plot = plot
    self._logs = {run.method: [] for run in runs}
    self._raw_input: Optional[dict[str, Statistic]] = None

  def add(self, run: Run) -> None:
    """Adds the metrics of a completed run."""
    log = metrics.read(os.path.join(run.model_dir, run_folder.METRICS))
    self._logs[run.method].append(log)
    self._measured[run.method][run.seed] = measured(run, log)
    if self._with_raw_input and self._raw_input is None:
      self._raw_input = measure_raw_input(run)

  def show(self) -> None:
    """Prints the tables and writes the files, if there are any results."""
    seeds = sorted({seed for by_seed in self._measured.values() for seed in by_seed})
    if not seeds:
      return
    rows = seed_comparison.rows(self._measured)
    if self._raw_input:
      rows = {_RAW_INPUT: self._raw_input, **rows}
    differences = {}
    if self._baseline is not None:
      differences = seed_comparison.differences(self._measured, self._baseline)
    path = os.path.join(self._output_dir, COMPARISON_FILE)
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
      json.dump(seed_comparison.as_json(rows, differences, self._measured), f, indent=1)
      f.write("\n")
    print(f"\n{seed_comparison.table(rows, len(seeds), markdown=self._markdown)}")
    if differences:
      print(f"\nDifference from {self._baseline} with the same seed, in points:\n")
      print(
        seed_comparison.table(
          differences, len(seeds), corner="points", signed=True, markdown=self._markdown
        )
      )
    print(
      f"\nMean ± standard deviation over {len(seeds)} seed(s): {', '.join(map(str, seeds))}; "
      f"accuracies of classifiers on frozen features.\nAll numbers: {path}",
      flush=True,
    )
    if self._plot:
      self._draw()

  def _draw(self) -> None:
    figure = seed_curves.draw(self._logs)
    if figure is None:
      print("No curves: no metric was logged at three steps or more.", flush=True)
      return
    path = os.path.join(self._output_dir, CURVES_FILE)
    with whole_file(path) as temporary:
      figure.savefig(temporary, format="png")
    print(f"Curves: {path}", flush=True)


def compare(
  runs: Sequence[Run], comparison: Comparison, overwrite: bool = False, num_parallel: int = 1
) -> list[str]:
  """Executes the missing runs, and prints the current results after each run.

  Returns:
    The failures, one sentence per run.

  Raises:
    ConfigurationError, BuildError, WorkerError: as in `run_series.prepare` and `train`.
  """

  def add_and_show(run: Run) -> None:
    comparison.add(run)
    comparison.show()

  missing = run_series.prepare(runs, overwrite)
  for run in runs:
    if run not in missing:
      comparison.add(run)
  comparison.show()
  return run_series.train(missing, num_parallel, add_and_show)


def define_flags(values: flags.FlagValues = FLAGS) -> None:
  """Defines the flags of this command in `values`."""
  flags.DEFINE_multi_string(
    "method",
    [],
    "A method, as 'NAME: FILE.gin [FILE.gin ...] [BINDING=VALUE ...]'; repeatable. In bindings, "
    "{seed} and {output_dir} are replaced by those of the run.",
    flag_values=values,
  )
  flags.DEFINE_multi_string(
    "gin_param",
    [],
    "Gin binding for all methods, such as num_epochs=2; overrides theirs.",
    flag_values=values,
  )
  flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds, separated by commas.", flag_values=values)
  local_paths.define_flag("output_dir", "runs/seeds", "Folder of the runs.", flag_values=values)
  flags.DEFINE_string(
    "baseline", None, "Method to subtract from the others, seed by seed.", flag_values=values
  )
  flags.DEFINE_bool(
    "raw_input", False, "Add a row of classifiers on raw pixels and spectrograms.",
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool("markdown", False, "Print tables in Markdown.", flag_values=values)
  flags.DEFINE_bool(
    "plot", False, "Draw losses and probe metrics over training steps.",
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_integer(
    "num_parallel",
    1,
    "Number of parallel training processes, which share the cores; each has a log file.",
    lower_bound=1,
    flag_values=values,
  )
  flags.DEFINE_bool("overwrite", False, "Train all runs again.", flag_values=values)


def main() -> None:
  """Compares the methods of the flags."""
  define_flags()
  cli.main(_run, stopped="Stopped, including active runs. Rerun the command to resume.")


def _run() -> None:
  tf.config.set_visible_devices([], "GPU")  # Leaves the memory of the GPUs to the runs.
  runs = plan(
    [Method.parse(text) for text in FLAGS.method], FLAGS.gin_param, FLAGS.seeds, FLAGS.output_dir
  )
  comparison = Comparison(
    runs, FLAGS.output_dir, FLAGS.baseline, FLAGS.raw_input, FLAGS.markdown, FLAGS.plot
  )
  in_use = (
    f"Another comparison is running in {FLAGS.output_dir}. Wait for it to finish, or stop it first."
  )
  with locked_folder(FLAGS.output_dir, in_use):
    failures = compare(runs, comparison, FLAGS.overwrite, FLAGS.num_parallel)
  if failures:
    sys.exit("\n".join([
      f"Error: {len(failures)} of {len(runs)} runs failed; rerun the command to retry them.",
      *failures,
    ]))  # fmt: skip


if __name__ == "__main__":
  main()
