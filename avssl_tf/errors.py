"""Errors that users can correct: the one kind that ends a command without a traceback.

Every other exception is a fault of this package, and shows where it was raised.
"""

import errno
import os
import re
from typing import Optional


class UserError(ValueError):
  """Something that a user gave cannot be used: an argument, a flag, a setting, a file.

  The message names it, and says what was found, what was expected and what to do.
  """


class MissingFileError(UserError, FileNotFoundError):
  """A file or folder does not exist."""


class FileThereError(UserError, FileExistsError):
  """A file or folder exists that would have to be replaced."""


class NonFiniteError(UserError, FloatingPointError):
  """A loss or a weight became NaN or infinite."""


# Errors of the operating system that have their cause outside of this package: a path that is
# wrong, a disk that is full or broken, a limit of the machine.
_FILE_ERRORS = frozenset(
  getattr(errno, name)
  for name in (
    "EACCES EDQUOT EEXIST EFBIG EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT ENOSPC "
    "ENOTDIR ENOTEMPTY ENXIO EPERM EROFS ESTALE ETXTBSY EXDEV"
  ).split()
  if hasattr(errno, name)
)


def of_operating_system(error: OSError) -> Optional[UserError]:
  """What a user can correct about an error of the operating system; None for other errors."""
  return UserError(str(error)) if error.errno in _FILE_ERRORS else None


def of_tensorflow(error: Exception, codes) -> Optional[UserError]:
  """What a user can correct about an error of TensorFlow; None for other errors.

  These are checks inside graphs, damaged records, memory that is exhausted, and files that cannot
  be read or written.

  Args:
    error: a `tf.errors.OpError`.
    codes: the module `tf.errors`; an argument, so that nothing here imports TensorFlow.
  """
  text = str(error)
  is_check = isinstance(error, codes.InvalidArgumentError) and "assertion failed" in text
  is_data = isinstance(error, (codes.DataLossError, codes.ResourceExhaustedError))
  # TensorFlow has a class for each of them, most of which mean other things as well.
  is_file = any(f"; {os.strerror(number)}" in text for number in _FILE_ERRORS)
  if not (is_check or is_data or is_file):
    return None
  # Names of nodes and ops mean nothing to users.
  return UserError(re.sub(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\]", "", text))
