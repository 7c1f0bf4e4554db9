"""The folder next to an embedding file that makes the command resumable.

  settings.json                       settings of the embeddings, the same for all parts
  <file>-00000-of-00003.npz           a part: consecutive windows of a file
  shards/                             Parquet shards, if the output is such a folder

The running command locks the folder itself. `<file>` is a checksum of the name, size and
modification time of a file: changed files are embedded again.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avssl_tf import arrays, own_files
from avssl_tf.applications import output_files
from avssl_tf.applications.embedding import embedding_shards
from avssl_tf.data.clip_content import Failure
from avssl_tf.errors import UserError
from avssl_tf.files import (
  as_json,
  changes,
  leftovers,
  locked_folder,
  parse_json,
  read_json,
  whole_file,
)

_SHARDS = "shards"
_SETTINGS = "settings.json"
_PART = re.compile(r"([0-9a-f]+)-(\d{5})-of-(\d{5})\.npz")
# Earlier versions created a lock file.
_TREE: own_files.Tree = {
  "lock": None,
  re.escape(_SETTINGS): None,
  _PART.pattern: None,
  _SHARDS: embedding_shards.TREE,
}
# Allowed content before the settings file, which marks the folder, is written.
_BEGINNING_TREE: own_files.Tree = {"lock": None, re.escape(_SETTINGS): None}
_REMEDY = "Move it away, or choose another --output."
_CHECKSUM_LENGTH = 20
# Additional array of a part.
_FAILURES = "failures"


class PartFolder:
  """The folder of the parts, as the processes that embed files use it.

  Attributes:
    folder: path of the folder.
  """

  def __init__(self, folder: str):
    """Stores the path; no file is accessed."""
    self.folder = folder

  def has(self, checksum: str, number: int, count: int) -> bool:
    """Whether part `number` of `count` of a file is done."""
    return os.path.exists(os.path.join(self.folder, _name(checksum, number, count)))

  def write(
    self,
    checksum: str,
    number: int,
    count: int,
    rows: Mapping[str, np.ndarray],
    failures: Sequence[Failure],
  ) -> None:
    """Writes a part atomically.

    Args:
      checksum: checksum of the file.
      number: index of the part, from 0.
      count: number of parts of the file.
      rows: arrays of the part.
      failures: failures in the part.

    Raises:
      UserError: the part cannot be written.
    """
    path = os.path.join(self.folder, _name(checksum, number, count))
    listed = [[f.path, f.start_sec, f.end_sec, f.reason] for f in failures]
    with output_files.errors_named(path), whole_file(path) as temporary:
      arrays.save(temporary, {**rows, _FAILURES: np.array(json.dumps(listed))})


class Parts(PartFolder):
  """All parts of one command; a context manager that locks the folder."""

  def __init__(self, folder: str, settings: Mapping[str, Any], overwrite: bool):
    """Initialises the object. The folder is created or checked on entering the context.

    Args:
      folder: path of the folder.
      settings: JSON-compatible values of all settings that affect the embeddings, by name.
      overwrite: whether to delete parts with other settings.
    """
    super().__init__(folder)
    self._settings = dict(settings)
    self._overwrite = overwrite
    self._names: set[str] = set()
    self._counts: dict[str, int] = {}

  def __enter__(self) -> "Parts":
    """Locks the folder and finds the parts of an interrupted command.

    Raises:
      UserError: the folder contains parts with other settings, is in use by another command, or
        cannot be written.
      ForeignFilesError: it is a link, or contains files other than parts.
    """
    own_files.check_no_link(self.folder, _REMEDY)
    own_files.check(self.folder, _TREE, f"Parts of embeddings are kept there. {_REMEDY}")
    with contextlib.ExitStack() as stack:
      with output_files.errors_named(self.folder):
        message = (
          f"Another command is using {self.folder}. Wait for it to finish, or stop it first."
        )
        stack.enter_context(locked_folder(self.folder, message))
      self._check_settings()
      self._stack = stack.pop_all()
    for path in leftovers(self.folder, re.compile("|".join(_TREE))):
      os.remove(path)
    self.find()
    return self

  def __exit__(self, *exc_info) -> None:
    self._stack.close()

  @property
  def settings_path(self) -> str:
    """Path of the file of settings."""
    return os.path.join(self.folder, _SETTINGS)

  @property
  def shards_path(self) -> str:
    """Path of the folder in which Parquet shards are written."""
    return os.path.join(self.folder, _SHARDS)

  def find(self) -> None:
    """Finds the parts that are there now."""
    self._names = {name for name in os.listdir(self.folder) if _PART.fullmatch(name)}
    for found in map(_PART.fullmatch, self._names):
      self._counts[found[1]] = int(found[3])

  def complete(self, checksum: str) -> bool:
    """Whether all parts of a file are done."""
    count = self._counts.get(checksum)
    return count is not None and len(self.paths(checksum)) == count

  def paths(self, checksum: str) -> list[str]:
    """Paths of the finished parts of a file, in order."""
    count = self._counts.get(checksum, 0)
    names = [_name(checksum, i, count) for i in range(count)]
    return [os.path.join(self.folder, name) for name in names if name in self._names]

  def failures(self, checksum: str) -> list[Failure]:
    """The failures in the parts of a file."""
    found = []
    for path in self.paths(checksum):
      with arrays.open_npz(path) as content:
        listed = parse_json(str(content[_FAILURES]), f"`{_FAILURES}` of {path}", list)
      try:
        found += [Failure(*fields) for fields in listed]
      except TypeError as error:
        raise UserError(f"{path} is not a part of embeddings ({error}): delete it.") from error
    return found

  def delete(self) -> None:
    """Deletes the folder."""
    own_files.delete(self.folder, _TREE, _REMEDY)

  def _check_settings(self) -> None:
    path = self.settings_path
    if os.path.exists(path):
      known = read_json(path)
      differences = changes(known, as_json(self._settings))
      if differences and not self._overwrite:
        raise UserError(
          f"{self.folder} contains parts of embeddings with other settings (then -> now):\n"
          + "\n".join(differences)
          + "\nChoose another --output, or pass --overwrite to start again."
        )
      if not differences:
        return
    else:
      own_files.check(self.folder, _BEGINNING_TREE, f"There is no {_SETTINGS}. {_REMEDY}")
    own_files.empty(self.folder, _TREE, last=_SETTINGS)
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
      json.dump(self._settings, file, indent=1, sort_keys=True)


def checksum(name: str, path: str) -> str:
  """Checksum of a file, which changes when the file is modified or renamed."""
  try:
    status = os.stat(path)
    facts = [name, status.st_size, status.st_mtime_ns]
  except OSError:
    facts = [name]  # Reading the file will report the error.
  return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:_CHECKSUM_LENGTH]


def _name(checksum: str, number: int, count: int) -> str:
  return f"{checksum}-{number:05d}-of-{count:05d}.npz"
