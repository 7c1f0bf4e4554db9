"""Errors that users can correct; only these end a command without a traceback.

Any other exception is a bug and shows its traceback. `of_exception` recognises errors that
libraries raise about the files, memory and data of users.
"""

import errno
import os
import re
import sys
import traceback
import types
from typing import Optional


class UserError(ValueError):
  """An invalid input of the user: an argument, a flag, a setting or a file.

  The message states the invalid input, the expected one, and the remedy.
  """


class MissingFileError(UserError, FileNotFoundError):
  """A file or folder does not exist."""


class FileThereError(UserError, FileExistsError):
  """A file or folder already exists and would have to be replaced."""


class NonFiniteError(UserError, FloatingPointError):
  """A loss or a weight became NaN or infinite."""


# Errors of the operating system with a cause outside this package: a wrong path, a full or faulty
# disk, a limit of the machine.
_FILE_ERRORS = frozenset(
  getattr(errno, name)
  for name in (
    "EACCES EDQUOT EEXIST EFBIG EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT ENOMEM "
    "ENOSPC ENOTDIR ENOTEMPTY ENXIO EPERM EROFS ESTALE ETXTBSY EXDEV"
  ).split()
  if hasattr(errno, name)
)
# TensorFlow operations that read records; they fail on invalid records.
_READS_RECORDS = re.compile(r"\b(Parse\w*Example\w*|Decode(Jpeg|Png|AndCropJpeg|Image|Raw)\w*)\b")
# Text that gin adds to exceptions of constructors, which are caused by the configured values.
_IN_CONSTRUCTOR = re.compile(r"In call to configurable '\w+' \(<class ")
_CHECKING_PACKAGES = ("keras", "tf_keras", "tensorflow_addons")
# Text that TensorFlow adds to messages: names of nodes and operations, of no use to users.
_NAMES_OF_OPERATIONS = re.compile(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\]")


def of_exception(error: Exception) -> Optional[UserError]:
  """Converts an exception to a `UserError` if the user can correct it; None for other exceptions.

  Args:
    error: any exception, including one to which gin has added text.
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
  """Converts an error of the operating system if the user can correct it; None for others."""
  return UserError(str(error)) if error.errno in _FILE_ERRORS else None


def of_tensorflow(error: Exception, codes: types.ModuleType) -> Optional[UserError]:
  """Converts an error of TensorFlow if the user can correct it; None for other errors.

  These are failed assertions in graphs, damaged records, exhausted memory, and files that cannot be
  read or written.

  Args:
    error: a `tf.errors.OpError`.
    codes: the module `tf.errors`; an argument, so that this module does not import TensorFlow.
  """
  text = str(error)
  is_of_user = (
    isinstance(error, (codes.DataLossError, codes.ResourceExhaustedError))
    or isinstance(error, codes.InvalidArgumentError)
    and ("assertion failed" in text or _READS_RECORDS.search(text))
    # Recognised by the text: most of TensorFlow's classes for these errors have other uses too.
    or any(f"; {os.strerror(number)}" in text for number in _FILE_ERRORS)
  )
  return UserError(_NAMES_OF_OPERATIONS.sub("", text)) if is_of_user else None


def _raised_in(error: BaseException) -> str:
  """Name of the package that raised an exception."""
  frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
  return frames[-1].f_globals.get("__name__", "").split(".")[0]


def _without_gin(error: BaseException) -> BaseException:
  """The original exception: gin raises another one, of a class derived from the original class.

  The exception of gin has the message, but no attributes such as `errno`.
  """
  while type(error).__bases__ == (type(error.__context__),):
    error = error.__context__
  return error
