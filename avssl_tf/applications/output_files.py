"""The files that a command writes: checked before the work, there in the end or not at all."""

import contextlib
import os
from collections.abc import Iterator, Sequence

from avssl_tf.errors import UserError
from avssl_tf.files import whole_file


def check(
  flag: str, path: str, endings: Sequence[str], input_path: str, overwrite: bool
) -> None:
  """Makes sure that a file can be written, as far as that can be told before.

  Args:
    flag: what the user gave it by, for the message.
    path: the file.
    endings: what its name may end in.
    input_path: what is read, which has to stay.
    overwrite: whether a file that is there may be replaced.

  Raises:
    UserError: it cannot.
  """
  given = f"{flag}={path}"
  if not path.lower().endswith(tuple(endings)):
    raise UserError(f"{given} ends in none of {', '.join(endings)}.")
  folder = os.path.dirname(os.path.abspath(path))
  if not os.path.isdir(folder):
    raise UserError(f"{given}: there is no folder {folder!r}. Make it, or choose another.")
  if not os.access(folder, os.W_OK):
    raise UserError(f"{given}: the folder {folder!r} is not writable. Choose another.")
  if os.path.isdir(path):
    raise UserError(f"{given} is a folder; expected the name of a file.")
  if os.path.exists(path):
    if os.path.exists(input_path) and os.path.samefile(path, input_path):
      raise UserError(f"{given} is --input itself, which would be lost. Choose another name.")
    if not overwrite:
      raise UserError(f"{given} is there already. --overwrite replaces it.")


@contextlib.contextmanager
def all_or_none(paths: Sequence[str]) -> Iterator[dict[str, str]]:
  """Temporary names for files, which take their places when all of them are written.

  Args:
    paths: the files.

  Yields:
    The temporary name of each, beside it, of an empty file.

  Raises:
    UserError: one of them cannot be written.
  """
  with contextlib.ExitStack() as stack:
    temporary = {path: stack.enter_context(whole_file(path)) for path in paths}
    for path, name in temporary.items():
      with errors_named(path), open(name, "wb"):
        pass
    yield temporary


@contextlib.contextmanager
def errors_named(path: str) -> Iterator[None]:
  """Makes errors of writing say which file they are about."""
  try:
    yield
  except OSError as error:
    raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error
