"""Checkpoints of runs: their layout, saving and restoring.

Runs and converted checkpoints have the same layout: `task` is the trained task, with the network in
`task/network` and the objective with its memory banks in `task/objective`. Only runs have
`optimizer`.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Optional

import tensorflow as tf

from avssl_tf import checkpoint_files, cluster, keras_optimizers
from avssl_tf.errors import MissingFileError, NonFiniteError, UserError
from avssl_tf.models.network import Network
from avssl_tf.tasks.task import Task
from avssl_tf.training import replica_means, run_folder

# Prefixes of the names of values.
TASK = "task/"
NETWORK = "task/network/"
# Their suffix.
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# Values that earlier versions saved with another dtype.
_DTYPES = {f"task/objective/positive_sets{_VALUE}": tf.int32}


class CheckpointError(UserError):
  """A checkpoint does not match the network or task; the message states why."""


def latest(model_dir: str) -> Optional[str]:
  """Path of the latest checkpoint of a run, intact or damaged; None if there is none."""
  return checkpoint_files.latest(os.path.join(model_dir, run_folder.CHECKPOINTS))


def latest_of(model_dir: str, part: str = NETWORK) -> str:
  """Path of the latest intact checkpoint of a run.

  Args:
    model_dir: folder of the run.
    part: the part that is needed; see `checkpoint_files.latest_whole`.

  Raises:
    MissingFileError: there is no checkpoint.
    checkpoint_files.DamagedError: all checkpoints are damaged.
  """
  path = checkpoint_files.latest_whole(os.path.join(model_dir, run_folder.CHECKPOINTS), part)
  if path is None:
    raise MissingFileError(
      f"There is no checkpoint in {model_dir!r}. Expected the folder of a run (avssl_tf.train) "
      "that has saved one, or of a converted checkpoint (tools/convert_checkpoint.py)."
    )
  return path


def kept(model_dir: str, epoch: int, part: str = NETWORK) -> str:
  """Path of the checkpoint that a run has kept after an epoch.

  Args:
    model_dir: folder of the run.
    epoch: number of completed epochs.
    part: the part that is needed; see `checkpoint_files.latest_whole`.

  Raises:
    MissingFileError: no checkpoint of that epoch was kept.
    checkpoint_files.DamagedError: the checkpoint is damaged.
  """
  folder = os.path.join(model_dir, run_folder.KEPT_CHECKPOINTS)
  epochs = checkpoint_files.numbers(folder)
  if epoch not in epochs:
    raise MissingFileError(
      f"There is no checkpoint of epoch {epoch} in {folder!r}; available epochs: "
      f"{', '.join(map(str, epochs)) or 'none'}. A run keeps the checkpoints of train.keep_epochs: "
      f"train it with train.keep_epochs = ({epoch},), or set train.init_epoch = None to use its "
      "latest checkpoint."
    )
  path = os.path.join(folder, f"ckpt-{epoch}")
  reason = checkpoint_files.damage(path, part)
  if reason is not None:
    raise checkpoint_files.DamagedError(
      f"The checkpoint {path} is damaged ({reason}). Restore it from a copy."
    )
  return path


def start_of(init_from: str, init_epoch: Optional[int], part: str = NETWORK) -> str:
  """Path of the checkpoint that `train.init_from` and `train.init_epoch` select.

  Raises:
    MissingFileError: there is no such checkpoint.
    checkpoint_files.DamagedError: the checkpoint is damaged.
  """
  if init_epoch is None:
    return latest_of(init_from, part)
  return kept(init_from, init_epoch, part)


def write(model_dir: str, network: Network, objective: Optional[tf.Module]) -> None:
  """Writes a checkpoint of a network, and of an objective if given, without a training run."""
  task = tf.train.Checkpoint(network=network)
  if objective is not None:
    task.objective = objective
  folder = os.path.join(model_dir, run_folder.CHECKPOINTS)
  checkpoint_files.manager(tf.train.Checkpoint(task=task), folder, max_to_keep=1).save()


def restore_network(network: Network, path: str, backbones_alone: bool = False) -> None:
  """Restores only the weights of a network, from any checkpoint of this layout.

  From the checkpoint of another kind of network, the variables of `Network.restorable` are read.

  Args:
    network: the network to restore.
    path: the checkpoint.
    backbones_alone: restore only the video and audio networks and their input normalisation,
      neither heads nor translation.

  Raises:
    CheckpointError: the variables of the checkpoint do not match those of `network`.
  """
  if backbones_alone:
    parts = network.backbones()
    if not parts:
      raise CheckpointError(
        f"{type(network).__name__} has no separate video_net and audio_net: set "
        'train.init_parts = "all" to restore all matching parts.'
      )
    restored = tf.train.Checkpoint(**parts)
  else:
    restored = network.restorable(network_shapes(path))
  checkpoint = tf.train.Checkpoint(task=tf.train.Checkpoint(network=restored))
  try:
    status = checkpoint_files.restore(checkpoint, path)
    status.assert_existing_objects_matched().expect_partial()
  except (AssertionError, ValueError) as error:
    raise CheckpointError(
      f"The checkpoint {path} does not match the configured network: {error}"
    ) from error


def network_shapes(path: str) -> dict[str, list[int]]:
  """Shapes of the network's variables in a checkpoint, by path within the network."""
  shapes = checkpoint_files.load(path).get_variable_to_shape_map()
  return {
    name[len(NETWORK) : -len(_VALUE)]: shape
    for name, shape in shapes.items()
    if name.startswith(NETWORK) and name.endswith(_VALUE)
  }


