"""Tables of records: the shards and subsets that `dataset_info.json` lists."""

import dataclasses
from typing import Optional

import numpy as np

from avssl_tf.data.records.split_names import is_plain_name
from avssl_tf.errors import UserError


@dataclasses.dataclass
class Shard:
  """One record file.

  Attributes:
    file: file name, relative to the folder of the data set.
    offsets: byte offset of each record in the file, one per record. Sampling without a shuffle
      buffer and resuming at any step rely on this random access.
    ids: id of each record (`example/id`).
    labels: first label of each record, -1 if it has none.
    sound_replaced: whether the audio of each record comes from another clip; `None` if unknown, as
      in all data except the synthetic worlds.
  """

  file: str
  offsets: list[int]
  ids: list[str]
  labels: list[int]
  sound_replaced: Optional[list[bool]] = None

  def __post_init__(self):
    if not is_plain_name(self.file):
      raise UserError(
        f"Invalid shard file {self.file!r}; expected a plain file name, without a folder."
      )
    counts = [len(part) for part in (self.offsets, self.ids, self.labels)]
    if self.sound_replaced is not None:
      counts.append(len(self.sound_replaced))
    if len(set(counts)) != 1:
      raise UserError(
        f"{self.file} has different numbers of offsets, ids, labels and sound_replaced flags, "
        f"{counts}: build the data set again."
      )


@dataclasses.dataclass
class Subset:
  """A named selection of the records of a split, such as one side of a fold.

  Attributes:
    split: name of the split.
    records: positions of the selected records within the split, increasing.
  """

  split: str
  records: list[int]


@dataclasses.dataclass(frozen=True)
class RecordTable:
  """Locations and metadata of the records of a split, a subset, or a slice of either.

  Attributes:
    numbers: int64 `[N]`, position of each record within its whole split (`clip/index`).
    files: file names, relative to the folder of the data set.
    file_numbers: int64 `[N]`, file of each record, as a position in `files`.
    offsets: int64 `[N]`, byte offset of each record in its file.
    ids: id of each record.
    labels: int64 `[N]`, first label of each record, -1 if it has none.
    sound_replaced: bool `[N]`, whether the audio of each record comes from another clip; `None` if
      unknown.
  """

  numbers: np.ndarray
  files: list[str]
  file_numbers: np.ndarray
  offsets: np.ndarray
  ids: list[str]
  labels: np.ndarray
  sound_replaced: Optional[np.ndarray]
