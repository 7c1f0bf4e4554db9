"""Errors of input files."""

import contextlib
from collections.abc import Iterator

from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.errors import UserError


@contextlib.contextmanager
def media_errors_named(path: str) -> Iterator[None]:
  """Adds the path to errors in reading a media file.

  Args:
    path: value of `--input`.

  Raises:
    UserError: a `MediaError` was raised in the context.
  """
  try:
    yield
  except MediaError as error:
    raise UserError(f"--input={path}: {error}.") from error
