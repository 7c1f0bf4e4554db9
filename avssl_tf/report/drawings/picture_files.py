"""Output files of images."""

import os

from avssl_tf.errors import UserError

PIXELS = (".png", ".jpg", ".webp")
ENDINGS = (*PIXELS, ".pdf", ".svg")


def check(path: str, flag: str, endings: tuple[str, ...] = ENDINGS) -> None:
  """Checks in advance that an image can be saved.

  Args:
    path: output file.
    flag: name of the flag, for the message.
    endings: supported file extensions.

  Raises:
    UserError: the file extension is not supported, or the folder does not exist.
  """
  if not path.endswith(endings):
    raise UserError(f"{flag}={path}: expected a name that ends in {' or '.join(endings)}.")
  folder = os.path.dirname(os.path.abspath(path))
  if not os.path.isdir(folder):
    raise UserError(f"{flag}={path}: no such folder {folder!r}. Create it, or choose another.")
