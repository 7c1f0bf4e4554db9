"""Reads texts that people and other programs write: the one place that opens any.

Spreadsheets and editors, those of Windows most of all, put a byte order mark before a text and end
its lines with a carriage return; neither is part of what the text says.
"""

import codecs
import io
import os
from typing import TextIO

from avssl_tf.errors import UserError

# UTF-32 begins like UTF-16 and comes first.
_MARKS = (
  (codecs.BOM_UTF8, "utf-8-sig"),
  (codecs.BOM_UTF32_LE, "utf-32"),
  (codecs.BOM_UTF32_BE, "utf-32"),
  (codecs.BOM_UTF16_LE, "utf-16"),
  (codecs.BOM_UTF16_BE, "utf-16"),
)


class TextError(UserError):
  """A file that is no text; the message names it and says what to do."""


class _NamedText(io.StringIO):
  """A text that knows its file, for messages."""

  name = ""


def read(path: str, names: bool = False) -> str:
  r"""The text of a file in UTF-8, or in what its byte order mark says, without that mark.

  Args:
    path: the file.
    names: whether bytes that are no text are kept, as `os.fsdecode` keeps them: names of files may
      hold any.

  Returns:
    The text; all its lines end in "\n" alone.

  Raises:
    TextError: it is no text.
    OSError: it cannot be read.
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
      f"{path} is not UTF-8 text: {error.reason} in row {line}. Save it as UTF-8."
    ) from error
  # A name may hold a carriage return: it ends lines only where it ends all of them.
  if not names or text.count("\r\n") == text.count("\n"):
    text = text.replace("\r\n", "\n")
  return text if names else text.replace("\r", "\n")


def open_text(path: str) -> TextIO:
  """The text of a file as `read` gives it, to be read like a file.

  Raises:
    TextError, OSError: as `read`.
  """
  text = _NamedText(read(os.fspath(path)))
  text.name = os.fspath(path)
  return text
