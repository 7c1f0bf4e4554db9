"""Which checkpoints lie in a folder, and writing more of them.

The file `checkpoint` of TensorFlow lists checkpoints by path, and TensorFlow reads and deletes
what it lists wherever that is. A folder may have been moved or received, so here only the names
count, and of them those that are in the folder itself.
"""

import functools
import os
import re
from typing import Optional

import tensorflow as tf
from absl import logging
from google.protobuf import text_format

from avssl_tf.files import whole_file

STATE_FILE = "checkpoint"
_NAME = re.compile(r"ckpt-\d+")


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


def manager(
  checkpoint: tf.train.Checkpoint, folder: str, max_to_keep: int
) -> tf.train.CheckpointManager:
  """A manager that knows, and so deletes, checkpoints of its own folder alone.

  Args:
    checkpoint: what is saved.
    folder: where; its list of checkpoints is corrected first if necessary.
    max_to_keep: number of checkpoints; older ones are deleted.
  """
  path = os.path.join(folder, STATE_FILE)
  if os.path.lexists(path):
    paths = listed(folder)
    if paths:
      _write_state(path, [os.path.basename(prefix) for prefix in paths])
    else:
      os.remove(path)
  return tf.train.CheckpointManager(checkpoint, folder, max_to_keep)


def _listed_names(folder: str) -> Optional[list[str]]:
  """Names that the list of `folder` gives, newest last; None if it cannot be read."""
  try:
    state = tf.train.get_checkpoint_state(folder)
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
