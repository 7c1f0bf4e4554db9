"""The files that pictures are written to."""

import os

from avssl_tf.errors import UserError

ENDINGS = (".png", ".jpg", ".pdf", ".svg")


def check(path: str, flag: str) -> None:
  """Makes sure, before all the work, that a picture can be saved.

  Args:
    path: file to write.
    flag: what the user gave it by, for the message.

  Raises:
    UserError: it cannot.
  """
  if not path.endswith(ENDINGS):
    raise UserError(f"{flag}={path} ends in none of {', '.join(ENDINGS)}.")
  folder = os.path.dirname(os.path.abspath(path))
  if not os.path.isdir(folder):
    raise UserError(f"{flag}={path}: there is no folder {folder!r}.")
