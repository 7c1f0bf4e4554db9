#!/usr/bin/env python3
"""Trains with several seeds and tables mean and spread, for one method or several.

  python tools/compare_seeds.py --method='AVID: gin/avid.gin' \\
    --method='Self-AVID: gin/avid.gin AVID.cross_coefficient=0.0 AVID.self_coefficient=1.0' \\
    --seeds=0,1,2 --raw_input --output_dir=runs/seeds

Each --method is a name, the gin files that compose to its configuration, and bindings after them.
A longer comparison is best kept in a file, a flag a line: --flagfile=gin/compare/demo.flags. Runs
go to <output_dir>/<method>-seed<seed>, one after the other. The same command again repeats no run
that is finished and goes on with one that was interrupted; more seeds and methods may be added to
it. The numbers also go to <output_dir>/comparison.json.

Accuracies are of classifiers on frozen features, those of supervised runs included.
"""

import difflib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Makes the package importable from any folder, without an installation.
sys.path.insert(0, _ROOT)

# ruff: noqa: E402
import gin
from absl import app, flags

from avssl_tf.evaluation import raw_input
from avssl_tf.report import seed_comparison
from avssl_tf.report.seed_comparison import Statistic
from avssl_tf.training import configuration, metrics, run_folder
from avssl_tf.training.seed_runs import Method, Run, plan, resolved_configuration
from avssl_tf.training.settings import ConfigurationError

FLAGS = flags.FLAGS
_COMPARISON_FILE = "comparison.json"


def is_finished(run: Run, resolved: str) -> bool:
  """Whether a run was done to its end; False also where it has not begun.

  Raises:
    ConfigurationError: what there is was run with another configuration.
  """
  if not os.path.exists(run.record_path):
    if os.path.isdir(run.model_dir) and os.listdir(run.model_dir):
      raise ConfigurationError(
        f"{run.model_dir} holds files that this command did not write: name another --output_dir."
      )
    return False
  with open(run.record_path, encoding="utf-8") as f:
    record = json.load(f)
  if record["configuration"] != resolved:
    changes = difflib.unified_diff(
      record["configuration"].splitlines(), resolved.splitlines(), "then", "now", "", "", 0, ""
    )
    raise ConfigurationError(
      f"The configuration of {run.model_dir} has changed since:\n" + "\n".join(changes) +
      "\nName another --output_dir, or pass --overwrite to train all runs anew."
    )
  return record["finished"]


def delete(run: Run) -> None:
  """Deletes what this command has written of a run."""
  if os.path.exists(run.record_path):
    shutil.rmtree(run.model_dir, ignore_errors=True)
    os.remove(run.record_path)


def train(runs: Sequence[Run], overwrite: bool) -> None:
  """Does the runs that are not finished, each in a process of its own.

  Args:
    runs: what to do, in this order.
    overwrite: deletes what there is of them first.

  Raises:
    ConfigurationError: a configuration or what there is of a run cannot be used, or a run failed.
  """
  # All are looked at first: an error should not come after hours of training.
  resolved = [resolved_configuration(run) for run in runs]
  if overwrite:
    for run in runs:
      delete(run)
  finished = [is_finished(run, text) for run, text in zip(runs, resolved)]
  search_path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
  for number, (run, text) in enumerate(zip(runs, resolved)):
    if finished[number]:
      continue
    print(f"\nRun {number + 1} of {len(runs)}: {run.method}, seed {run.seed}", flush=True)
    os.makedirs(os.path.dirname(run.record_path) or ".", exist_ok=True)
    _write_json(run.record_path, {"configuration": text, "finished": False})
    environment = {**os.environ, "PYTHONPATH": search_path}
    result = subprocess.run(run.command(), env=environment, check=False)
    if result.returncode:
      raise ConfigurationError(
        f"The run in {run.model_dir} ended with status {result.returncode}; what it printed last "
        "says why. The same command goes on from there."
      )
    _write_json(run.record_path, {"configuration": text, "finished": True})


def measured(run: Run) -> tuple[seed_comparison.Metrics, seed_comparison.Metrics]:
  """What a finished run measured: of its untrained and of its trained network.

  Raises:
    ConfigurationError: the run was not probed.
  """
  log = metrics.read(os.path.join(run.model_dir, run_folder.METRICS))
  untrained, trained = seed_comparison.probes(log)
  if not trained:
    raise ConfigurationError(f"{run.model_dir} was not probed: there is nothing to compare.")
  configuration.parse_operative(run.model_dir)
  seconds = seed_comparison.training_sec(log, gin.get_bindings("train")["batch_size"])
  return untrained, {**trained, seed_comparison.TRAINING_SEC: seconds}


def measure_raw_input(run: Run) -> dict[str, Statistic]:
  """Classifiers on the raw input of a run, on the splits of its probe."""
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


def _write_json(path: str, content) -> None:
  with open(f"{path}.tmp", "w", encoding="utf-8") as f:
    json.dump(content, f, indent=1)
    f.write("\n")
  os.replace(f"{path}.tmp", path)


def compare(runs: Sequence[Run], overwrite: bool, with_raw_input: bool, output_path: str) -> None:
  """Does what is missing of the runs, prints the table, and writes the JSON file.

  Raises:
    ConfigurationError: as `train` and `measured`.
  """
  train(runs, overwrite)
  results: dict[str, dict] = {}
  for run in runs:
    results.setdefault(run.method, {})[run.seed] = measured(run)
  columns = seed_comparison.columns(results)
  if with_raw_input:
    columns = {"raw input": measure_raw_input(runs[0]), **columns}
  _write_json(output_path, seed_comparison.as_json(columns, results))
  seeds = sorted({run.seed for run in runs})
  print(f"\n{seed_comparison.table(columns, len(seeds))}")
  print(
    f"Mean ± standard deviation over n = {len(seeds)} seeds {seeds}; accuracies of classifiers on "
    f"frozen features.\nAlso in {output_path}."
  )


def define_flags(values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines the flags of this command among `values`."""
  flags.DEFINE_multi_string(
    "method", [], "A method, as 'NAME: FILE.gin [FILE.gin ...] [BINDING=VALUE ...]'; repeatable.",
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_multi_string(
    "gin_param", [], "Gin binding such as num_epochs=2, for all methods, after their own.",
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds, separated by commas.", flag_values=values)
  flags.DEFINE_string("output_dir", "runs/seeds", "Folder of the runs.", flag_values=values)
  flags.DEFINE_bool(
    "raw_input", False, "Add a row of classifiers on raw pixels and spectrograms.",
    flag_values=values,
  )  # fmt: skip
  flags.DEFINE_bool("overwrite", False, "Train all runs anew.", flag_values=values)


def main(argv) -> None:
  """Compares what the flags name."""
  if len(argv) > 1:
    raise app.UsageError(f"Arguments {argv[1:]} mean nothing here: all options begin with --.")
  try:
    methods = [Method.parse(text) for text in FLAGS.method]
    runs = plan(methods, FLAGS.gin_param, FLAGS.seeds, FLAGS.output_dir)
    path = os.path.join(FLAGS.output_dir, _COMPARISON_FILE)
    compare(runs, FLAGS.overwrite, FLAGS.raw_input, path)
  except ConfigurationError as error:
    sys.exit(f"Error: {error}")
  except KeyboardInterrupt:
    sys.exit("\nStopped. The same command goes on where this one was.")


if __name__ == "__main__":
  define_flags()
  app.run(main)
