"""Checkpoints of runs: what is in them, and keeping the last good one.

The layout, for runs and for converted checkpoints alike: `task` is what is trained, with
`task/network` the audio-visual network and `task/objective` the objective with its memory;
`optimizer` is there in runs.
"""

import os
import tempfile
from collections.abc import Sequence
from typing import Optional

import tensorflow as tf

from avssl_tf import checkpoint_files
from avssl_tf.errors import MissingFileError, NonFiniteError, UserError
from avssl_tf.models.network import Network
from avssl_tf.tasks.task import Task
from avssl_tf.training import run_folder
from avssl_tf.training.optimization import keras_optimizers

# What the names of values begin with.
TASK = "task/"
NETWORK = "task/network/"
# What they end in.
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


class CheckpointError(UserError):
  """A checkpoint that does not fit; the message says why."""


def latest(model_dir: str) -> Optional[str]:
  """Path of the latest checkpoint of a run, whole or damaged, or None."""
  return checkpoint_files.latest(os.path.join(model_dir, run_folder.CHECKPOINTS))


def latest_of(model_dir: str, part: str = NETWORK) -> str:
  """Path of the latest whole checkpoint of a run that has one.

  Args:
    model_dir: folder of the run.
    part: what is needed of it; see `checkpoint_files.latest_whole`.

  Raises:
    MissingFileError: it has none.
    checkpoint_files.DamagedError: all of them are damaged.
  """
  path = checkpoint_files.latest_whole(os.path.join(model_dir, run_folder.CHECKPOINTS), part)
  if path is None:
    raise MissingFileError(
      f"There is no checkpoint in {model_dir!r}. Expected the folder of a run (avssl_tf.train) "
      "that has come to its first one, or of a converted checkpoint (tools/convert_checkpoint.py)."
    )
  return path


def kept(model_dir: str, epoch: int, part: str = NETWORK) -> str:
  """Path of the checkpoint that a run has kept of an epoch.

  Args:
    model_dir: folder of the run.
    epoch: number of epochs that were done.
    part: what is needed of it; see `checkpoint_files.latest_whole`.

  Raises:
    MissingFileError: it has kept none of that epoch.
    checkpoint_files.DamagedError: it is damaged.
  """
  folder = os.path.join(model_dir, run_folder.KEPT_CHECKPOINTS)
  epochs = checkpoint_files.numbers(folder)
  if epoch not in epochs:
    raise MissingFileError(
      f"There is no checkpoint of epoch {epoch} in {folder!r}; there are those of "
      f"{', '.join(map(str, epochs)) or 'no epoch'}. A run keeps those of train.keep_epochs: train "
      f"it with train.keep_epochs = ({epoch},), or set train.init_epoch = None for its latest one."
    )
  path = os.path.join(folder, f"ckpt-{epoch}")
  reason = checkpoint_files.damage(path, part)
  if reason is not None:
    raise checkpoint_files.DamagedError(
      f"The checkpoint {path} is damaged ({reason}). Restore it from a copy."
    )
  return path


def start_of(init_from: str, init_epoch: Optional[int], part: str = NETWORK) -> str:
  """Path of the checkpoint that `train.init_from` and `train.init_epoch` name.

  Raises:
    MissingFileError: there is none.
    checkpoint_files.DamagedError: it is damaged.
  """
  if init_epoch is None:
    return latest_of(init_from, part)
  return kept(init_from, init_epoch, part)


def write(model_dir: str, network: Network, objective: Optional[tf.Module]) -> None:
  """Writes a checkpoint of a network, and of an objective if there is one, that is no run's."""
  task = tf.train.Checkpoint(network=network)
  if objective is not None:
    task.objective = objective
  folder = os.path.join(model_dir, run_folder.CHECKPOINTS)
  checkpoint_files.manager(tf.train.Checkpoint(task=task), folder, max_to_keep=1).save()


def restore_network(network: Network, path: str, backbones_alone: bool = False) -> None:
  """Reads the weights of a network, and nothing else, from any checkpoint of this layout.

  Of the checkpoint of another kind of network, what `Network.restorable` names is read.

  Args:
    network: whose variables are set.
    path: the checkpoint.
    backbones_alone: read the video and the audio network with what normalises their input, and
      neither heads nor translation.

  Raises:
    CheckpointError: the checkpoint has other variables than `network`.
  """
  if backbones_alone:
    parts = network.backbones()
    if not parts:
      raise CheckpointError(
        f"{type(network).__name__} has no video_net and audio_net of its own: take over all "
        'of it that fits, train.init_parts = "all".'
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
      f"The checkpoint {path} does not fit the network of the configuration: {error}"
    ) from error


