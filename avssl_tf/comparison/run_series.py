"""Runs the experiments of a comparison as subprocesses, skipping completed ones."""

import difflib
import json
import os
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Callable, Optional

import gin

from avssl_tf import own_files, stops
from avssl_tf.comparison import seed_runs
from avssl_tf.comparison.seed_runs import Run
from avssl_tf.data.building.demo import DemoData
from avssl_tf.errors import UserError
from avssl_tf.files import read_json, whole_file
from avssl_tf.training import run_folder
from avssl_tf.training.configurations import configuration
from avssl_tf.training.configurations.settings import ConfigurationError

_POLL_SEC = 0.1
_LINES_SHOWN = 3
_REMEDY = "Move it away, or choose another --output_dir."


def prepare(runs: Sequence[Run], overwrite: bool = False) -> dict[Run, str]:
  """Checks all runs before the first one starts, so that errors do not occur after hours.

  Args:
    runs: the runs, in order of execution.
    overwrite: whether to delete existing outputs of the runs.

  Returns:
    The runs that are not finished, with the configuration of each.

  Raises:
    ConfigurationError: a configuration, or the existing outputs of a run, cannot be used.
  """
  resolved = {run: seed_runs.resolved_configuration(run) for run in runs}
  if overwrite:
    for run in runs:
      _check_deletable(run)
    for run in runs:
      delete(run)
  return {run: text for run, text in resolved.items() if not is_finished(run, text)}


def train(
  runs: Mapping[Run, str],
  num_parallel: int = 1,
  after_run: Callable[[Run], None] = lambda run: None,
) -> list[str]:
  """Executes runs in order; a failed run does not affect the others.

  With parallel runs, a run that starts from the result of another waits for it, and later runs are
  started first.

  Args:
    runs: the result of `prepare`.
    num_parallel: number of parallel processes. Several processes share the cores and write to
      `<model_dir>.log`; a single one prints to the terminal.
    after_run: called with each completed run; a ConfigurationError that it raises counts as a
      failure of this run only.

  Returns:
    The failures, one sentence per run.

  Raises:
    ConfigurationError, BuildError, WorkerError: the demo data cannot be used or built.
  """
  if num_parallel > 1:
    _build_data(runs)  # Not possible in several processes at once.
  waiting = list(runs)
  failures: list[str] = []
  processes: dict[Run, subprocess.Popen] = {}
  try:
    while waiting or processes:
      while len(processes) < num_parallel and (run := _next(waiting, processes)):
        waiting.remove(run)
        number = len(runs) - len(waiting)
        target = f", log: {_log_path(run)}" if num_parallel > 1 else ""
        print(f"\nRun {number} of {len(runs)}: {run.method}, seed {run.seed}{target}", flush=True)
        _write_record(run, runs[run], finished=False)
        processes[run] = _start(run, num_parallel)
      run = _first_ended(processes)
      status = processes.pop(run).returncode
      if status:
        failures.append(_failure(run, status, num_parallel))
        print(failures[-1], flush=True)
      else:
        _write_record(run, runs[run], finished=True)
        try:
          after_run(run)
        except ConfigurationError as error:
          failures.append(f"{run.method}, seed {run.seed}: {error}")
  finally:
    for process in processes.values():
      process.terminate()
    for process in processes.values():
      process.wait()
  return failures


def _next(waiting: Sequence[Run], running: Collection[Run]) -> Optional[Run]:
  """The first run that does not depend on an unfinished run; None if there is none."""
  for run in waiting:
    if not any(run.begins_with(other) for other in (*running, *waiting)):
      return run
  # Runs that wait for each other: start one, and it reports the missing input.
  return waiting[0] if waiting and not running else None


def is_finished(run: Run, resolved: str) -> bool:
  """Whether a run is complete; False also if it has not started.

  Args:
    run: the run.
    resolved: its configuration, the result of `seed_runs.resolved_configuration`.

  Raises:
    ConfigurationError: existing outputs belong to another configuration.
  """
  if not os.path.lexists(run.record_path):
    for path in (run.model_dir, _log_path(run)):
      if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise ConfigurationError(
          f"{path} contains files that this command did not write: choose another --output_dir."
        )
    return False
  record = _read_record(run)
  if record["configuration"] != resolved:
    changes = difflib.unified_diff(
      record["configuration"].splitlines(), resolved.splitlines(), "then", "now", "", "", 0, ""
    )
    raise ConfigurationError(
      f"The configuration of {run.model_dir} has changed since:\n"
      + "\n".join(changes)
      + "\nChoose another --output_dir, or pass --overwrite to train all runs again."
    )
  return record["finished"] is True


