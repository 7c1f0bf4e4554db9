"""Writes clips as MediaSequence `SequenceExample` records and reads TFRecord files.

The keys are defined in `schema.py`. Serialisation is deterministic: the same clip gives the same
bytes. TFRecord framing is `length (8 bytes) | crc (4) | record | crc (4)`; the offset of a record
is the position of its length field.
"""

import contextlib
import functools
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from avssl_tf import local_paths
from avssl_tf.data.clip_content import Content, PlannedClip
from avssl_tf.data.media import media_limits
from avssl_tf.data.records import schema, spherical_features, tf_features
from avssl_tf.data.records.jpeg import JpegSettings, encode_frames
from avssl_tf.data.records.record_reader import record_at
from avssl_tf.errors import UserError

_LENGTH = struct.Struct("<Q")
_HEADER_BYTES = 12
_FOOTER_BYTES = 4
_REMEDY = "Delete it and build the data set again, which writes this file again."


def encode_example(
  clip: PlannedClip,
  content: Content,
  dataset_name: str,
  frame_rate_hz: float,
  sample_rate_hz: int,
  label_names: Sequence[str],
  jpeg: JpegSettings,
  index: Optional[int] = None,
) -> bytes:
  """Serialises one clip.

  Args:
    clip: the planned clip: its source, times and labels.
    content: frames, waveform and ground truth of the clip.
    dataset_name: name of the data set.
    frame_rate_hz: rate of the frames.
    sample_rate_hz: rate of the waveform.
    label_names: class names in the order of their indices.
    jpeg: compression of the frames.
    index: `clip/index`, see `with_index`; None: the record has none.

  Returns:
    A serialised `tf.train.SequenceExample`. A DMVR-style reader gets exactly the samples of
    `content.waveform` from it; this is checked. Missing parts of `content` have no features.

  Raises:
    UserError: the shapes or ranges are not those of `Content`, or the written audio does not read
      back unchanged.
  """
  _check_content(content)
  known_by_reading = () if content.label is None else (content.label,)
  labels = clip.labels or known_by_reading
  label_text = [os.fsencode(label) for label in labels]
  context = {
    schema.LABEL_INDEX: tf_features.int64_list(
      [label_names.index(label) for label in labels if label in label_names]
    ),
    schema.LABEL_STRING: tf_features.bytes_list(label_text),
    schema.LABEL_TEXT: tf_features.bytes_list(label_text),
    schema.CLIP_START: tf_features.int64_list([clip.start_us]),
    schema.CLIP_END: tf_features.int64_list([clip.end_us]),
    schema.CLIP_DATA_PATH: tf_features.bytes_list([os.fsencode(clip.path)]),
    schema.CLIP_MEDIA_ID: tf_features.bytes_list([os.fsencode(clip.media_id)]),
    schema.EXAMPLE_ID: tf_features.bytes_list([os.fsencode(clip.example_id)]),
    schema.DATASET_NAME: tf_features.bytes_list([os.fsencode(dataset_name)]),
  }
  if index is not None:
    context[schema.CLIP_INDEX] = tf_features.int64_list([index])
  if content.sound_replaced is not None:
    context[schema.SOUND_REPLACED] = tf_features.int64_list([int(content.sound_replaced)])
  lists = {}
  if content.frames is not None:
    _add_pictures(context, lists, content, frame_rate_hz, jpeg)
  if content.waveform is not None:
    _add_sound(context, lists, content.waveform, sample_rate_hz)
  spherical_features.add(context, lists, content)
  example = tf.train.SequenceExample(
    context=tf.train.Features(feature=context),
    feature_lists=tf.train.FeatureLists(
      feature_list={key: tf.train.FeatureList(feature=steps) for key, steps in lists.items()}
    ),
  )
  serialized = example.SerializeToString(deterministic=True)
  if content.waveform is not None:
    _check_sound(serialized, content.waveform)
  return serialized


def with_index(serialized: bytes, index: int) -> bytes:
  """Sets `clip/index`, the row of the clip in the memory banks, and returns the new record."""
  example = tf.train.SequenceExample.FromString(serialized)
  example.context.feature[schema.CLIP_INDEX].int64_list.value[:] = [index]
  return example.SerializeToString(deterministic=True)


def read_index(serialized: bytes) -> int:
  """Reads `clip/index` of a record.

  Raises:
    UserError: the record has no `clip/index`.
  """
  example = tf.train.SequenceExample.FromString(serialized)
  value = example.context.feature[schema.CLIP_INDEX].int64_list.value
  if len(value) != 1:
    raise UserError(f"A record has {len(value)} values of {schema.CLIP_INDEX}; expected 1.")
  return value[0]


def read_waveform(serialized: bytes) -> np.ndarray:
  """Reads the audio of a record as DMVR does: float32 `[samples, channels]`."""
  samples, num_channels = _sound_parser()(tf.constant(serialized))
  return samples.numpy().reshape(-1, int(num_channels))


def read_file(path: str) -> Iterator[bytes]:
  """Yields the records of a file, in order.

  Raises:
    UserError: the file is damaged. The records before the damage have been yielded.
  """
  with _damage_as_user_error(path):
    yield from tf.data.TFRecordDataset(local_paths.for_tensorflow(path)).as_numpy_iterator()


def read_record(path: str, offset: int) -> bytes:
  """Reads the record at `offset`, one of those that `scan_offsets` returns.

  Raises:
    UserError: the record is damaged.
  """
  with _damage_as_user_error(path):
    return record_at(local_paths.for_tensorflow(path), offset).numpy()


