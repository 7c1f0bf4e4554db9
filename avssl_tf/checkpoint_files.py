"""Listing, checking and writing the checkpoints of a folder.

TensorFlow's `checkpoint` file lists checkpoints by path, and TensorFlow reads and deletes the
listed files wherever they are. Since a folder may have been moved or received from elsewhere, this
module uses only the file names, and only those of files in the folder itself.
"""

import functools
import glob
import math
import os
import re
from collections.abc import Mapping
from typing import Optional

import tensorflow as tf
from absl import logging
from google.protobuf import text_format

from avssl_tf import files, local_paths, own_files
from avssl_tf.errors import UserError
from avssl_tf.files import whole_file

STATE_FILE = "checkpoint"
# Key of TensorFlow's object graph, which maps values to objects.
_STRUCTURE = "_CHECKPOINTABLE_OBJECT_GRAPH"
_NAME = re.compile(r"ckpt-\d+")
_PART = r"(index|data-\d{5}-of-\d{5})(\.tempstate\d+)?"
# Contents of a folder of checkpoints, including TensorFlow's temporary files.
TREE: own_files.Tree = {
  rf"{STATE_FILE}(\.tmp[0-9a-f]{{32}})?": None,
  rf"ckpt-\d+\.{_PART}": None,
  r"ckpt-\d+_temp": {rf"part-\d{{5}}-of-\d{{5}}\.{_PART}": None},
}
# Temporary files, useless once the process that wrote them has ended.
LEFTOVERS: own_files.Tree = {
  rf"{STATE_FILE}\.tmp([0-9a-f]{{32}}|-\d+)": None,
  r"ckpt-\d+\.(index|data-\d{5}-of-\d{5})\.tempstate\d+": None,
  r"ckpt-\d+_temp": TREE[r"ckpt-\d+_temp"],
}


def listed(folder: str) -> list[str]:
  """Path prefixes of the checkpoints that `folder` lists and contains, newest last.

  If the list cannot be read, the checkpoints in the folder are used in the order of their numbers.
  """
  if not os.path.lexists(os.path.join(folder, STATE_FILE)):
    return []
  names = _listed_names(folder)
  if names is None:
    names = _names_by_number(folder)
  held = [
    name
    for name in names
    if _NAME.fullmatch(name) and os.path.isfile(os.path.join(folder, f"{name}.index"))
  ]
  missing = [name for name in names if name not in held]
  if missing:
    _warn_once(
      f"{os.path.join(folder, STATE_FILE)} lists {missing[-1]!r}, which is not in that folder and "
      "is ignored."
    )
  return [os.path.join(folder, name) for name in held]


def latest(folder: str) -> Optional[str]:
  """Path prefix of the newest checkpoint that `folder` lists and contains, or None."""
  return next(reversed(listed(folder)), None)


class DamagedError(UserError):
  """All checkpoints of a folder are damaged; the message lists them."""


def latest_whole(folder: str, part: str = "") -> Optional[str]:
  """Path prefix of the newest intact checkpoint; None if there is no checkpoint.

  Args:
    folder: folder of the checkpoints.
    part: prefix of the names of the required values. Only these values are read; the presence of
      the others is checked by the size of the files.

  Raises:
    DamagedError: all checkpoints are damaged.
    OSError: no permission to read.
  """
  damaged = []
  for path in reversed(listed(folder)):
    reason = damage(path, part)
    if reason is None:
      if damaged:
        _warn_once(f"{'; '.join(damaged)}. The older {path} is used instead.")
      return path
    damaged.append(f"The checkpoint {path} is damaged ({reason})")
  if damaged:
    raise DamagedError(
      f"{'; '.join(damaged)}; there is no intact checkpoint. Restore one of them from a copy."
    )
  return None


def numbers(folder: str) -> list[int]:
  """Numbers of the checkpoints in `folder`, listed or not, ascending."""
  if not os.path.isdir(folder):
    return []
  return [int(name.rpartition("-")[2]) for name in _names_by_number(folder)]


def damage(path: str, part: str = "") -> Optional[str]:
  """The reason why a checkpoint cannot be read; None if it is intact.

  Args:
    path: path prefix of the checkpoint.
    part: see `latest_whole`.
  """
  with open(f"{path}.index", "rb"):  # Without permission, raises an error that names the file.
    pass
  data_paths = glob.glob(f"{glob.escape(path)}.data-*")
  try:
    reader = load(path)
    dtypes = reader.get_variable_to_dtype_map()
    # A string takes at least one byte.
    needed = sum(
      math.prod(shape) * (1 if dtypes[name] == tf.string else dtypes[name].size)
      for name, shape in reader.get_variable_to_shape_map().items()
    )
    stored = sum(map(os.path.getsize, data_paths))
    if stored < needed:
      return f"expected {needed} bytes of data, found {stored}"
    for name in dtypes:
      if name.startswith(part) or name == _STRUCTURE:
        reader.get_tensor(name)  # Verifies the checksum.
  # The exception depends on which bytes are damaged.
  except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
  return None


