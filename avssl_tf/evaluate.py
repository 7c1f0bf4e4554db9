"""Evaluates a trained network with one of several protocols.

  python -m avssl_tf.evaluate --task=linear_probe --model_dir=runs/avid

A task is a file in gin/evaluate. Rerun the command to compute missing results and to print all of
them.
"""

import hashlib
import os
from typing import Optional

import gin
from absl import flags

from avssl_tf import cli, local_paths
from avssl_tf.data.records import dataset_info
from avssl_tf.evaluation import output_folder, protocol
from avssl_tf.evaluation.results import Results
from avssl_tf.foreign_text import printable
from avssl_tf.inference import exported
from avssl_tf.training import loading
from avssl_tf.training.configurations import configuration
from avssl_tf.training.configurations.settings import ConfigurationError, Settings

cli.define_gin_flags()
_TASK = flags.DEFINE_string(
  "task", None, "Evaluation task: the name of a file in gin/evaluate.", required=True
)
_MODEL_DIR = local_paths.define_flag(
  "model_dir", None, "Folder of a run, a converted checkpoint or a SavedModel.", required=True
)
_DATA_DIR = local_paths.define_flag(
  "data_dir", None, "Folder of the records; default: the records that the run was trained on."
)
_OUTPUT_DIR = local_paths.define_flag(
  "output_dir",
  None,
  "Folder for the results; default: evaluation/<task> in --model_dir, or for a SavedModel "
  "<model_dir>.evaluation/<task>.",
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Delete existing results and evaluate again.")

_TASKS = os.path.join("gin", "evaluate")
_CHECKSUM_LENGTH = 12


def main(argv: Optional[list[str]] = None) -> None:
  """Reads the configuration, evaluates the network, and prints all results.

  Args:
    argv: program name and arguments; None uses those of the process.
  """
  stopped = "Stopped. Rerun the command to resume."
  cli.main(_run, stopped, argv=argv)


def _run() -> None:
  sources = [_task_file(_TASK.value), *flags.FLAGS.gin_file]
  configuration.parse(sources, flags.FLAGS.gin_param, used_by="evaluate")
  configuration.check_complete(protocol.evaluate)
  bindings = Settings.parse(gin.config_str()).resolved()
  measured_by = gin.get_bindings("evaluate")["protocol"]
  chosen = protocol.settings(measured_by, bindings)
  output_dir = _OUTPUT_DIR.value or _default_output_dir(_MODEL_DIR.value, _TASK.value)

  trained = loading.load(_MODEL_DIR.value)
  others = {name: loading.load(model_dir) for name, model_dir in measured_by.others.items()}
  network = measured_by.subject(trained, others)
  chosen.update({f"weights of {name}": other.weights for name, other in others.items()})
  data_dir = trained.records(_DATA_DIR.value)
  above = [] if _OUTPUT_DIR.value else [os.path.dirname(output_dir), output_dir]
  output_folder.check(output_dir, *above)
  with output_folder.claimed(output_dir):
    if _OVERWRITE.value:
      output_folder.clear(output_dir)
    facts = {"task": _TASK.value, "weights": trained.weights, "data": _identity_of_data(data_dir)}
    results = Results(os.path.join(output_dir, output_folder.RESULTS), {**facts, **chosen})
    work_dir = os.path.join(output_dir, output_folder.WORK)
    protocol.evaluate(network, data_dir, results, work_dir, progress=True)
  measured = printable(f"{_TASK.value} of {_MODEL_DIR.value} on {data_dir}:")
  print(f"{measured}\n{results.table(not measured_by.compares_parts)}")
  print(f"All results are saved to {printable(results.path)}.")


def _task_file(task: str) -> str:
  """Path of the gin file of a task, relative to the folder that contains `gin/`."""
  folder = os.path.join(configuration.ROOT, _TASKS)
  known = sorted(os.path.splitext(f)[0] for f in os.listdir(folder) if f.endswith(".gin"))
  if task not in known:
    raise ConfigurationError(
      f"--task={task}: there is no {_TASKS}/{task}.gin. The tasks are: {', '.join(known)}."
    )
  return os.path.join(_TASKS, f"{task}.gin")


def _default_output_dir(model_dir: str, task: str) -> str:
  if exported.is_saved_model(model_dir):  # Its folder is not modified.
    return os.path.join(f"{os.path.normpath(model_dir)}.evaluation", task)
  return os.path.join(model_dir, "evaluation", task)


def _identity_of_data(data_dir: str) -> str:
  """Name of a data set and a checksum of its description; independent of its location.

  A folder without a description, such as audio files that a protocol reads directly, is identified
  by its path.
  """
  path = os.path.join(data_dir, dataset_info.FILE_NAME)
  if not os.path.exists(path):
    return os.path.abspath(data_dir)
  with open(path, "rb") as f:
    checksum = hashlib.sha256(f.read()).hexdigest()
  return f"{dataset_info.DatasetInfo.load(data_dir).name} {checksum[:_CHECKSUM_LENGTH]}"


if __name__ == "__main__":
  main()
