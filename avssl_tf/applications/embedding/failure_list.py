"""The file that lists what could not be embedded: a JSON object per line."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Sequence

from avssl_tf.applications import output_files
from avssl_tf.data.clip_content import Failure
from avssl_tf.files import whole_file


def is_one(path: str) -> bool:
  """Whether a file was written by `write`."""
  if os.path.islink(path) or not os.path.isfile(path):
    return False
  names = {field.name for field in dataclasses.fields(Failure)}
  try:
    with open(path, encoding="utf-8") as file:
      return all(set(json.loads(line)) == names for line in file)
  except (ValueError, TypeError):
    return False


def write(path: str, failures: Sequence[Failure]) -> None:
  """Writes the failures; without failures, deletes the file.

  Raises:
    UserError: the file cannot be written.
  """
  if not failures:
    with contextlib.suppress(FileNotFoundError):
      os.remove(path)
    return
  with output_files.errors_named(path), whole_file(path) as temporary:
    with open(temporary, "w", encoding="utf-8") as file:
      file.writelines(json.dumps(dataclasses.asdict(failure)) + "\n" for failure in failures)
