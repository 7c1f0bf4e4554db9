"""Reads lists of clips, as CSV or as lines of words, with errors that name file and row."""

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
  """Yields the rows of a CSV file that are not blank, each with its place.

  Args:
    path: file; see `text_files.read`.
    delimiter: what stands between fields.
    names: whether fields are names of files: bytes that are no text are kept, as there.

  Yields:
    The place ("FILE, row N", counted from 1 as in an editor), and the fields without the blanks
    around them.

  Raises:
    ListError: the file is no text, or no CSV.
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
  """Yields the rows of a CSV file whose first row names the columns.

  Args:
    path: file.
    required: columns that there must be; others are kept too.

  Yields:
    The place of a row and its fields by column.

  Raises:
    ListError: as `csv_rows`; or columns are missing, or a row has more or fewer fields.
  """
  header = None
  for where, fields in csv_rows(path):
    if header is None:
      header = fields
      missing = [name for name in required if name not in header]
      if missing:
        raise ListError(
          f"{where}: no column {', '.join(map(repr, missing))} among {header}. The first row must "
          f"name the columns, {', '.join(required)} among them."
        )
      continue
    if len(fields) != len(header):
      raise ListError(
        f"{where}: {len(fields)} fields, expected {len(header)} ({','.join(header)}). "
        "A field that holds a comma must be quoted."
      )
    yield where, dict(zip(header, fields))
  if header is None:
    raise ListError(f"{path} is empty. Its first row must name the columns {', '.join(required)}.")


def word_rows(path: str, num_words: tuple[int, ...]) -> Iterator[tuple[str, list[str]]]:
  """Yields the lines of a text file that are not blank as words, each with its place.

  Args:
    path: file.
    num_words: numbers of words that a line may have. What is left of the last words is one
      word, so that it may hold blanks.

  Raises:
    ListError: the file is no text, or a line has another number of words.
  """
  for number, line in enumerate(_text(path).split("\n"), start=1):
    words = line.rsplit(maxsplit=max(num_words) - 1)
    if not words:
      continue
    if len(words) not in num_words:
      counts = " or ".join(map(str, num_words))
      raise ListError(f"{path}, row {number}: {line.strip()!r}, expected {counts} words.")
    yield f"{path}, row {number}", words


def seconds(text: str, column: str, where: str) -> float:
  """A time of 0 or more seconds.

  Raises:
    ListError: `text` is none; the message names `column` and `where`.
  """
  try:
    value = float(text)
  except ValueError as error:
    raise ListError(f"{where}: {column} is {text!r}, expected a number of seconds.") from error
  if not math.isfinite(value) or value < 0:
    raise ListError(f"{where}: {column} is {text!r}, expected a number of seconds from 0 on.")
  return value


def check_folder(input_dir: str) -> None:
  """Raises FileNotFoundError where `input_dir` is no folder."""
  if not os.path.isdir(input_dir):
    raise MissingFileError(f"--input_dir={input_dir!r} is not a folder.")


def _text(path: str, names: bool = False) -> str:
  try:
    return text_files.read(path, names)
  except text_files.TextError as error:
    raise ListError(str(error)) from error