def load(path: str):
  """A reader of the values of a checkpoint.

  Args:
    path: path prefix of the checkpoint, interpreted literally.
  """
  return tf.train.load_checkpoint(local_paths.for_tensorflow(path))


def restore(checkpoint: tf.train.Checkpoint, path: str):
  """Restores from a checkpoint; returns the status of `tf.train.Checkpoint.restore`.

  Args:
    checkpoint: the objects to restore.
    path: path prefix of the checkpoint, interpreted literally.
  """
  return checkpoint.restore(local_paths.for_tensorflow(path))


def copy(path: str, copied: str, dtypes: Mapping[str, tf.DType]) -> None:
  """Copies a checkpoint, with some of its values cast to other dtypes.

  Args:
    path: path prefix of the checkpoint.
    copied: path prefix of the copy.
    dtypes: new dtypes of values, by name.
  """
  reader = load(path)
  names = sorted(reader.get_variable_to_shape_map())
  values = [tf.convert_to_tensor(reader.get_tensor(name)) for name in names]
  tf.raw_ops.SaveV2(
    prefix=local_paths.for_tensorflow(copied),
    tensor_names=names,
    shape_and_slices=[""] * len(names),
    tensors=[
      tf.cast(value, dtypes[name]) if name in dtypes else value
      for name, value in zip(names, values)
    ],
  )


class _SyncedManager(tf.train.CheckpointManager):
  """A manager that deletes an old checkpoint only once the new one is synced to disk."""

  def save(self, checkpoint_number: Optional[int] = None) -> str:
    """Saves a checkpoint, and deletes the oldest beyond the limit."""
    # The callback runs after all files are written and before any is deleted.
    options = tf.train.CheckpointOptions(experimental_write_callbacks=[_sync])
    try:
      return super().save(checkpoint_number, options=options)
    except Exception:  # On a full disk, delete the partly written files.
      if os.path.isdir(self.directory):
        own_files.empty(self.directory, LEFTOVERS)
      raise


def _sync(path: str) -> None:
  for name in (*glob.glob(f"{glob.escape(path)}.data-*"), f"{path}.index", os.path.dirname(path)):
    files.sync(name)


def manager(
  checkpoint: tf.train.Checkpoint,
  folder: str,
  max_to_keep: Optional[int],
  newest: Optional[str] = None,
) -> tf.train.CheckpointManager:
  """A manager that lists, and deletes, only checkpoints of its own folder.

  Args:
    checkpoint: the objects to save.
    folder: folder of the checkpoints; its list is corrected first if necessary.
    max_to_keep: number of checkpoints; older ones are deleted. None: none are deleted.
    newest: path prefix of the checkpoint that was restored; damaged ones after it become the
      oldest. None: the last of the list.
  """
  path = os.path.join(folder, STATE_FILE)
  if os.path.lexists(path):
    paths = listed(folder)
    if newest in paths:
      after = paths.index(newest) + 1
      paths = paths[after:] + paths[:after]
    if paths:
      _write_state(path, [os.path.basename(prefix) for prefix in paths])
    else:
      os.remove(path)
  os.makedirs(folder, exist_ok=True)
  return _SyncedManager(checkpoint, local_paths.for_tensorflow(folder), max_to_keep)


def _listed_names(folder: str) -> Optional[list[str]]:
  """Names in the list of `folder`, newest last; None if the list cannot be read."""
  try:
    state = tf.train.get_checkpoint_state(local_paths.for_tensorflow(folder))
  except ValueError:  # Not text, or without a newest checkpoint.
    state = None
  if state is None:
    return None
  paths = [*state.all_model_checkpoint_paths, state.model_checkpoint_path]
  # The last occurrence of a name determines its position.
  names = dict.fromkeys(os.path.basename(path) for path in reversed(paths))
  return list(reversed(names))


def _names_by_number(folder: str) -> list[str]:
  stems = [name[: -len(".index")] for name in os.listdir(folder) if name.endswith(".index")]
  return sorted(filter(_NAME.fullmatch, stems), key=lambda name: int(name.rpartition("-")[2]))


def _write_state(path: str, names: list[str]) -> None:
  # Without timestamps, TensorFlow would never delete these checkpoints.
  state = tf.compat.v1.train.generate_checkpoint_state_proto(
    os.path.abspath(os.path.dirname(path)),
    names[-1],
    names,
    all_model_checkpoint_timestamps=[float(i + 1) for i in range(len(names))],
    last_preserved_timestamp=0.0,
  )
  with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
    f.write(text_format.MessageToString(state))


@functools.cache
def _warn_once(message: str) -> None:
  logging.warning("%s", message)
