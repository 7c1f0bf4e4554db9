"""Reads lists of clips, as CSV or lines of words. Errors state the file and the row."""

import csv
import io
import math
import os
from collections.abc import Iterator

from avssl_tf import text_files
from avssl_tf.data.sources.listings.listing import ListError
from avssl_tf.errors import MissingFileError


def csv_rows(
  path: str, delimiter: str = ",", names: bool = False
) -> Iterator[tuple[str, list[str]]]:
  """Yields the non-blank rows of a CSV file, each with its location.

  Args:
    path: file; see `text_files.read`.
    delimiter: separator of the fields.
    names: whether the fields are file names. Bytes that are not valid text are then kept, see
      `text_files.read`.

  Yields:
    The location ("FILE, row N", counted from 1 as in an editor), and the fields without surrounding
    blanks.

  Raises:
    ListError: the file is not text, or not CSV.
  """
  lines = io.StringIO(_text(path, names), newline="")
  reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
  try:
    for row in reader:
      fields = [field.strip() for field in row]
      if any(fields):
        yield f"{path}, row {reader.line_num}", fields
  except csv.Error as error:
    raise ListError(f"{path}, row {reader.line_num}: {error}.") from error


def csv_records(path: str, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
  """Yields the rows of a CSV file with a header row.

  Args:
    path: file.
    required: columns that must be present; other columns are kept as well.

  Yields:
    The location of a row and its fields by column.

  Raises:
    ListError: see `csv_rows`; or columns are missing, or a row has too many or too few fields.
  """
  header = None
  for where, fields in csv_rows(path):
    if header is None:
      header = fields
      missing = [name for name in required if name not in header]
      if missing:
        raise ListError(
          f"{where}: no column {', '.join(map(repr, missing))} among {header}. The first row must "
          f"name the columns, including {', '.join(required)}."
        )
      continue
    if len(fields) != len(header):
      raise ListError(
        f"{where}: {len(fields)} fields; expected {len(header)} ({','.join(header)}). "
        "A field that contains a comma must be quoted."
      )
    yield where, dict(zip(header, fields))
  if header is None:
    raise ListError(f"{path} is empty. Its first row must name the columns {', '.join(required)}.")


def word_rows(path: str, num_words: tuple[int, ...]) -> Iterator[tuple[str, list[str]]]:
  """Yields the words of the non-blank lines of a text file, each line with its location.

  Args:
    path: file.
    num_words: allowed numbers of words per line. Words are split from the right: the first one may
      contain blanks.

  Raises:
    ListError: the file is not text, or a line has another number of words.
  """
  for number, line in enumerate(_text(path).split("\n"), start=1):
    words = line.rsplit(maxsplit=max(num_words) - 1)
    if not words:
      continue
    if len(words) not in num_words:
      counts = " or ".join(map(str, num_words))
      raise ListError(f"{path}, row {number}: {line.strip()!r}; expected {counts} words.")
    yield f"{path}, row {number}", words


def seconds(text: str, column: str, where: str) -> float:
  """Parses a time of 0 or more seconds.

  Raises:
    ListError: `text` is not such a time; the message contains `column` and `where`.
  """
  try:
    value = float(text)
  except ValueError as error:
    raise ListError(f"{where}: {column} is {text!r}; expected a number of seconds.") from error
  if not math.isfinite(value) or value < 0:
    raise ListError(f"{where}: {column} is {text!r}; expected a number of seconds, 0 or more.")
  return value


def check_folder(input_dir: str) -> None:
  """Raises MissingFileError if `input_dir` is not a folder."""
  if not os.path.isdir(input_dir):
    raise MissingFileError(f"--input_dir={input_dir!r} is not a folder.")


def _text(path: str, names: bool = False) -> str:
  try:
    return text_files.read(path, names)
  except text_files.TextError as error:
    raise ListError(str(error)) from error
