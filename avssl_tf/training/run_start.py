"""The start of a run: creates its task, and prints and saves its configuration."""

import sys
from collections.abc import Sequence
from typing import Any, Callable, Optional

import gin
import tensorflow as tf

from avssl_tf import keras_optimizers
from avssl_tf.errors import UserError
from avssl_tf.models.network import Network
from avssl_tf.tasks.task import Task
from avssl_tf.training import checkpoints, inherited_memory, normalization, run_folder, strategies
from avssl_tf.training.configurations.settings import Settings
from avssl_tf.training.training_data import TrainingData
from avssl_tf.training.variable_table import variable_table


def build(
  network: Callable[..., Network],
  task: Callable[..., Task],
  optimizer: Any,
  data: TrainingData,
  seed: int,
  accumulate_steps: int = 1,
) -> Task:
  """Creates the task of a run, with all variables of the task and of its optimiser.

  Args:
    network: creates the network.
    task: creates the task.
    optimizer: optimiser of the task.
    data: the training data.
    seed: random seed of the run.
    accumulate_steps: see `Task.accumulate_steps`.

  Raises:
    UserError: the batch of a replica cannot be divided into `accumulate_steps` parts.
  """
  clips_of_replica = data.batch_size // tf.distribute.get_strategy().num_replicas_in_sync
  if clips_of_replica % accumulate_steps:
    raise UserError(
      f"accumulate_steps is {accumulate_steps}; expected a divisor of {clips_of_replica}, the "
      f"clips of each replica at batch_size = {data.batch_size}."
    )
  model = network()
  normalization.prepare(model, data)
  zeros = data.zero_batch()
  model(zeros)
  num_classes = len(data.info.label_names)
  trained = task(network=model, num_videos=data.num_videos, num_classes=num_classes, seed=seed)
  trained.accumulate_steps = accumulate_steps
  trained(zeros)
  trained.compile(optimizer=optimizer)
  keras_optimizers.build(trained.optimizer, trained.trainable_variables)
  return trained


def introduce(
  trained: Task, model_dir: str, ids: Sequence[str], num_epochs: int
) -> None:
  """Prints and saves the configuration, unless it contradicts that of a started run."""
  # Before the first checkpoint, any setting may change.
  has_learnt = checkpoints.latest(model_dir) is not None
  changes = run_folder.check_unchanged(model_dir) if has_learnt else ""
  inherited_memory.save_video_ids(model_dir, ids, replace=not has_learnt)
  run_folder.save_configuration(model_dir)
  configuration = Settings.parse(gin.operative_config_str()).table()
  print(f"Configuration, defaults included:\n{configuration}\n\n{variable_table(trained)}\n")
  if changes:
    print(f"WARNING: the configuration has changed since the start of the run:\n{changes}\n")
  warning = trained.warmup_warning(num_epochs)
  if warning is not None:
    print(f"{warning}\n")
  sys.stdout.flush()


def check_same_step(
  strategy: tf.distribute.Strategy, step: Optional[int], model_dir: str
) -> None:
  """Raises a `UserError` unless all workers found the checkpoint of the same step."""
  steps = strategies.gather(strategy, -1 if step is None else step)
  if len(set(steps)) > 1:
    raise UserError(
      f"The workers found checkpoints of different steps ({steps}) in --model_dir={model_dir}: all "
      "workers require the same folder on a shared file system."
    )


def tell_of_resuming(
  saved: checkpoints.RunCheckpoints,
  step: int,
  num_epochs: int,
  steps_per_epoch: int,
  keep_epochs: Sequence[int],
) -> None:
  """Prints the step from which a run resumes, and a warning of past epochs in `keep_epochs`."""
  print(f"Resuming after step {step} of {num_epochs * steps_per_epoch}.", flush=True)
  kept = saved.kept_epochs()
  gone = [
    str(epoch) for epoch in keep_epochs if epoch < step / steps_per_epoch and epoch not in kept
  ]
  if gone:
    print(
      f"WARNING: train.keep_epochs contains {', '.join(gone)}, which the run has already passed: "
      "no checkpoints of these epochs are kept.",
      flush=True,
    )
