"""Record of the SavedModels that this user has exported.

A SavedModel is a program, so its origin matters. Each export appends a checksum to a file of the
user, outside of all folders that are passed on to others. The checksum covers the graph: the
variables and assets of a SavedModel are data.
"""

import hashlib
import os

import tensorflow as tf
from absl import logging

from avssl_tf import local_paths

_NAME = os.path.join("avssl_tf", "saved_models.txt")


def record_path() -> str:
  """Path of the record: in `$XDG_STATE_HOME`, by default `~/.local/state`."""
  home = os.environ.get("XDG_STATE_HOME") or os.path.join("~", ".local", "state")
  return os.path.join(os.path.expanduser(home), _NAME)


def record(export_dir: str) -> None:
  """Records the SavedModel in `export_dir` as made by this user."""
  path = record_path()
  try:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="ascii") as f:
      f.write(f"{_checksum(export_dir)}\n")
  except OSError as error:
    logging.warning(
      "Cannot write %s (%s): the SavedModel %s is complete, but will be reported as being of "
      "unknown origin.", path, error.strerror or error, export_dir
    )  # fmt: skip


def is_recorded(export_dir: str) -> bool:
  """Whether this user has exported the SavedModel in `export_dir`."""
  try:
    with open(record_path(), encoding="ascii", errors="replace") as f:
      known = f.read().split()
  except OSError:  # Nothing has been exported yet.
    return False
  return _checksum(export_dir) in known


def load(export_dir: str):
  """Loads a SavedModel; logs a warning first if its origin is unknown.

  Args:
    export_dir: its folder.

  Returns:
    The return value of `tf.saved_model.load`.
  """
  if not is_recorded(export_dir):
    logging.warning(
      "WARNING: %s is a SavedModel that was not exported by this user on this machine. A "
      "SavedModel is a program: loaded or used, it can read, write and send files. Stop here "
      "unless you trust its source; see docs/guides/trust.md.", export_dir
    )  # fmt: skip
  return tf.saved_model.load(local_paths.for_tensorflow(export_dir))


def _checksum(export_dir: str) -> str:
  with open(os.path.join(export_dir, tf.saved_model.SAVED_MODEL_FILENAME_PB), "rb") as f:
    return hashlib.sha256(f.read()).hexdigest()
