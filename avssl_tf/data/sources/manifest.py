"""A CSV manifest: one row per file or span of a file.

The columns are `path[, start_sec, end_sec, label, split]`:

```
path,start_sec,end_sec,label,split
videos/a.mp4,12.5,22.5,dog,train
videos/b.mp4,,,cat,test
```
Fields may be empty: without times, the row covers the whole file; without a split, it belongs to
the training split. Long spans are cut into clips.
"""

import os
from collections.abc import Iterator
from typing import Optional

from avssl_tf import local_paths
from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.clip_request import DEFAULT_SPLIT, SPLIT_NAMES, ClipRequest
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.spellings import Spellings
from avssl_tf.errors import MissingFileError

COLUMNS = ("path", "start_sec", "end_sec", "label", "split")


_EXPECTED = f"The first row must name the columns: path, and any of {', '.join(COLUMNS[1:])}."


def _check_header(where: str, header: list[str]) -> None:
  if "path" not in header:
    raise ListError(f"{where}: no column 'path' among {header}. {_EXPECTED}")
  unknown = [name for name in header if name not in COLUMNS]
  if unknown:
    raise ListError(f"{where}: unknown columns {unknown}. {_EXPECTED}")
  if len(set(header)) < len(header):
    raise ListError(f"{where}: a column is named twice in {header}.")


def _seconds(fields: dict[str, str], column: str, where: str) -> Optional[float]:
  text = fields.get(column)
  return list_file.seconds(text, column, where) if text else None


def _request(
  fields: dict[str, str], root: str, where: str, spellings: Spellings
) -> ClipRequest:
  """Turns the fields of a row into a request."""
  if not fields["path"]:
    raise ListError(f"{where}: no path.")
  start_sec = _seconds(fields, "start_sec", where)
  end_sec = _seconds(fields, "end_sec", where)
  if end_sec is not None and end_sec <= (start_sec or 0.0):
    raise ListError(
      f"{where}: end_sec {end_sec:g} is not after start_sec {start_sec or 0.0:g}."
    )
  split = fields.get("split", "") or DEFAULT_SPLIT
  if split.lower() not in SPLIT_NAMES:
    raise ListError(f"{where}: unknown split {split!r}; expected train, validation or test.")
  if local_paths.is_address(fields["path"]):
    raise ListError(
      f"{where}: {fields['path']!r} is a URL; expected the path of a local file. Download it first."
    )
  path = spellings.find(os.path.normpath(os.path.join(root, fields["path"])))
  return ClipRequest(
    split=SPLIT_NAMES[split.lower()],
    path=path,
    start_sec=start_sec,
    end_sec=end_sec,
    labels=(fields["label"],) if fields.get("label") else (),
    media_id=os.path.normpath(fields["path"]).replace(os.sep, "/"),
  )


def _requests(
  csv_path: str, root: str, spellings: Spellings
) -> Iterator[tuple[str, ClipRequest]]:
  """Yields the location and the request of each non-blank row."""
  header = None
  for where, row in list_file.csv_rows(csv_path, names=True):
    if header is None:
      _check_header(where, row)
      header = row
      continue
    if len(row) != len(header):
      raise ListError(
        f"{where}: {len(row)} fields; expected {len(header)} ({','.join(header)}). "
        "A path that contains a comma must be quoted."
      )
    yield where, _request(dict(zip(header, row)), root, where, spellings)
  if header is None:
    raise ListError(f"{csv_path} is empty. {_EXPECTED}")


def clips_of_manifest(csv_path: str, input_dir: Optional[str] = None) -> Listing:
  """Reads a manifest.

  Args:
    csv_path: CSV file that starts with a row of column names; blank rows are skipped. File names
      may differ in spelling from those on disk, see `Spellings`.
    input_dir: base folder of relative paths; defaults to the folder of the manifest.

  Returns:
    The requests in the order of the rows, and the sorted class names.

  Raises:
    MissingFileError: no such manifest, or no such `input_dir`.
    ListError: a row is invalid (row numbers start at 1, with the header), or none of the files
      exists.
  """
  if not os.path.isfile(csv_path):
    raise MissingFileError(f"No manifest {csv_path!r}.")
  root = os.path.dirname(os.path.abspath(csv_path)) if input_dir is None else input_dir
  list_file.check_folder(root)
  requests, place_of, spellings = [], {}, Spellings()
  for where, request in _requests(csv_path, root, spellings):
    # Two rows with the same file and start would give one clip two rows in a memory bank.
    key = (request.split, request.path, request.start_sec or 0.0)
    if key in place_of:
      raise ListError(
        f"{where}: duplicate of row {place_of[key]} (same file, start and split). Keep one."
      )
    place_of[key] = where.rpartition(" ")[2]
    requests.append(request)
  if not requests:
    raise ListError(f"{csv_path} lists no clips: there is nothing below its first row.")
  # The build counts single missing files; if all of them are missing, the folder is wrong.
  if not any(os.path.isfile(request.path) for request in requests):
    raise ListError(
      f"{csv_path}: none of its files exists, for example {requests[0].path!r}. Paths are relative "
      f"to {root!r}; --input_dir changes that.{_why_not_found(requests[0].path)}"
    )
  label_names = sorted({label for request in requests for label in request.labels})
  return Listing(requests, label_names, notes=spellings.notes)


def _why_not_found(path: str) -> str:
  """A likely reason why the first file is missing; "" if unknown."""
  if local_paths.has_bytes(path):
    return " Its name is not UTF-8 text, and no file has that name: save the list as UTF-8."
  folder = os.path.dirname(path)
  names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
  return f" {folder!r} contains, for example, {names[0]!r}." if names else ""
