"""The files that a command reads."""

import contextlib
from collections.abc import Iterator

from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.errors import UserError


@contextlib.contextmanager
def media_errors_named(path: str) -> Iterator[None]:
  """Makes errors of reading a media file name it.

  Args:
    path: the value of `--input`.

  Raises:
    UserError: reading it raised a `MediaError`.
  """
  try:
    yield
  except MediaError as error:
    raise UserError(f"--input={path}: {error}.") from error
