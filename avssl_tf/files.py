"""Atomic writing of files, JSON, and locks of folders."""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Optional, Union

from avssl_tf.errors import UserError

_LEFTOVER = re.compile(r"(.+)\.tmp-\d+")


class _NotSet:
  """Placeholder for a missing setting in `changes`."""

  def __repr__(self) -> str:
    return "(not set)"


_NOT_SET = _NotSet()


class JsonError(UserError):
  """A text is not the expected JSON; the message states the file and the reason."""


class FolderInUseError(UserError):
  """Another process has locked a folder."""


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
  """Yields a temporary path in the same folder; the file replaces `path` if no error occurs.

  The content is synced to disk before the file is renamed: after a crash, `path` is either the old
  file or the complete new one.

  Raises:
    OSError: the file cannot be written; the message contains `path`.
  """
  # The process id distinguishes a worker with a killed parent from its successor.
  temporary = f"{path}.tmp-{os.getpid()}"
  try:
    with errors_named(path, temporary):
      yield temporary
      sync(temporary)
      os.replace(temporary, path)
  finally:
    with contextlib.suppress(FileNotFoundError):
      os.remove(temporary)


@contextlib.contextmanager
def errors_named(path: str, temporary: Optional[str] = None) -> Iterator[None]:
  """Adds the path to errors of writing a file: those of a full disk lack it.

  Args:
    path: the file.
    temporary: temporary path of the file, if any.
  """
  try:
    yield
  except OSError as error:
    if error.errno is None or error.filename not in (None, path, temporary):
      raise
    raise type(error)(error.errno, error.strerror, path) from error


def parse_json(text: Union[str, bytes], source: str, kind: type = dict) -> Any:
  """Parses JSON.

  Args:
    text: the JSON text.
    source: the file, with the line if it contains several texts, for messages.
    kind: expected type of the value, `dict` or `list`.

  Raises:
    JsonError: the text is not JSON, of another type than `kind`, or nested too deeply.
  """
  try:
    value = json.loads(text)
  except RecursionError as error:
    raise JsonError(f"{source} is nested too deeply; expected JSON of a few levels.") from error
  except ValueError as error:
    raise JsonError(f"{source} is not JSON: {error}.") from error
  if not isinstance(value, kind):
    expected = {dict: "an object", list: "a list"}[kind]
    raise JsonError(f"{source} is JSON, but contains {_shortened(value)}; expected {expected}.")
  return value


def read_json(path: str, kind: type = dict) -> Any:
  """Reads a JSON file; see `parse_json`.

  Raises:
    JsonError: see `parse_json`.
    OSError: the file cannot be read.
  """
  with open(path, "rb") as f:
    return parse_json(f.read(), path, kind)


def _shortened(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= 40 else f"{text[:37]}..."


def sync(path: str) -> None:
  """Flushes the content of a file, or the entries of a folder, to disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def leftovers(folder: str, pattern: "re.Pattern[str]") -> list[str]:
  """Paths of the temporary files of killed processes in `folder`, sorted.

  Call this only while no other process writes there (see `locked`).

  Args:
    folder: the folder; links are not followed.
    pattern: must match the whole name of the final file, to exclude files of other programs.
  """
  with os.scandir(folder) as entries:
    return sorted(
      entry.path
      for entry in entries
      if entry.is_file(follow_symlinks=False)
      and (found := _LEFTOVER.fullmatch(entry.name))
      and pattern.fullmatch(found[1])
    )


def abandoned(path: str) -> list[str]:
  """Temporary files of `path` from processes that no longer run on this machine, sorted.

  For files that several processes may write without a lock; with a lock, use `leftovers`.
  """
  folder, name = os.path.split(path)
  found = leftovers(folder or ".", re.compile(re.escape(name)))
  return [one for one in found if not _runs(int(one.rpartition("-")[2]))]


def _runs(process: int) -> bool:
  try:
    os.kill(process, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:  # A process of another user.
    pass
  return True


@contextlib.contextmanager
def locked(folder: str, message: str) -> Iterator[None]:
  """Locks a folder within a block. The lock creates no file and ends with the process.

  The lock is advisory: it excludes only processes that use this function. File systems without
  locks, such as some network file systems, offer no protection.

  Args:
    folder: an existing folder.
    message: error message if another process has locked the folder.

  Raises:
    FolderInUseError: another process has locked the folder.
    OSError: the folder cannot be opened.
  """
  descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
  try:
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise FolderInUseError(message) from error
    except OSError:
      pass  # The file system has no locks: continue without.
    yield
  finally:
    os.close(descriptor)


@contextlib.contextmanager
def locked_folder(folder: str, message: str) -> Iterator[None]:
  """Creates a folder if it does not exist, and locks it (see `locked`).

  Created folders that are still empty at the end are deleted.

  Args:
    folder: the folder; its parents are created as well.
    message: error message if another process has locked the folder.

  Raises:
    FolderInUseError: another process has locked the folder.
    OSError: the folder cannot be created or opened.
  """
  made, missing = [], os.path.abspath(folder)
  while not os.path.lexists(missing):
    made.append(missing)
    missing = os.path.dirname(missing)
  os.makedirs(folder, exist_ok=True)
  with locked(folder, message):
    try:
      yield
    finally:
      for path in made:
        with contextlib.suppress(OSError):
          os.rmdir(path)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
  """Differences between the stored settings of a folder and the current settings, one per line.

  Args:
    before: stored JSON values by name.
    now: current values by name.

  >>> changes({"size": 3, "seed": 0}, {"size": 4, "seed": 0, "flow": True})
  ['  flow: (not set) -> True', '  size: 3 -> 4']
  """
  return [
    f"  {name}: {before.get(name, _NOT_SET)!r} -> {now.get(name, _NOT_SET)!r}"
    for name in sorted({*before, *now})
    if before.get(name, _NOT_SET) != now.get(name, _NOT_SET)
  ]


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Settings after a round trip through JSON: tuples become lists."""
  return json.loads(json.dumps(dict(settings)))