def delete(run: Run) -> None:
  """Deletes the outputs of a run.

  Raises:
    ConfigurationError: there are other files among them; nothing was deleted.
  """
  if not os.path.lexists(run.record_path):
    return
  _check_deletable(run)
  if os.path.isdir(run.model_dir):
    try:
      with run_folder.claimed(run.model_dir):
        run_folder.clear(run.model_dir)
    except (ValueError, FileExistsError) as error:
      raise ConfigurationError(str(error)) from error
    os.rmdir(run.model_dir)
  if os.path.exists(_log_path(run)):
    os.remove(_log_path(run))
  os.remove(run.record_path)


def _check_deletable(run: Run) -> None:
  if not os.path.lexists(run.record_path):
    return
  _read_record(run)
  try:
    for path in (run.model_dir, _log_path(run)):
      own_files.check_no_link(path, _REMEDY)
    run_folder.check_clearable(run.model_dir)
  except own_files.ForeignFilesError as error:
    raise ConfigurationError(str(error)) from error


def _read_record(run: Run) -> dict[str, Any]:
  """The content that `_write_record` wrote.

  Raises:
    ConfigurationError: the file has other content.
  """
  path = run.record_path
  try:
    own_files.check_no_link(path, _REMEDY)
    record = read_json(path)
    if set(record) != {"configuration", "finished"}:
      raise UserError(f"found the keys {sorted(record)}")
  except (ValueError, TypeError, OSError) as error:
    raise ConfigurationError(
      f"{path} is not a run record of this command ({error}) and was not changed. {_REMEDY}"
    ) from error
  return record


def thread_limits(num_parallel: int) -> Mapping[str, str]:
  """Environment variables that limit a process to its share of the cores; {} for one process.

  The variable of OpenMP also applies to the linear algebra of NumPy; TensorFlow has two of its own.
  """
  if num_parallel == 1:
    return {}
  threads = str(max(1, len(os.sched_getaffinity(0)) // num_parallel))
  names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
  return dict.fromkeys(names, threads)


def _start(run: Run, num_parallel: int) -> subprocess.Popen:
  home = os.path.dirname(configuration.PACKAGE)
  search_path = filter(None, [home, os.environ.get("PYTHONPATH")])
  environment = {
    **thread_limits(num_parallel),  # Values of the caller take precedence.
    **os.environ,
    "PYTHONPATH": os.pathsep.join(search_path),
    **stops.with_parent(),
  }
  if num_parallel == 1:
    return subprocess.Popen(run.command(), env=environment)
  with open(_log_path(run), "ab") as log:
    return subprocess.Popen(run.command(), env=environment, stdout=log, stderr=subprocess.STDOUT)


def _first_ended(processes: Mapping[Run, subprocess.Popen]) -> Run:
  while True:
    for run, process in processes.items():
      if process.poll() is not None:
        return run
    time.sleep(_POLL_SEC)


def _failure(run: Run, status: int, num_parallel: int) -> str:
  text = f"{run.method}, seed {run.seed}: the run in {run.model_dir} ended with status {status}"
  if num_parallel == 1:
    return f"{text}; see its last output for the reason."
  with open(_log_path(run), encoding="utf-8", errors="replace") as f:
    lines = [line.rstrip() for line in f if line.strip()]
  return "\n  ".join([f"{text}; {_log_path(run)} ends with", *lines[-_LINES_SHOWN:]])


def _build_data(runs: Iterable[Run]) -> None:
  for run in runs:
    configuration.parse(run.gin_files, run.gin_params)
    bound = gin.get_bindings("train")
    probe = bound.get("probe")
    for data_dir in (bound["data_dir"], probe and probe.data_dir):
      if isinstance(data_dir, DemoData):
        try:
          data_dir.build_if_missing()
        except (ValueError, OSError) as error:
          raise ConfigurationError(f"Method {run.method}: {error}") from error


def _log_path(run: Run) -> str:
  return f"{run.model_dir}.log"


def _write_record(run: Run, resolved: str, finished: bool) -> None:
  os.makedirs(os.path.dirname(run.record_path) or ".", exist_ok=True)
  with whole_file(run.record_path) as path, open(path, "w", encoding="utf-8") as f:
    json.dump({"configuration": resolved, "finished": finished}, f, indent=1)
    f.write("\n")
