"""Writing files atomically, and keeping other processes out of a folder."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator

_LEFTOVER = re.compile(r"(.+)\.tmp-\d+")


class FolderInUseError(ValueError):
  """Another process holds the lock of a folder."""


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
  """A temporary name beside `path` that replaces it if the block ends without an error.

  The content is on the disk before the name changes, so that a crash leaves the old file or the
  whole new one.
  """
  # The process number keeps apart a worker whose parent was killed and its successor.
  temporary = f"{path}.tmp-{os.getpid()}"
  try:
    yield temporary
    sync(temporary)
    os.replace(temporary, path)
  finally:
    with contextlib.suppress(FileNotFoundError):
      os.remove(temporary)


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