def scan_offsets(path: str) -> list[int]:
  """Byte offset of each record of a TFRecord file. Reads only the length fields.

  Raises:
    UserError: the file ends in the middle of a record.
  """
  size = os.path.getsize(path)
  offsets, position = [], 0
  with open(path, "rb") as f:
    while position < size:
      f.seek(position)
      header = f.read(_HEADER_BYTES)
      length = _LENGTH.unpack(header[: _LENGTH.size])[0] if len(header) == _HEADER_BYTES else size
      offsets.append(position)
      position += _HEADER_BYTES + length + _FOOTER_BYTES
  if position != size:
    raise UserError(
      f"{path} is damaged: record {len(offsets) - 1} exceeds the file size of {size} bytes. "
      f"{_REMEDY}"
    )
  return offsets


@contextlib.contextmanager
def _damage_as_user_error(path: str) -> Iterator[None]:
  try:
    yield
  except tf.errors.DataLossError as error:
    raise UserError(f"{path} is damaged: {error.message}. {_REMEDY}") from error


@functools.lru_cache(maxsize=1)
def _sound_parser():
  # Created at the first call: the process must configure its devices and threads before it
  # creates a tf.function.
  @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
  def parse(serialized):
    context, lists = tf.io.parse_single_sequence_example(
      serialized,
      context_features={schema.NUM_CHANNELS: tf.io.FixedLenFeature([], tf.int64)},
      sequence_features={schema.WAVEFORM: tf.io.VarLenFeature(tf.float32)},
    )
    return tf.sparse.to_dense(lists[schema.WAVEFORM])[0], context[schema.NUM_CHANNELS]

  return parse


def _add_pictures(
  context: dict[str, tf.train.Feature],
  lists: dict[str, list[tf.train.Feature]],
  content: Content,
  frame_rate_hz: float,
  jpeg: JpegSettings,
) -> None:
  height, width = content.frames.shape[1:3]
  context[schema.IMAGE_FORMAT] = tf_features.bytes_list([b"JPEG"])
  context[schema.IMAGE_HEIGHT] = tf_features.int64_list([height])
  context[schema.IMAGE_WIDTH] = tf_features.int64_list([width])
  context[schema.IMAGE_FRAME_RATE] = tf_features.float_list([frame_rate_hz])
  encoded = encode_frames(content.frames, frame_rate_hz, jpeg)
  lists[schema.IMAGE_ENCODED] = [tf_features.bytes_list([frame]) for frame in encoded]
  times = content.timestamps_us.tolist()
  lists[schema.IMAGE_TIMESTAMP] = [tf_features.int64_list([time]) for time in times]
  if content.boxes is not None:
    for key, side in zip(schema.BBOX_KEYS, content.boxes.T.tolist()):
      lists[key] = [tf_features.float_list([value]) for value in side]


def _add_sound(
  context: dict[str, tf.train.Feature],
  lists: dict[str, list[tf.train.Feature]],
  waveform: np.ndarray,
  sample_rate_hz: int,
) -> None:
  num_samples, num_channels = waveform.shape
  context[schema.SAMPLE_RATE] = tf_features.float_list([sample_rate_hz])
  context[schema.NUM_CHANNELS] = tf_features.int64_list([num_channels])
  context[schema.NUM_SAMPLES] = tf_features.int64_list([num_samples])
  lists[schema.WAVEFORM] = [tf_features.float_list(waveform.ravel().tolist())]


def _check_content(content: Content) -> None:
  if content.frames is None and content.waveform is None:
    raise UserError("A clip has neither frames nor a waveform; expected at least one of them.")
  if content.frames is not None:
    _check_pictures(content)
  if content.waveform is not None:
    _check_waveform(content.waveform)


def _check_pictures(content: Content) -> None:
  frames = content.frames
  if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
    raise UserError(f"Frames are {frames.dtype} {frames.shape}; expected uint8 [T, H, W, 3].")
  if frames.shape[1] * frames.shape[2] > media_limits.MAX_STORED_PIXELS:
    raise media_limits.MediaError(
      f"stored frames too large: {frames.shape[2]}x{frames.shape[1]} pixels; expected at most "
      f"{media_limits.MAX_STORED_PIXELS} in total. Use a smaller --short_side"
    )
  if len(content.timestamps_us) != len(frames) or np.any(np.diff(content.timestamps_us) <= 0):
    raise UserError(
      f"{len(frames)} frames have {len(content.timestamps_us)} timestamps; expected one per frame, "
      "strictly increasing."
    )
  if content.boxes is not None and content.boxes.shape != (len(frames), 4):
    raise UserError(
      f"Boxes have the shape {content.boxes.shape}; expected {(len(frames), 4)}, one per frame."
    )


def _check_waveform(waveform: np.ndarray) -> None:
  if waveform.dtype != np.float32 or waveform.ndim != 2 or not waveform.size:
    raise UserError(
      f"The waveform is {waveform.dtype} {waveform.shape}; expected float32 [samples, channels]."
    )
  if not np.all(np.isfinite(waveform)):
    raise UserError("The waveform contains non-finite values.")
  if np.max(np.abs(waveform)) > 1:
    raise UserError(f"The waveform's peak is {np.max(np.abs(waveform)):g}; expected at most 1.")


def _check_sound(serialized: bytes, waveform: np.ndarray) -> None:
  """Compares peak and RMS of the audio that a reader gets with those of the input.

  Audio of a wrong type or layout still parses, but reads back as noise. Only reading it the way
  other programs do reveals this.
  """
  read = read_waveform(serialized)
  found, expected = _peak_and_rms(read), _peak_and_rms(waveform)
  if read.shape != waveform.shape or found != expected:
    raise UserError(
      f"The written audio reads back as {read.shape} with peak and RMS {found}; expected "
      f"{waveform.shape} with {expected}."
    )


def _peak_and_rms(waveform: np.ndarray):
  return (
    float(np.max(np.abs(waveform))),
    float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))),
  )
