"""Metrics of single clips in a CSV file."""

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence

from avssl_tf.files import whole_file
from avssl_tf.foreign_text import spreadsheet_cell

# Pattern of the file name.
PATTERN = r"clips-[0-9a-f]{12}\.csv"
_COLUMNS = ("id", "window", "method")
_HEADER = ",".join(_COLUMNS)


def is_journal(path: str) -> bool:
  """Whether a file starts with the header of `ClipJournal`."""
  with open(path, encoding="utf-8", errors="replace") as f:
    return f.read(len(_HEADER)) == _HEADER


class ClipJournal:
  """Metrics of clips in a CSV file that is extended block by block, so evaluations can resume.

  Attributes:
    num_blocks: number of complete blocks of rows in the file.
  """

  def __init__(
    self, folder: str, settings: Mapping, rows_per_block: int, metrics: Sequence[str]
  ):
    """Resumes from the file of an interrupted evaluation with the same settings, if there is one.

    Args:
      folder: folder of the file.
      settings: JSON-serialisable values that the results depend on; they determine the file name.
      rows_per_block: number of rows that are added at a time.
      metrics: names of the metrics of a clip: the columns after `id`, `window` and `method`.
    """
    self._metrics = tuple(metrics)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    self._path = os.path.join(folder, f"clips-{digest[:12]}.csv")
    os.makedirs(folder, exist_ok=True)
    self._rows = []
    if os.path.exists(self._path):
      with open(self._path, encoding="utf-8", errors="surrogateescape", newline="") as f:
        lines = f.readlines()
      # The last row may be incomplete if the process was killed.
      whole = lines if not lines or lines[-1].endswith("\n") else lines[:-1]
      self._rows = list(csv.DictReader(whole))
    self.num_blocks = len(self._rows) // rows_per_block
    self._rows = self._rows[: self.num_blocks * rows_per_block]
    with whole_file(self._path) as temporary:
      self._write(temporary, "w", self._rows, header=True)

  def add(self, rows: Sequence[Mapping]) -> None:
    """Adds the rows of a block; the last block may have fewer."""
    self._write(self._path, "a", rows, header=False)
    self._rows += rows

  def copy_to(self, path: str) -> list[tuple[str, dict[str, float]]]:
    """Writes a spreadsheet-safe copy atomically; returns the method and metrics of each row."""
    with whole_file(path) as temporary:
      rows = ({**row, "id": spreadsheet_cell(row["id"])} for row in self._rows)
      self._write(temporary, "w", rows, header=True)
    return [
      (
        row["method"],
        {name: float(row[name]) for name in self._metrics if row.get(name, "") != ""},
      )
      for row in self._rows
    ]

  def delete(self) -> None:
    """Deletes the file, once its results are stored elsewhere."""
    os.remove(self._path)

  def _write(self, path: str, mode: str, rows: Iterable[Mapping], header: bool) -> None:
    with open(path, mode, encoding="utf-8", errors="surrogateescape", newline="") as f:
      writer = csv.DictWriter(f, (*_COLUMNS, *self._metrics), restval="")
      if header:
        writer.writeheader()
      writer.writerows(rows)
