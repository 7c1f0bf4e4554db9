"""Which checkpoints a folder holds, and writing more of them.

The file `checkpoint` of TensorFlow lists checkpoints by path, and TensorFlow reads and deletes
what it lists wherever that is. A folder may have been moved or received, so here only the names
count, and of them those that are in the folder itself.
"""

import functools
import glob
import math
import os
import re
from typing import Optional

import tensorflow as tf
from absl import logging
from google.protobuf import text_format

from avssl_tf import files, local_paths, own_files
from avssl_tf.errors import UserError
from avssl_tf.files import whole_file

STATE_FILE = "checkpoint"
# Where TensorFlow keeps which object a value belongs to.
_STRUCTURE = "_CHECKPOINTABLE_OBJECT_GRAPH"
_NAME = re.compile(r"ckpt-\d+")
_PART = r"(index|data-\d{5}-of-\d{5})(\.tempstate\d+)?"
# What a folder of checkpoints holds, with what TensorFlow leaves when it is killed.
TREE: own_files.Tree = {
  rf"{STATE_FILE}(\.tmp[0-9a-f]{{32}})?": None,
  rf"ckpt-\d+\.{_PART}": None,
  r"ckpt-\d+_temp": {rf"part-\d{{5}}-of-\d{{5}}\.{_PART}": None},
}
# Of that, what is of no use once the process that wrote it is gone.
LEFTOVERS: own_files.Tree = {
  rf"{STATE_FILE}\.tmp([0-9a-f]{{32}}|-\d+)": None,
  r"ckpt-\d+\.(index|data-\d{5}-of-\d{5})\.tempstate\d+": None,
  r"ckpt-\d+_temp": TREE[r"ckpt-\d+_temp"],
}


def listed(folder: str) -> list[str]:
  """Path prefixes of the checkpoints that `folder` lists and holds, newest last.

  A list that cannot be read is replaced by the names in the folder, in the order of their numbers.
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
      f"{os.path.join(folder, STATE_FILE)} lists {missing[-1]!r}, which is not in that folder: it "
      "is ignored."
    )
  return [os.path.join(folder, name) for name in held]


def latest(folder: str) -> Optional[str]:
  """Path prefix of the newest checkpoint that `folder` lists and holds, or None."""
  return next(reversed(listed(folder)), None)


class DamagedError(UserError):
  """All checkpoints of a folder are damaged; the message names them."""


def latest_whole(folder: str, part: str = "") -> Optional[str]:
  """Path prefix of the newest checkpoint whose content can be read; None if there is none at all.

  Args:
    folder: where.
    part: what the names begin with of the values that are needed: only these are read. That all
      others are there is seen by the size of the files.

  Raises:
    DamagedError: there are some, and none of them can be read.
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
      f"{'; '.join(damaged)}; there is no whole one. Restore one of them from a copy."
    )
  return None


def numbers(folder: str) -> list[int]:
  """Numbers of the checkpoints in `folder`, listed or not, in order."""
  if not os.path.isdir(folder):
    return []
  return [int(name.rpartition("-")[2]) for name in _names_by_number(folder)]


def damage(path: str, part: str = "") -> Optional[str]:
  """Why a checkpoint cannot be read; None if it can.

  Args:
    path: its path prefix.
    part: see `latest_whole`.
  """
  with open(f"{path}.index", "rb"):  # An error that names the file, if permissions are missing.
    pass
  data_paths = glob.glob(f"{glob.escape(path)}.data-*")
  try:
    reader = load(path)
    dtypes = reader.get_variable_to_dtype_map()
    # A text takes one byte or more.
    needed = sum(
      math.prod(shape) * (1 if dtypes[name] == tf.string else dtypes[name].size)
      for name, shape in reader.get_variable_to_shape_map().items()
    )
    stored = sum(map(os.path.getsize, data_paths))
    if stored < needed:
      return f"it needs {needed} bytes of data, and there are {stored}"
    for name in dtypes:
      if name.startswith(part) or name == _STRUCTURE:
        reader.get_tensor(name)  # Compares the checksum.
  # What TensorFlow raises depends on which bytes are wrong.
  except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
  return None


def load(path: str):
  """A reader of the values of a checkpoint.

  Args:
    path: its path prefix, which is taken literally.
  """
  return tf.train.load_checkpoint(local_paths.for_tensorflow(path))


def restore(checkpoint: tf.train.Checkpoint, path: str):
  """Restores from a checkpoint; returns the status that `tf.train.Checkpoint.restore` does.

  Args:
    checkpoint: what is restored.
    path: path prefix of the checkpoint, which is taken literally.
  """
  return checkpoint.restore(local_paths.for_tensorflow(path))


class _SyncedManager(tf.train.CheckpointManager):
  """A manager that deletes an older checkpoint only once the newer one is on the disk."""

  def save(self, checkpoint_number: Optional[int] = None) -> str:
    """Saves, and deletes those that are too many."""
    # Called when all files are written, and before any is deleted.
    options = tf.train.CheckpointOptions(experimental_write_callbacks=[_sync])
    try:
      return super().save(checkpoint_number, options=options)
    except Exception:  # A full disk: what is half written would keep it full.
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
  """A manager that knows, and so deletes, checkpoints of its own folder alone.

  Args:
    checkpoint: what is saved.
    folder: where; its list of checkpoints is corrected first if necessary.
    max_to_keep: number of checkpoints; older ones are deleted. None: none is.
    newest: path prefix of the one that is continued; those after it, which are damaged, become the
      oldest ones. None: that of the list.
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
  """Names that the list of `folder` gives, newest last; None if it cannot be read."""
  try:
    state = tf.train.get_checkpoint_state(local_paths.for_tensorflow(folder))
  except ValueError:  # Not text, or it names no newest one.
    state = None
  if state is None:
    return None
  paths = [*state.all_model_checkpoint_paths, state.model_checkpoint_path]
  # The last mention counts: that of the newest one.
  names = dict.fromkeys(os.path.basename(path) for path in reversed(paths))
  return list(reversed(names))


def _names_by_number(folder: str) -> list[str]:
  stems = [name[: -len(".index")] for name in os.listdir(folder) if name.endswith(".index")]
  return sorted(filter(_NAME.fullmatch, stems), key=lambda name: int(name.rpartition("-")[2]))


def _write_state(path: str, names: list[str]) -> None:
  # Without times, TensorFlow would keep these checkpoints for ever.
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