class RunCheckpoints:
  """The checkpoints of a run during training.

  Each worker of a cluster calls the same methods, because the workers average some variables before
  the chief saves. Only the chief writes; all workers read its files.
  """

  def __init__(self, task: Task, model_dir: str, is_chief: bool):
    """Prepares the checkpoints of a compiled `task`; its variables and optimiser must be built."""
    self._task = task
    self._is_chief = is_chief
    self._checkpoint = tf.train.Checkpoint(task=task, optimizer=task.optimizer)
    self._saved_step: Optional[int] = None
    self._folder = os.path.join(model_dir, run_folder.CHECKPOINTS)
    self._restored: Optional[str] = None
    self._manager: Optional[tf.train.CheckpointManager] = None
    self._kept_folder = os.path.join(model_dir, run_folder.KEPT_CHECKPOINTS)

  def restore(self) -> Optional[int]:
    """Restores the latest intact checkpoint of the run.

    Returns:
      The step of the checkpoint; None if there is no checkpoint.

    Raises:
      checkpoint_files.DamagedError: all checkpoints are damaged.
      CheckpointError: networks, objective or optimiser do not match the checkpoint.
    """
    path = checkpoint_files.latest_whole(self._folder)
    if path is None:
      return None
    self._restored = path
    try:
      with _in_present_dtypes(path) as readable:
        status = checkpoint_files.restore(self._checkpoint, readable)
        status.assert_existing_objects_matched().assert_consumed()
    except (AssertionError, ValueError) as error:
      raise CheckpointError(
        f"The checkpoint {path} does not match the configured networks, objective (one row per "
        f"video of the data set) or optimiser: {error}\nResume with the original configuration and "
        "data; choose another --model_dir (train.init_from initialises a new run from this one); "
        "or pass --overwrite to delete this run and start again."
      ) from error
    self._saved_step = steps_done(self._task)
    return self._saved_step

  def save(self, step: int) -> None:
    """Saves a checkpoint, unless that of `step` exists.

    Raises:
      NonFiniteError: a variable contains NaN or infinity; nothing is saved.
    """
    if step == self._saved_step:
      return
    self._check_finite(step)
    if self._is_chief and self._manager is None:
      self._manager = checkpoint_files.manager(
        self._checkpoint, self._folder, 2, newest=self._restored
      )
    self._write(self._manager, step)
    self._saved_step = step

  def keep(self, epoch: int) -> None:
    """Saves the state after `epoch` epochs in a separate folder, where it is never deleted.

    Raises:
      NonFiniteError: see `save`.
    """
    self._check_finite(steps_done(self._task))
    manager = None
    if self._is_chief:
      manager = checkpoint_files.manager(self._checkpoint, self._kept_folder, max_to_keep=None)
    self._write(manager, epoch)

  def kept_epochs(self) -> list[int]:
    """Epochs with a kept checkpoint."""
    return checkpoint_files.numbers(self._kept_folder)

  def _check_finite(self, step: int) -> None:
    broken = non_finite([*self._task.variables, *keras_optimizers.variables(self._task.optimizer)])
    if broken:
      raise NonFiniteError(f"NaN or infinity in {_shortened(broken)} after step {step}.")

  def _write(self, manager: Optional[tf.train.CheckpointManager], number: int) -> None:
    """Writes a checkpoint with `manager`; None on workers that only take part in the averages."""
    averaged = replica_means.of_cluster if len(cluster.workers()) > 1 else contextlib.nullcontext
    with averaged(self._checkpoint):
      if manager is not None:
        manager.save(checkpoint_number=number)


@contextlib.contextmanager
def _in_present_dtypes(path: str) -> Iterator[str]:
  """The path of a checkpoint, or of a temporary copy with the dtypes of this version."""
  dtypes = checkpoint_files.load(path).get_variable_to_dtype_map()
  changed = {n: dtype for n, dtype in _DTYPES.items() if dtypes.get(n, dtype) != dtype}
  if not changed:
    yield path
    return
  with tempfile.TemporaryDirectory() as folder:
    copy = os.path.join(folder, os.path.basename(path))
    checkpoint_files.copy(path, copy, changed)
    yield copy


def steps_done(task: tf.keras.Model) -> int:
  """Optimiser steps of `task` since the start of the run."""
  # Variables of distribution strategies do not support int().
  return int(task.optimizer.iterations.numpy())


def non_finite(variables: Sequence[tf.Variable]) -> list[str]:
  """Names of the variables that contain NaN or infinity."""
  floating = [v for v in variables if v.dtype.is_floating]
  # One value per variable is computed on the device; all are read at once.
  finite = tf.stack([tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v))) for v in floating])
  return [v.name for v, ok in zip(floating, finite.numpy()) if not ok]


def _shortened(names: Sequence[str]) -> str:
  rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
  return ", ".join(names[:3]) + rest
