"""Random access to single clips, in graph mode."""

import os
from typing import NamedTuple, Optional, Union

import tensorflow as tf

from avssl_tf import keys, local_paths
from avssl_tf.data.records import schema
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import MissingFileError, UserError
from avssl_tf.keys import Tensor


class StoredTruth(NamedTuple):
  """Ground truth of a 360° clip; unknown parts are empty.

  Attributes:
    labels: int64 `[objects]`, classes of the objects, sounding ones first.
    is_sounding: bool `[objects]`.
    azimuth_rad: float32 `[T, objects]`, azimuth of each object in each frame.
    elevation_rad: float32 `[T, objects]`, elevation of each object in each frame.
    masks: string `[T]`, PNG bytes of 8-bit class maps.
  """

  labels: Tensor
  is_sounding: Tensor
  azimuth_rad: Tensor
  elevation_rad: Tensor
  masks: Tensor


class StoredClip(NamedTuple):
  """A clip as stored in its record.

  Attributes:
    frames: string `[T]`, JPEG bytes of the frames; None without video.
    waveform: float32 `[samples, channels]` in -1..1; None without audio.
    sample_rate_hz: sample rate of the waveform, the same for all clips of a data set; 0 without
      audio.
    frame_rate_hz: float32 scalar, rate of the frames; None without video.
    label: int64 scalar, first label; -1 if there is none.
    key: string scalar, id of the example.
    truth: ground truth of a 360° clip; None for ordinary clips.
    flow: string `[T]`, JPEG bytes of the optical flow images; None if the data set has no flow.
    boxes: float32 `[T, 4]`, bounding box of the sound source in each frame as ymin, xmin, ymax,
      xmax in 0..1; empty if unknown, None if not requested.
    labels: int64 `[labels]`, all labels, in the stored order.
  """

  frames: Optional[Tensor]
  waveform: Optional[Tensor]
  sample_rate_hz: int
  frame_rate_hz: Optional[Tensor]
  label: Tensor
  key: Tensor
  truth: Optional[StoredTruth] = None
  flow: Optional[Tensor] = None
  boxes: Optional[Tensor] = None
  labels: Optional[Tensor] = None


def record_at(path: Union[Tensor, str], offset: Union[Tensor, int]) -> Tensor:
  """Reads the record that begins at a byte offset of a TFRecord file.

  Args:
    path: string scalar.
    offset: int64 scalar.

  Returns:
    String scalar.

  Raises:
    tf.errors.DataLossError: a checksum does not match.
  """
  # Without a buffer, only this record is read.
  variant = tf.raw_ops.TFRecordDatasetV2(
    filenames=path, compression_type="", buffer_size=0, byte_offsets=offset, metadata=""
  )
  from_offset = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
  return from_offset.take(1).get_single_element()


