"""Hides the notices about oneDNN and CUDA that TensorFlow prints while it is imported."""

import contextlib
import importlib.abc
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# TensorFlow 2.21 prints them before it reads TF_CPP_MIN_LOG_LEVEL.
_NOTICES = re.compile(
  rb"^(WARNING: All log messages before absl::InitializeLog|I0000 00:00:).*\n", re.MULTILINE
)


def hide_notices() -> None:
  """Hides the notices of a later import; everything else on stderr appears after that import."""
  # TensorFlow 2.15, which needs no tf-keras, prints none.
  if importlib.util.find_spec("tf_keras") is not None:
    sys.meta_path.insert(0, _Finder())


def without_notices(printed: bytes) -> bytes:
  """Removes the lines of notices from what an import printed."""
  return _NOTICES.sub(b"", printed)


class _Finder(importlib.abc.MetaPathFinder):
  """Finds TensorFlow once, and filters what its import prints."""

  def find_spec(self, fullname, path, target=None):
    if fullname != "tensorflow":
      return None
    sys.meta_path.remove(self)
    spec = importlib.util.find_spec(fullname)
    if spec is None:
      return None
    execute = spec.loader.exec_module

    def execute_filtered(module):
      with _filtered():
        execute(module)

    spec.loader.exec_module = execute_filtered
    return spec


@contextlib.contextmanager
def _filtered() -> Iterator[None]:
  try:
    stderr = os.dup(2)
  except OSError:  # The process has no stderr.
    yield
    return
  with tempfile.TemporaryFile() as printed:
    os.dup2(printed.fileno(), 2)
    try:
      yield
    finally:
      os.dup2(stderr, 2)
      printed.seek(0)
      with os.fdopen(stderr, "wb") as file:
        file.write(without_notices(printed.read()))
