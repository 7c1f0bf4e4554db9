"""What was measured of single clips, in a file of comma-separated values."""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence

from avssl_tf.files import whole_file

# Name of the file.
PATTERN = r"clips-[0-9a-f]{12}\.csv"
_COLUMNS = ("id", "window", "method")


class ClipJournal:
  """The clips that are measured, in a file that grows as they are: nothing is measured twice.

  Attributes:
    num_blocks: blocks of rows that the file holds, all of them whole.
  """

  def __init__(
    self, folder: str, settings: Mapping, rows_per_block: int, metrics: Sequence[str]
  ):
    """Goes on with what an interrupted evaluation of these settings left.

    Args:
      folder: where the file is.
      settings: what the results depend on; each has a file of its own.
      rows_per_block: rows that are added at a time.
      metrics: names of what is measured of a clip, columns after `id`, `window` and `method`.
    """
    self._metrics = tuple(metrics)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    self._path = os.path.join(folder, f"clips-{digest[:12]}.csv")
    os.makedirs(folder, exist_ok=True)
    self._rows = []
    if os.path.exists(self._path):
      with open(self._path, encoding="utf-8", errors="surrogateescape", newline="") as f:
        lines = f.readlines()
      # A kill may have cut off the last row.
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
    """Copies the file, whole or not at all; returns the method and the metrics of each row."""
    with whole_file(path) as temporary:
      shutil.copyfile(self._path, temporary)
    return [
      (
        row["method"],
        {name: float(row[name]) for name in self._metrics if row.get(name, "") != ""},
      )
      for row in self._rows
    ]

  def delete(self) -> None:
    """Deletes the file, once its results are kept elsewhere."""
    os.remove(self._path)

  def _write(self, path: str, mode: str, rows: Sequence[Mapping], header: bool) -> None:
    with open(path, mode, encoding="utf-8", errors="surrogateescape", newline="") as f:
      writer = csv.DictWriter(f, (*_COLUMNS, *self._metrics), restval="")
      if header:
        writer.writeheader()
      writer.writerows(rows)
