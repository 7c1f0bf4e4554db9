"""Reads text files written by people and other programs; the only module that opens them.

Spreadsheets and editors, particularly on Windows, add a byte order mark and end lines with a
carriage return. Both are removed.
"""

import codecs
import io
import os
from typing import TextIO

from avssl_tf.errors import UserError

# UTF-32 precedes UTF-16: its little-endian mark starts with that of UTF-16.
_MARKS = (
  (codecs.BOM_UTF8, "utf-8-sig"),
  (codecs.BOM_UTF32_LE, "utf-32"),
  (codecs.BOM_UTF32_BE, "utf-32"),
  (codecs.BOM_UTF16_LE, "utf-16"),
  (codecs.BOM_UTF16_BE, "utf-16"),
)


class TextError(UserError):
  """A file is not text; the message states the path and the remedy."""


class _NamedText(io.StringIO):
  """A text with the name of its file, for messages."""

  name = ""


def read(path: str, names: bool = False) -> str:
  r"""Reads a text file in UTF-8, or in the encoding of its byte order mark, without the mark.

  Args:
    path: the file.
    names: keep bytes that are not valid text, as `os.fsdecode` does; for files that list file
      names.

  Returns:
    The text, with lines that end in "\n".

  Raises:
    TextError: the file is not text.
    OSError: the file cannot be read.
  """
  with open(path, "rb") as f:
    content = f.read()
  encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
  errors = "surrogateescape" if names and encoding.startswith("utf-8") else "strict"
  try:
    text = content.decode(encoding, errors)
  except UnicodeDecodeError as error:
    line = content.count(b"\n", 0, error.start) + 1
    raise TextError(
      f"{path} is not UTF-8 text: {error.reason} in line {line}. Save it as UTF-8."
    ) from error
  # A file name may contain a carriage return: it is a line ending only if all lines have it.
  if not names or text.count("\r\n") == text.count("\n"):
    text = text.replace("\r\n", "\n")
  return text if names else text.replace("\r", "\n")


def open_text(path: str) -> TextIO:
  """The text of a file, from `read`, as a file object.

  Raises:
    TextError, OSError: see `read`.
  """
  text = _NamedText(read(os.fspath(path)))
  text.name = os.fspath(path)
  return text
