"""A CSV manifest: one row a file or a span of one.

The columns are `path[, start_sec, end_sec, label, split]`:

```
path,start_sec,end_sec,label,split
videos/a.mp4,12.5,22.5,dog,train
videos/b.mp4,,,cat,test
```
Fields may be left empty: without times the whole file is meant, without a
split the training split. What is long is cut into clips.
"""

import csv
import math
import os
from collections.abc import Iterator
from typing import Optional

from avssl_tf.data.sources.clip_request import DEFAULT_SPLIT, SPLIT_NAMES, ClipRequest

COLUMNS = ("path", "start_sec", "end_sec", "label", "split")


class ManifestError(ValueError):
  """A manifest is not what it should be; the message names the file and the row."""


def _check_header(csv_path: str, header: Optional[list[str]]) -> None:
  expected = f"The first row must name the columns: path, and any of {', '.join(COLUMNS[1:])}."
  if not header:
    raise ManifestError(f"{csv_path} is empty. {expected}")
  if "path" not in header:
    raise ManifestError(f"{csv_path}, row 1: no column 'path' among {header}. {expected}")
  unknown = [name for name in header if name not in COLUMNS]
  if unknown:
    raise ManifestError(f"{csv_path}, row 1: unknown columns {unknown}. {expected}")
  if len(set(header)) < len(header):
    raise ManifestError(f"{csv_path}, row 1: a column is named twice in {header}.")


def _seconds(text: str, column: str, where: str) -> Optional[float]:
  if not text:
    return None
  try:
    value = float(text)
  except ValueError as error:
    raise ManifestError(f"{where}: {column} is {text!r}, expected a number of seconds.") from error
  if not math.isfinite(value) or value < 0:
    raise ManifestError(f"{where}: {column} is {text!r}, expected a number of seconds from 0 on.")
  return value


def _request(fields: dict[str, str], root: str, where: str) -> ClipRequest:
  """Turns the fields of a row into a request."""
  if not fields["path"]:
    raise ManifestError(f"{where}: no path.")
  start_sec = _seconds(fields.get("start_sec", ""), "start_sec", where)
  end_sec = _seconds(fields.get("end_sec", ""), "end_sec", where)
  if end_sec is not None and end_sec <= (start_sec or 0.0):
    raise ManifestError(
      f"{where}: end_sec {end_sec:g} is not after start_sec {start_sec or 0.0:g}."
    )
  split = fields.get("split", "") or DEFAULT_SPLIT
  if split.lower() not in SPLIT_NAMES:
    raise ManifestError(f"{where}: unknown split {split!r}, expected train, validation or test.")
  path = os.path.normpath(os.path.join(root, fields["path"]))
  return ClipRequest(
    split=SPLIT_NAMES[split.lower()],
    path=path,
    start_sec=start_sec,
    end_sec=end_sec,
    label=fields.get("label") or None,
    media_id=os.path.normpath(fields["path"]).replace(os.sep, "/"),
  )


def _requests(csv_path: str, root: str) -> Iterator[tuple[int, ClipRequest]]:
  """Yields the number of each row that is not blank, and what it asks for."""
  with open(csv_path, newline="", encoding="utf-8-sig") as f:
    reader = csv.reader(f, strict=True, skipinitialspace=True)
    try:
      header = [name.strip() for name in next(reader, [])]
      _check_header(csv_path, header)
      for row in reader:
        where = f"{csv_path}, row {reader.line_num}"
        if not any(field.strip() for field in row):
          continue
        if len(row) != len(header):
          raise ManifestError(
            f"{where}: {len(row)} fields, expected {len(header)} ({','.join(header)}). "
            "A path that holds a comma must be quoted."
          )
        fields = {name: field.strip() for name, field in zip(header, row)}
        yield reader.line_num, _request(fields, root, where)
    except csv.Error as error:
      raise ManifestError(f"{csv_path}, row {reader.line_num}: {error}.") from error
    except UnicodeDecodeError as error:
      raise ManifestError(f"{csv_path} is not UTF-8 text ({error.reason}).") from error


def clips_of_manifest(
  csv_path: str, input_dir: Optional[str] = None
) -> tuple[list[ClipRequest], list[str]]:
  """Reads a manifest.

  Args:
    csv_path: file in UTF-8, with or without a byte order mark, that starts
      with a row of column names; blank rows are passed over.
    input_dir: folder that relative paths count from, the manifest's own by
      default.

  Returns:
    Requests in the order of the rows, and the sorted names of the classes.

  Raises:
    FileNotFoundError: no such manifest, or no such `input_dir`.
    ManifestError: a row is not what it should be (rows count from 1 as in an
      editor, the header's included), or none of the files exists.
  """
  if not os.path.isfile(csv_path):
    raise FileNotFoundError(f"No manifest {csv_path!r}.")
  root = os.path.dirname(os.path.abspath(csv_path)) if input_dir is None else input_dir
  if not os.path.isdir(root):
    raise FileNotFoundError(f"--input_dir={root!r} is not a folder.")
  requests, row_of = [], {}
  for row, request in _requests(csv_path, root):
    # Two rows of one start in one file would be two rows of a memory bank for one thing.
    key = (request.split, request.path, request.start_sec or 0.0)
    if key in row_of:
      raise ManifestError(
        f"{csv_path}, row {row}: the same as row {row_of[key]} (file, start and split). Keep one."
      )
    row_of[key] = row
    requests.append(request)
  if not requests:
    raise ManifestError(f"{csv_path} names no clips: there is nothing below its first row.")
  # Single files that are gone are for the build to count; all of them gone is a wrong folder.
  if not any(os.path.isfile(request.path) for request in requests):
    raise ManifestError(
      f"{csv_path}: none of its files exists, not even {requests[0].path!r}. Relative paths count "
      f"from {root!r}; --input_dir changes that."
    )
  labels = {request.label for request in requests if request.label is not None}
  return requests, sorted(labels)
