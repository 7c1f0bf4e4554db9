"""Errors that users can correct: the one kind that ends a command without a traceback.

Every other exception is a fault of this package, and shows where it was raised. What libraries
raise about files, memory and data of users is recognised here (`of_exception`).
"""

import errno
import os
import re
import sys
import traceback
import types
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
    "EACCES EDQUOT EEXIST EFBIG EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT ENOMEM "
    "ENOSPC ENOTDIR ENOTEMPTY ENXIO EPERM EROFS ESTALE ETXTBSY EXDEV"
  ).split()
  if hasattr(errno, name)
)
# Operations of TensorFlow that read records; what they refuse is what the records hold.
_READS_RECORDS = re.compile(r"\b(Parse\w*Example\w*|Decode(Jpeg|Png|AndCropJpeg|Image|Raw)\w*)\b")
# What gin adds to messages of exceptions in constructors; those come of the values that it gives.
_IN_CONSTRUCTOR = re.compile(r"In call to configurable '\w+' \(<class ")
_CHECKING_PACKAGES = ("keras", "tensorflow_addons")
# What TensorFlow adds to messages: names of nodes and operations mean nothing to users.
_NAMES_OF_OPERATIONS = re.compile(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\]")


def of_exception(error: Exception) -> Optional[UserError]:
  """What a user can correct about an exception; None where its cause is in a program.

  Args:
    error: any exception, also one to which gin has added text.
  """
  if isinstance(error, UserError):
    return error
  original = _without_gin(error)
  added = str(error)[len(str(original)) :]
  found = None
  if isinstance(original, OSError):
    found = of_operating_system(original)
  elif isinstance(original, MemoryError):
    found = UserError(f"There is not enough memory. {original}".strip())
  elif isinstance(original, (TypeError, ValueError)):
    if _IN_CONSTRUCTOR.search(added) and _raised_in(original) in _CHECKING_PACKAGES:
      found = UserError(str(original))
  elif "tensorflow" in sys.modules:
    codes = sys.modules["tensorflow"].errors
    found = of_tensorflow(original, codes) if isinstance(original, codes.OpError) else None
  return UserError(f"{found}{added}") if found is not None else None


def of_operating_system(error: OSError) -> Optional[UserError]:
  """What a user can correct about an error of the operating system; None for other errors."""
  return UserError(str(error)) if error.errno in _FILE_ERRORS else None


def of_tensorflow(error: Exception, codes: types.ModuleType) -> Optional[UserError]:
  """What a user can correct about an error of TensorFlow; None for other errors.

  These are checks inside graphs, damaged records, memory that is exhausted, and files that cannot
  be read or written.

  Args:
    error: a `tf.errors.OpError`.
    codes: the module `tf.errors`; an argument, so that nothing here imports TensorFlow.
  """
  text = str(error)
  is_of_user = (
    isinstance(error, (codes.DataLossError, codes.ResourceExhaustedError))
    or isinstance(error, codes.InvalidArgumentError)
    and ("assertion failed" in text or _READS_RECORDS.search(text))
    # TensorFlow has a class for each of them, most of which mean other things as well.
    or any(f"; {os.strerror(number)}" in text for number in _FILE_ERRORS)
  )
  return UserError(_NAMES_OF_OPERATIONS.sub("", text)) if is_of_user else None


def _raised_in(error: BaseException) -> str:
  """Name of the package whose Python code raised an exception."""
  frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
  return frames[-1].f_globals.get("__name__", "").split(".")[0]


def _without_gin(error: BaseException) -> BaseException:
  """The exception as it was raised: gin raises another, of a class derived from the original's.

  That one has the message, but no attributes such as `errno`.
  """
  while type(error).__bases__ == (type(error.__context__),):
    error = error.__context__
  return error
