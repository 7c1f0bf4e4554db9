"""Writes the folder of a SavedModel atomically and never overwrites foreign files.

A SavedModel is first written into a separate folder next to the target,
`.<target>.export-XXXXXXXX`:

  export.json    marks the folder as a work folder of an export
  new/           the new SavedModel, moved to the target once it is complete
  old/           the previous content of the target, deleted afterwards

Between the two renames the target does not exist. An export that is killed at that point leaves
both SavedModels complete; the next export to the same target restores `old/`.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from avssl_tf import local_paths, own_files
from avssl_tf.errors import FileThereError
from avssl_tf.files import FolderInUseError, locked, locked_folder, sync

EXTRA_DIR = "assets.extra"
# The name that TensorFlow Serving requires.
WARMUP_FILE = "tf_serving_warmup_requests"
INPUT_SPEC_FILE = "input_spec.json"
TREE: own_files.Tree = {
  # TensorFlow first writes these files under temporary names.
  r"(saved_model|fingerprint)\.pb(\.tmp[0-9a-f]{32})?": None,
  r"variables": {r"variables\.(index|data-\d{5}-of-\d{5})(\.tempstate\d+)?": None,
                 r"variables_temp": {
                   r"part-\d{5}-of-\d{5}\.(index|data-\d{5}-of-\d{5})(\.tempstate\d+)?": None}},
  r"assets": {},
  EXTRA_DIR: {re.escape(INPUT_SPEC_FILE): None, re.escape(WARMUP_FILE): None},
}  # fmt: skip

_MARK = "export.json"
_MARK_TEXT = json.dumps({"format": "avssl_tf export"}) + "\n"
_NEW, _OLD = "new", "old"
_WORK_TREE: own_files.Tree = {re.escape(_MARK): None, _NEW: TREE, _OLD: TREE}
_WORK_ENDING = r"\.export-\w{8}"
_REMEDY = "Move it away, or choose another output folder."


def tree_of(name: str) -> own_files.Tree:
  """Possible contents of a folder into which SavedModels are exported under `name`."""
  name = re.escape(name)
  # Earlier versions used fixed names next to the target.
  return {rf"{name}(\.old|\.tmp)?": TREE, rf"\.{name}{_WORK_ENDING}": _WORK_TREE}


def check(output_dir: str, overwrite: bool) -> None:
  """Checks in advance that a SavedModel may be written to `output_dir`.

  Raises:
    FileThereError: `output_dir` exists, and `overwrite` is off or `export` did not write it.
  """
  if os.path.islink(output_dir):
    raise FileThereError(
      f"{output_dir!r} is a symbolic link to {os.readlink(output_dir)!r} and is not replaced. Pass "
      "the folder itself, or choose another output folder."
    )
  if not os.path.exists(output_dir) or (os.path.isdir(output_dir) and not os.listdir(output_dir)):
    return
  if not tf.saved_model.contains_saved_model(local_paths.for_tensorflow(output_dir)):
    raise FileThereError(
      f"{output_dir!r} exists, is not a SavedModel and is not replaced. "
      "Choose another output folder."
    )
  if not overwrite:
    raise FileThereError(
      f"{output_dir!r} already contains a SavedModel. Choose another output folder, or pass "
      "--overwrite to replace it."
    )
  mark = os.path.join(output_dir, EXTRA_DIR, INPUT_SPEC_FILE)
  if not os.path.isfile(mark):
    raise FileThereError(
      f"{output_dir!r} contains a SavedModel that was not written by avssl_tf (there is no "
      f"{EXTRA_DIR}/{INPUT_SPEC_FILE}) and is not replaced. Choose another output folder."
    )
  try:
    own_files.check(output_dir, TREE, _REMEDY)
  except own_files.ForeignFilesError as error:
    raise FileThereError(str(error)) from error


@contextlib.contextmanager
def replaced(output_dir: str, overwrite: bool) -> Iterator[str]:
  """Yields a new folder, which replaces `output_dir` if the block ends without error.

  Args:
    output_dir: an absolute path.
    overwrite: whether to replace a SavedModel that `export` wrote; it is deleted at the very end.

  Raises:
    FileThereError: as in `check`.
    FolderInUseError: another process exports to the same folder.
  """
  os.makedirs(os.path.dirname(output_dir), exist_ok=True)
  _sweep(output_dir)
  check(output_dir, overwrite)
  # Creates an empty folder as a lock if needed; an empty folder may be replaced.
  message = (
    f"Another process is exporting to {output_dir!r}. Wait for it to finish, or stop it first."
  )
  with locked_folder(output_dir, message):
    found = os.stat(output_dir)
    check(output_dir, overwrite)
    with _work_folder(output_dir) as work:
      yield os.path.join(work, _NEW)
      if not os.path.isdir(output_dir) or not os.path.samestat(found, os.stat(output_dir)):
        raise FolderInUseError(
          f"{output_dir!r} was replaced by another process during the export: it is not changed."
        )
      check(output_dir, overwrite)  # Files may have been added in the meantime.
      _move_into_place(work, output_dir)


@contextlib.contextmanager
def _work_folder(output_dir: str) -> Iterator[str]:
  """A locked and marked folder of this process next to the target; it is deleted at the end."""
  parent, name = os.path.split(output_dir)
  work = tempfile.mkdtemp(prefix=f".{name}.export-", dir=parent)
  try:
    with locked(work, work):
      with open(os.path.join(work, _MARK), "x", encoding="utf-8") as f:
        f.write(_MARK_TEXT)
      try:
        yield work
      finally:
        _put_back(work, output_dir)
        _delete(work)
  finally:
    with contextlib.suppress(OSError):
      os.rmdir(work)


def _move_into_place(work: str, output_dir: str) -> None:
  new = os.path.join(work, _NEW)
  for folder, _, names in os.walk(new):
    for name in names:
      sync(os.path.join(folder, name))
    sync(folder)
  os.rename(output_dir, os.path.join(work, _OLD))
  # Fails if another process has written to the target in the meantime.
  os.rename(new, output_dir)


def _put_back(work: str, output_dir: str) -> None:
  """Restores the previous content of the target if it was moved away and not replaced."""
  old = os.path.join(work, _OLD)
  if os.path.isdir(old) and os.listdir(old):
    # Renaming replaces an empty folder. It fails for any other: then the new SavedModel is there.
    with contextlib.suppress(OSError):
      os.rename(old, output_dir)


def _sweep(output_dir: str) -> None:
  """Restores what killed exports to the same target moved away, and deletes their folders."""
  parent, name = os.path.split(output_dir)
  pattern = re.compile(rf"\.{re.escape(name)}{_WORK_ENDING}")
  with os.scandir(parent) as entries:
    works = sorted(
      entry.path
      for entry in entries
      if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
    )
  for work in works:
    # A folder in use belongs to a running export.
    with contextlib.suppress(FolderInUseError, FileNotFoundError), locked(work, work):
      if _is_marked(work):
        _put_back(work, output_dir)
        _delete(work)


def _is_marked(work: str) -> bool:
  path = os.path.join(work, _MARK)
  if os.path.islink(path) or not os.path.isfile(path):
    return False
  with open(path, encoding="utf-8", errors="replace") as f:
    return f.read(len(_MARK_TEXT) + 1) == _MARK_TEXT


def _delete(work: str) -> None:
  try:
    # The mark is deleted last: if this process is killed, the next export deletes the rest.
    own_files.check(work, _WORK_TREE, "Inspect it, and delete it if it is not needed.")
    own_files.empty(work, _WORK_TREE, last=_MARK)
    os.rmdir(work)
  except (own_files.ForeignFilesError, OSError) as error:
    logging.warning("%s: files left by an export were not deleted. %s", work, error)
