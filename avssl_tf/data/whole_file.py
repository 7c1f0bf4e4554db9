"""Writing files that are there whole or not at all."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
  """A temporary name that becomes `path` when all went well, on the disk for sure."""
  # The process number keeps apart a worker whose parent was killed and its successor.
  temporary = f"{path}.tmp-{os.getpid()}"
  try:
    yield temporary
    with open(temporary, "rb+") as f:
      os.fsync(f.fileno())
    os.replace(temporary, path)
  finally:
    with contextlib.suppress(FileNotFoundError):
      os.remove(temporary)
