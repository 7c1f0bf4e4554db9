"""Output files of commands: checked before the work, and written atomically."""

import contextlib
import os
from collections.abc import Iterator, Sequence

from avssl_tf.errors import UserError
from avssl_tf.files import whole_file


def check(
  flag: str, path: str, endings: Sequence[str], input_path: str, overwrite: bool
) -> None:
  """Checks in advance, as far as possible, that a file can be written.

  Args:
    flag: flag of the file, for the message.
    path: the file.
    endings: allowed file extensions.
    input_path: the input file, which must not be overwritten.
    overwrite: whether an existing file may be replaced.

  Raises:
    UserError: the file cannot be written.
  """
  given = f"{flag}={path}"
  if not path.lower().endswith(tuple(endings)):
    raise UserError(f"{given}: expected a name that ends in {' or '.join(endings)}.")
  folder = os.path.dirname(os.path.abspath(path))
  if not os.path.isdir(folder):
    raise UserError(f"{given}: no such folder {folder!r}. Create it, or choose another.")
  if not os.access(folder, os.W_OK):
    raise UserError(f"{given}: the folder {folder!r} is not writable. Choose another.")
  if os.path.isdir(path):
    raise UserError(f"{given} is a folder; expected a file name.")
  if os.path.exists(path):
    if os.path.exists(input_path) and os.path.samefile(path, input_path):
      raise UserError(f"{given} is the input file, which would be lost. Choose another name.")
    if not overwrite:
      raise UserError(f"{given} already exists. Pass --overwrite to replace it.")


@contextlib.contextmanager
def all_or_none(paths: Sequence[str]) -> Iterator[dict[str, str]]:
  """Creates temporary files that replace the given ones once all of them are written.

  Args:
    paths: the files.

  Yields:
    The path of an empty temporary file for each of `paths`, in the same folder.

  Raises:
    UserError: one of the files cannot be written.
  """
  with contextlib.ExitStack() as stack:
    temporary = {path: stack.enter_context(whole_file(path)) for path in paths}
    for path, name in temporary.items():
      with errors_named(path), open(name, "wb"):
        pass
    yield temporary


@contextlib.contextmanager
def errors_named(path: str) -> Iterator[None]:
  """Adds the path to errors in writing a file."""
  try:
    yield
  except OSError as error:
    raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error
