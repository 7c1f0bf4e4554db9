"""Writing the folder of a SavedModel: there whole or not at all, and nobody else's is touched.

A SavedModel is written into a folder of its own beside the target, `.<target>.export-XXXXXXXX`:

  export.json    marks the folder as one of these
  new/           the SavedModel, until it is whole and takes the place of the target
  old/           what was at the target, until then

Between the two renames nothing is at the target. An export that is killed there leaves both
SavedModels whole; the next one to the same target puts `old/` back.
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
# The name that TensorFlow Serving looks for.
WARMUP_FILE = "tf_serving_warmup_requests"
INPUT_SPEC_FILE = "input_spec.json"
TREE: own_files.Tree = {
  # TensorFlow writes these under another name first.
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
_REMEDY = "Move it away, or choose another folder to export to."


def tree_of(name: str) -> own_files.Tree:
  """What a folder holds, into which SavedModels are exported under `name`."""
  name = re.escape(name)
  # Earlier versions wrote beside the target under fixed names.
  return {rf"{name}(\.old|\.tmp)?": TREE, rf"\.{name}{_WORK_ENDING}": _WORK_TREE}


def check(output_dir: str, overwrite: bool) -> None:
  """Makes sure that a SavedModel may be written to `output_dir`, before all the work.

  Raises:
    FileThereError: there is something, and `overwrite` is off or `export` did not write it.
  """
  if os.path.islink(output_dir):
    raise FileThereError(
      f"{output_dir!r} is a symbolic link to {os.readlink(output_dir)!r}: it is left alone. Name "
      "the folder itself, or choose another one to export to."
    )
  if not os.path.exists(output_dir) or (os.path.isdir(output_dir) and not os.listdir(output_dir)):
    return
  if not tf.saved_model.contains_saved_model(local_paths.for_tensorflow(output_dir)):
    raise FileThereError(
      f"{output_dir!r} exists and is not a SavedModel: it is left alone. "
      "Choose another folder to export to."
    )
  if not overwrite:
    raise FileThereError(
      f"{output_dir!r} already holds a SavedModel. Choose another folder, or pass --overwrite to "
      "replace it."
    )
  mark = os.path.join(output_dir, EXTRA_DIR, INPUT_SPEC_FILE)
  if not os.path.isfile(mark):
    raise FileThereError(
      f"{output_dir!r} holds a SavedModel that avssl_tf did not write (there is no "
      f"{EXTRA_DIR}/{INPUT_SPEC_FILE}): it is left alone. Choose another folder to export to."
    )
  try:
    own_files.check(output_dir, TREE, _REMEDY)
  except own_files.ForeignFilesError as error:
    raise FileThereError(str(error)) from error


@contextlib.contextmanager
def replaced(output_dir: str, overwrite: bool) -> Iterator[str]:
  """A new folder to write, which takes the place of `output_dir` if the block ends without error.

  Args:
    output_dir: an absolute path.
    overwrite: whether a SavedModel that `export` wrote may be there; it is deleted last of all.

  Raises:
    FileThereError: as `check`.
    FolderInUseError: another process exports to the same folder.
  """
  os.makedirs(os.path.dirname(output_dir), exist_ok=True)
  _sweep(output_dir)
  check(output_dir, overwrite)
  # Something to lock, which takes no place: an empty folder is replaced like none.
  message = f"Another process is exporting to {output_dir!r}. Wait for it."
  with locked_folder(output_dir, message):
    found = os.stat(output_dir)
    check(output_dir, overwrite)
    with _work_folder(output_dir) as work:
      yield os.path.join(work, _NEW)
      if not os.path.isdir(output_dir) or not os.path.samestat(found, os.stat(output_dir)):
        raise FolderInUseError(
          f"{output_dir!r} was replaced while this process exported to it: it is left alone."
        )
      check(output_dir, overwrite)  # Somebody may have put files there.
      _move_into_place(work, output_dir)


@contextlib.contextmanager
def _work_folder(output_dir: str) -> Iterator[str]:
  """A folder of this process beside the target, locked and marked; it is deleted at the end."""
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
  # Fails if another process has put something there in the meantime.
  os.rename(new, output_dir)


def _put_back(work: str, output_dir: str) -> None:
  """Returns what was at the target, if it was moved away and nothing has taken its place."""
  old = os.path.join(work, _OLD)
  if os.path.isdir(old) and os.listdir(old):
    # Renaming replaces an empty folder and fails for any other: then the new one is there.
    with contextlib.suppress(OSError):
      os.rename(old, output_dir)


def _sweep(output_dir: str) -> None:
  """Deletes what killed exports to the same target left, and puts back what they moved away."""
  parent, name = os.path.split(output_dir)
  pattern = re.compile(rf"\.{re.escape(name)}{_WORK_ENDING}")
  with os.scandir(parent) as entries:
    works = sorted(
      entry.path
      for entry in entries
      if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
    )
  for work in works:
    # In use: of an export at work.
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
    # The mark goes last: killed before that, the next export sweeps the rest.
    own_files.check(work, _WORK_TREE, "Look at it, and delete it if nobody needs it.")
    own_files.empty(work, _WORK_TREE, last=_MARK)
    os.rmdir(work)
  except (own_files.ForeignFilesError, OSError) as error:
    logging.warning("%s: what an export left there stays. %s", work, error)