class RecordReader:
  """Random access to the clips of a split.

  Attributes:
    info: description of the data set.
    num_records: number of clips, at least 1.
  """

  def __init__(self, data_dir: str, split: str, boxes: bool = False):
    """Finds the records of the split.

    Args:
      data_dir: folder of a data set.
      split: a split or subset, or a slice of one, such as `"train[:3584]"`.
      boxes: whether to read the bounding boxes of sound sources.

    Raises:
      UserError: the split does not exist or is empty.
      MissingFileError: the data set or a file of the split is missing.
    """
    self.info = DatasetInfo.load(data_dir)
    self._boxes = boxes
    table = self.info.records(split)
    self.num_records = len(table.offsets)
    if not self.num_records:
      raise UserError(f"Split {split!r} of the data set in {data_dir!r} has no records.")
    paths = [os.path.join(data_dir, name) for name in table.files]
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
      raise MissingFileError(
        f"{len(missing)} of the {len(paths)} files of split {split!r} are missing, such as "
        f"{missing[0]}: copy the whole data set, or build it again."
      )
    self._numbers = tf.constant(table.numbers)
    self._paths = tf.constant([local_paths.for_tensorflow(path) for path in paths])
    self._file_numbers = tf.constant(table.file_numbers)
    self._offsets = tf.constant(table.offsets)

  def read(self, record: Tensor) -> StoredClip:
    """Reads and parses one clip.

    Args:
      record: int64 scalar, position in the split, subset or slice.

    Returns:
      The clip.

    Raises:
      tf.errors.DataLossError: the record is damaged.
      tf.errors.InvalidArgumentError: the record does not match `dataset_info.json`.
    """
    return self._parse(self.serialized(record), record)

  def serialized(self, record: Tensor) -> Tensor:
    """Reads the bytes of one clip and verifies their checksums.

    Args:
      record: int64 scalar, position in the split, subset or slice.

    Returns:
      String scalar, a serialised `tf.train.SequenceExample`.

    Raises:
      tf.errors.DataLossError: the record is damaged.
    """
    return record_at(self._path(record), self._offsets[record])

  def _path(self, record: Tensor) -> Tensor:
    return self._paths[self._file_numbers[record]]

  def _parse(self, serialized: Tensor, record: Tensor) -> StoredClip:
    modalities, spherical = self.info.modalities, self.info.projection is not None
    context, lists = tf.io.parse_single_sequence_example(
      serialized,
      schema.context_spec(modalities, spherical),
      schema.sequence_spec(modalities, spherical, self.info.flow, self._boxes),
    )
    frames, waveform = None, None
    with tf.control_dependencies([self._check(context, record)]):
      if keys.VIDEO in modalities:
        frames = tf.identity(lists[schema.IMAGE_ENCODED])
      if keys.AUDIO in modalities:
        waveform = tf.reshape(lists[schema.WAVEFORM].values, [-1, self.info.num_channels])
    labels = context[schema.LABEL_INDEX].values
    return StoredClip(
      frames=frames,
      waveform=waveform,
      sample_rate_hz=self.info.sample_rate_hz,
      frame_rate_hz=context.get(schema.IMAGE_FRAME_RATE),
      label=tf.concat([labels, tf.constant([-1], tf.int64)], axis=0)[0],
      key=context[schema.EXAMPLE_ID],
      truth=_truth(context, lists) if spherical else None,
      flow=lists.get(schema.FLOW_ENCODED),
      boxes=tf.stack([lists[key] for key in schema.BBOX_KEYS], axis=-1) if self._boxes else None,
      labels=labels,
    )

  def _check(self, context: dict[str, Tensor], record: Tensor) -> tf.Operation:
    stored, names = [schema.CLIP_INDEX], ["clip/index"]
    expected = [self._numbers[record]]
    if keys.AUDIO in self.info.modalities:
      stored += [schema.NUM_CHANNELS, schema.SAMPLE_RATE]
      names += [", channels", ", sample rate"]
      expected += [self.info.num_channels, float(self.info.sample_rate_hz)]
    found = [context[key] for key in stored]
    return tf.debugging.Assert(
      tf.reduce_all([a == b for a, b in zip(found, expected)]),
      ["A record of", self._path(record), "does not match dataset_info.json. Found"]
      + [part for pair in zip(names, found) for part in pair]
      + ["; expected"]
      + [part for pair in zip(names, expected) for part in pair]
      + ["Files of different builds are mixed: build the data set again."],
    )


def _truth(context: dict[str, Tensor], lists: dict[str, Tensor]) -> StoredTruth:
  labels = context[schema.OBJECT_LABEL].values
  shape = [-1, tf.maximum(tf.size(labels), 1)]
  return StoredTruth(
    labels=labels,
    is_sounding=context[schema.OBJECT_IS_SOUNDING].values > 0,
    azimuth_rad=tf.reshape(lists[schema.OBJECT_AZIMUTH].values, shape),
    elevation_rad=tf.reshape(lists[schema.OBJECT_ELEVATION].values, shape),
    masks=lists[schema.MASK_ENCODED],
  )
