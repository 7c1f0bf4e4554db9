"""Reading single records, in graph, by their number."""

import os
from typing import Tuple

import tensorflow as tf

from avssl_tf.data.dataset_info import DatasetInfo
from avssl_tf.types import Tensor


class RecordReader:
  """Random access to the records of a split.

  Attributes:
    num_records: number of records, at least 1.
    first: number, within the whole split, of record 0 (of a slice).
  """

  def __init__(self, data_dir: str, info: DatasetInfo, split: str):
    """Looks the split up.

    Args:
      data_dir: the data set's folder.
      info: its description.
      split: a split or a slice of one.

    Raises:
      ValueError: there is no such split or it is empty.
      FileNotFoundError: a file of the split is missing.
    """
    table = info.records(split)
    self.num_records = len(table.offsets)
    self.first = table.first
    if not self.num_records:
      raise ValueError(f"Split {split!r} of the data set in {data_dir!r} has no records.")
    paths = [os.path.join(data_dir, name) for name in table.files]
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
      raise FileNotFoundError(
        f"{len(missing)} of the {len(paths)} files of split {split!r} are missing, the first is "
        f"{missing[0]}: copy the whole data set, or build it again."
      )
    self._paths = tf.constant(paths)
    self._file_numbers = tf.constant(table.file_numbers)
    self._offsets = tf.constant(table.offsets)

  def locate(self, record: Tensor) -> Tuple[Tensor, Tensor]:
    """File (string scalar) and byte offset (int64 scalar) of a record (int64 scalar)."""
    return self._paths[self._file_numbers[record]], self._offsets[record]

  def read(self, record: Tensor) -> Tensor:
    """The serialised record `record`: string scalar. Its checksum is verified."""
    path, offset = self.locate(record)
    # Without a buffer, no more than this one record is read.
    variant = tf.raw_ops.TFRecordDatasetV2(
      filenames=path, compression_type="", buffer_size=0, byte_offsets=offset, metadata=""
    )
    from_offset = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
    return from_offset.take(1).get_single_element()