def network_shapes(path: str) -> dict[str, list[int]]:
  """Shapes of the variables of the network in a checkpoint, by their paths in the network."""
  shapes = checkpoint_files.load(path).get_variable_to_shape_map()
  return {
    name[len(NETWORK) : -len(_VALUE)]: shape
    for name, shape in shapes.items()
    if name.startswith(NETWORK) and name.endswith(_VALUE)
  }


class RunCheckpoints:
  """The checkpoints of a run that is being trained.

  Each worker of a cluster takes part in saving and reads the chief's files; what the others
  write goes to a temporary folder, and goes with it.
  """

  def __init__(self, task: Task, model_dir: str, is_chief: bool):
    """Prepares for a compiled `task` whose variables and optimiser are built."""
    self._task = task
    self._is_chief = is_chief
    self._checkpoint = tf.train.Checkpoint(task=task, optimizer=task.optimizer)
    self._saved_step: Optional[int] = None
    self._folder = os.path.join(model_dir, run_folder.CHECKPOINTS)
    self._restored: Optional[str] = None
    self._manager: Optional[tf.train.CheckpointManager] = None
    self._kept_folder = os.path.join(model_dir, run_folder.KEPT_CHECKPOINTS)

  def restore(self) -> Optional[int]:
    """Reads the latest whole checkpoint of the run; returns its step, None where there is none.

    Raises:
      checkpoint_files.DamagedError: all of them are damaged.
      CheckpointError: networks, objective or optimiser are not those of the checkpoint.
    """
    path = checkpoint_files.latest_whole(self._folder)
    if path is None:
      return None
    self._restored = path
    try:
      status = checkpoint_files.restore(self._checkpoint, path)
      status.assert_existing_objects_matched().assert_consumed()
    except (AssertionError, ValueError) as error:
      raise CheckpointError(
        f"The checkpoint {path} does not fit the networks, the objective (a row for each of the "
        f"data set's videos) or the optimiser that are configured: {error}\nGo on with the "
        "configuration and the data that it was made with; name another --model_dir (with "
        "train.init_from, a new run begins with what this one knows); or pass --overwrite to start "
        "anew."
      ) from error
    self._saved_step = steps_done(self._task)
    return self._saved_step

  def save(self, step: int) -> None:
    """Saves, unless the checkpoint of `step` is there already.

    Raises:
      NonFiniteError: a variable holds NaN or infinity; nothing is saved.
    """
    if step == self._saved_step:
      return
    self._check_finite(step)
    if self._is_chief:
      if self._manager is None:
        self._manager = checkpoint_files.manager(
          self._checkpoint, self._folder, 2, newest=self._restored
        )
      self._manager.save(checkpoint_number=step)
    else:
      self._save_elsewhere(step)
    self._saved_step = step

  def keep(self, epoch: int) -> None:
    """Saves the state after `epoch` epochs beside the others, where it stays for ever.

    Raises:
      NonFiniteError: as `save`.
    """
    self._check_finite(steps_done(self._task))
    if self._is_chief:
      manager = checkpoint_files.manager(self._checkpoint, self._kept_folder, max_to_keep=None)
      manager.save(checkpoint_number=epoch)
    else:
      self._save_elsewhere(epoch)

  def kept_epochs(self) -> list[int]:
    """Epochs whose checkpoints have been kept."""
    return checkpoint_files.numbers(self._kept_folder)

  def _check_finite(self, step: int) -> None:
    broken = non_finite([*self._task.variables, *keras_optimizers.variables(self._task.optimizer)])
    if broken:
      raise NonFiniteError(f"After step {step} {_shortened(broken)} held NaN or infinity.")

  def _save_elsewhere(self, number: int) -> None:
    """Takes part in saving, as each worker has to, without keeping anything."""
    with tempfile.TemporaryDirectory() as folder:
      checkpoint_files.manager(self._checkpoint, folder, 1).save(checkpoint_number=number)


def steps_done(task: tf.keras.Model) -> int:
  """Steps that the optimiser of `task` has done since the run began."""
  # Not int() of the variable itself, which those of distribution strategies refuse.
  return int(task.optimizer.iterations.numpy())


def non_finite(variables: Sequence[tf.Variable]) -> list[str]:
  """Names of the variables that hold NaN or infinity."""
  floating = [v for v in variables if v.dtype.is_floating]
  # One value a variable stays on the device; all are read at once.
  finite = tf.stack([tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v))) for v in floating])
  return [v.name for v, ok in zip(floating, finite.numpy()) if not ok]


def _shortened(names: Sequence[str]) -> str:
  rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
  return ", ".join(names[:3]) + rest
