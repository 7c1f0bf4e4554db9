"""Writing files atomically, JSON, and folders that one process at a time may write."""

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
  """The value of a setting that is missing, in texts."""

  def __repr__(self) -> str:
    return "(not set)"


_NOT_SET = _NotSet()


class JsonError(UserError):
  """A text that is not the JSON expected; the message names the file and says why."""


class FolderInUseError(UserError):
  """Another process holds the lock of a folder."""


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
  """A temporary name beside `path` that replaces it if the block ends without an error.

  The content is on the disk before the name changes, so that a crash leaves the old file or the
  whole new one.

  Raises:
    OSError: it cannot be written; the message names `path`.
  """
  # The process number keeps apart a worker whose parent was killed and its successor.
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
  """Makes errors of writing a file name it, which those of a full disk do not.

  Args:
    path: the file.
    temporary: another name that it has meanwhile, if any.
  """
  try:
    yield
  except OSError as error:
    if error.errno is None or error.filename not in (None, path, temporary):
      raise
    raise type(error)(error.errno, error.strerror, path) from error


def parse_json(text: Union[str, bytes], source: str, kind: type = dict) -> Any:
  """The value of a text that is JSON.

  Args:
    text: the text.
    source: the file, and the place in it where there are several, for messages.
    kind: what the value has to be, `dict` or `list`.

  Raises:
    JsonError: it is not JSON or something else than `kind`, or nested too deeply.
  """
  try:
    value = json.loads(text)
  except RecursionError as error:
    raise JsonError(f"{source} is nested too deeply; expected JSON of a few levels.") from error
  except ValueError as error:
    raise JsonError(f"{source} is not JSON: {error}.") from error
  if not isinstance(value, kind):
    expected = {dict: "an object", list: "a list"}[kind]
    raise JsonError(f"{source} is JSON, but holds {_shortened(value)}; expected {expected}.")
  return value


def read_json(path: str, kind: type = dict) -> Any:
  """The value of a JSON file; see `parse_json`.

  Raises:
    JsonError: as there.
    OSError: it cannot be read.
  """
  with open(path, "rb") as f:
    return parse_json(f.read(), path, kind)


def _shortened(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= 40 else f"{text[:37]}..."


def sync(path: str) -> None:
  """Waits until the content of a file, or the entries of a folder, are on the disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def leftovers(folder: str, pattern: "re.Pattern[str]") -> list[str]:
  """Paths of temporary files that killed processes left in `folder`, sorted.

  Call this only while no other process writes there (see `locked`).

  Args:
    folder: the folder; links are not followed.
    pattern: what the whole name of the final file has to match, so that files of other programs
      are never listed.
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
  """Temporary files of `path` whose process no longer runs on this machine, sorted.

  For files that several processes may write without a lock; with one, see `leftovers`.
  """
  folder, name = os.path.split(path)
  found = leftovers(folder or ".", re.compile(re.escape(name)))
  return [one for one in found if not _runs(int(one.rpartition("-")[2]))]


def _runs(process: int) -> bool:
  try:
    os.kill(process, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:  # It is somebody else's.
    pass
  return True


@contextlib.contextmanager
def locked(folder: str, message: str) -> Iterator[None]:
  """Holds the lock of a folder, which leaves no file behind and ends with the process.

  The lock is advisory: it keeps out only processes that use this function. File systems without
  locks (some network ones) offer no protection.

  Args:
    folder: an existing folder.
    message: of the error if another process holds the lock.

  Raises:
    FolderInUseError: another process holds the lock.
    OSError: the folder cannot be opened.
  """
  descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
  try:
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise FolderInUseError(message) from error
    except OSError:
      pass  # No locks here: not a reason to refuse the work.
    yield
  finally:
    os.close(descriptor)


@contextlib.contextmanager
def locked_folder(folder: str, message: str) -> Iterator[None]:
  """Makes a folder where it is missing, and holds its lock (see `locked`).

  Folders that were made and are empty in the end go again.

  Args:
    folder: the folder; those above it are made as well.
    message: of the error if another process holds the lock.

  Raises:
    FolderInUseError: another process holds the lock.
    OSError: the folder cannot be made or opened.
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
  """What differs between settings that a folder keeps and those in use, a line each.

  Args:
    before: plain values by name, as JSON holds them.
    now: the same of the settings in use.

  >>> changes({"size": 3, "seed": 0}, {"size": 4, "seed": 0, "flow": True})
  ['  flow: (not set) -> True', '  size: 3 -> 4']
  """
  return [
    f"  {name}: {before.get(name, _NOT_SET)!r} -> {now.get(name, _NOT_SET)!r}"
    for name in sorted({*before, *now})
    if before.get(name, _NOT_SET) != now.get(name, _NOT_SET)
  ]


def as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Settings as they come back from a JSON file: tuples as lists."""
  return json.loads(json.dumps(dict(settings)))
