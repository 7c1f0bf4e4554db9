"""Builds one shard: decodes and encodes its clips, or numbers finished records.

A shard has two stages. First its clips are encoded into a file of the work folder, numbered as if
all clips of earlier shards succeed; a state file, written last, confirms that it is complete. Once
all shards are encoded, the failed clips are known. The file becomes the final one, and is written
again only if its numbers are not right. Every file is written under a temporary name and renamed
when it is complete.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any, Optional

import tensorflow as tf

from avssl_tf import local_paths
from avssl_tf.data.building import spectrogram_statistics
from avssl_tf.data.building.spectrogram_statistics import Sums
from avssl_tf.data.clip_content import Failure, PlannedClip, Reader, reason_of
from avssl_tf.data.records import encoding, schema
from avssl_tf.data.records.jpeg import JpegSettings
from avssl_tf.engines.engine import Monitor
from avssl_tf.errors import UserError
from avssl_tf.files import read_json, sync, whole_file
from avssl_tf.spatial import optical_flow
from avssl_tf.spectrograms import Spectrogram

ClipKey = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Encoding:
  """Encoding settings of all shards of a data set.

  Attributes:
    dataset_name: name of the data set.
    label_names: class names in the order of their indices.
    jpeg: compression of the frames.
    modalities: modalities of the records.
    spectrogram: spectrogram whose statistics are measured on the training split; `None` disables
      this.
    flow: whether to compute and store the optical flow of the frames.
  """

  dataset_name: str
  label_names: tuple[str, ...]
  jpeg: JpegSettings
  modalities: Sequence[str]
  spectrogram: Optional[Spectrogram]
  flow: bool = False


@dataclasses.dataclass(frozen=True)
class ShardTask:
  """One shard to encode.

  Attributes:
    clips: clips, in order.
    reader: reads the content of the clips.
    encoding: encoding settings.
    data_path: file of records to write.
    state_path: state file, which confirms that `data_path` is complete.
    donors: `(file, offset)` of clips that are already encoded, by key.
    first_index: `clip/index` of the first record.
  """

  clips: Sequence[PlannedClip]
  reader: Reader
  encoding: Encoding
  data_path: str
  state_path: str
  donors: dict[ClipKey, tuple[str, int]]
  first_index: int


@dataclasses.dataclass
class ShardState:
  """State of the clips of a shard.

  Attributes:
    digest: fingerprint of the planned clips (`digest_of`).
    kept: keys of the clips in the file, in order.
    failures: failures of the other clips.
    duration_us: total duration of the clips in the file.
    frame_sizes: number of clips by `"HxW"`.
    labels: number of clips by class name.
    example_ids: ids of the clips in the file.
    label_indexes: first label of each clip in the file, -1 if it has none.
    sound_replaced: whether the audio of each clip in the file comes from another clip; `None` if
      unknown.
    sums: sums of the spectrograms; `None` if they are not measured.
    first_index: `clip/index` of the first record as encoded; the others follow without gaps.
      `None`: an earlier version numbered the records otherwise.
  """

  digest: str
  kept: list[ClipKey] = dataclasses.field(default_factory=list)
  failures: list[Failure] = dataclasses.field(default_factory=list)
  duration_us: int = 0
  frame_sizes: dict[str, int] = dataclasses.field(default_factory=collections.Counter)
  labels: dict[str, int] = dataclasses.field(default_factory=collections.Counter)
  example_ids: list[str] = dataclasses.field(default_factory=list)
  label_indexes: list[int] = dataclasses.field(default_factory=list)
  sound_replaced: list[Optional[bool]] = dataclasses.field(default_factory=list)
  sums: Optional[Sums] = None
  first_index: Optional[int] = None

  def save(self, path: str) -> None:
    """Writes the state as JSON."""
    content = dict(vars(self))
    content["failures"] = [dataclasses.asdict(failure) for failure in self.failures]
    content["sums"] = self.sums and self.sums.to_json()
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
      json.dump(content, f, sort_keys=True)

  @classmethod
  def load(cls, path: str) -> "ShardState":
    """Reads a file that `save` wrote.

    Raises:
      UserError: the file is invalid.
    """
    try:
      content: dict[str, Any] = read_json(path)
      content["kept"] = [tuple(key) for key in content["kept"]]
      content["failures"] = [Failure(**failure) for failure in content["failures"]]
      content["sums"] = content["sums"] and Sums.from_json(content["sums"])
      return cls(**content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
      raise UserError(
        f"{path} is not a valid shard state ({error!r}): delete it and start the build again."
      ) from error


class _ClipError(Exception):
  """A clip cannot be read or encoded; the message is the reason."""


def digest_of(clips: Sequence[PlannedClip]) -> str:
  """Fingerprint of a list of clips."""
  return hashlib.sha256(repr([dataclasses.astuple(clip) for clip in clips]).encode()).hexdigest()


def build_shard(task: ShardTask, monitor: Monitor) -> ShardState:
  """Encodes the clips of a shard into its work file.

  A clip that cannot be read or encoded for any reason becomes a failure in the state.

  Raises:
    OSError, tf.errors.OpError: the files cannot be written.
    UserError: a record of an earlier build is damaged.
  """
  spectrogram = task.encoding.spectrogram
  state = ShardState(digest_of(task.clips), first_index=task.first_index)
  state.sums = spectrogram and Sums.zero(spectrogram.num_bins)
  with whole_file(task.data_path) as temporary:
    with tf.io.TFRecordWriter(local_paths.for_tensorflow(temporary)) as writer:
      for item, clip in enumerate(task.clips):
        try:
          record = _record(task, item, task.first_index + len(state.kept), monitor)
        except _ClipError as error:
          state.failures.append(
            Failure(clip.path, clip.start_us / 1e6, clip.end_us / 1e6, str(error))
          )
          continue
        writer.write(record)
        _count(state, clip, record, spectrogram)
    # If this is killed between the two renames, no state of older data may remain.
    with contextlib.suppress(FileNotFoundError):
      os.remove(task.state_path)
  state.save(task.state_path)
  return state


def finish_shard(source: str, path: str, first_index: int, state: ShardState) -> list[int]:
  """Makes the final file of a shard, with its records numbered from `first_index`.

  Args:
    source: file of the encoded records, which is moved or deleted; may be `path` itself.
    path: the final file.
    first_index: `clip/index` of the first record.
    state: state of the shard.

  Returns:
    The byte offset of each record.

  Raises:
    UserError: `source` has a different number of records.
  """
  offsets = encoding.scan_offsets(source)
  if len(offsets) != len(state.kept):
    raise UserError(
      f"{source} has {len(offsets)} records, but {len(state.kept)} were written: the file was "
      "changed. Delete it and start the build again."
    )
  if source == path:
    if _is_numbered(path, first_index):
      return offsets
  elif state.first_index == first_index:
    os.replace(source, path)
    sync(os.path.dirname(path))
    return offsets
  with whole_file(path) as temporary:
    with tf.io.TFRecordWriter(local_paths.for_tensorflow(temporary)) as writer:
      for number, record in enumerate(encoding.read_file(source)):
        writer.write(encoding.with_index(record, first_index + number))
  if source != path:
    os.remove(source)
  return encoding.scan_offsets(path)


def _is_numbered(path: str, first_index: int) -> bool:
  first = next(iter(encoding.read_file(path)), None)
  return first is None or encoding.read_index(first) == first_index


def _record(task: ShardTask, item: int, index: int, monitor: Monitor) -> bytes:
  """The record of one clip with its `clip/index`, copied from an earlier one if available.

  Raises:
    _ClipError: the record cannot be built; the message is the reason.
  """
  clip = task.clips[item]
  if item in monitor.skip:
    raise _ClipError(monitor.skip[item])
  monitor.begin(item)
  if clip.key in task.donors:
    return encoding.with_index(encoding.read_record(*task.donors[clip.key]), index)
  try:
    content = task.reader.read(clip, task.encoding.modalities)
    if task.encoding.flow:
      content = dataclasses.replace(content, flow=optical_flow.flow_pictures(content.frames))
    return encoding.encode_example(
      clip,
      content,
      task.encoding.dataset_name,
      task.reader.frame_rate_hz,
      task.reader.sample_rate_hz,
      task.encoding.label_names,
      task.encoding.jpeg,
      index,
    )
  except Exception as error:  # Nothing is written here, so any error concerns only this clip.
    raise _ClipError(reason_of(error)) from error


def _count(
  state: ShardState, clip: PlannedClip, record: bytes, spectrogram: Optional[Spectrogram]
) -> None:
  context = tf.train.SequenceExample.FromString(record).context.feature
  state.kept.append(clip.key)
  state.duration_us += clip.end_us - clip.start_us
  if schema.IMAGE_HEIGHT in context:
    height, width = (
      context[key].int64_list.value[0] for key in (schema.IMAGE_HEIGHT, schema.IMAGE_WIDTH)
    )
    state.frame_sizes[f"{height}x{width}"] += 1
  for label in context[schema.LABEL_TEXT].bytes_list.value:
    state.labels[os.fsdecode(label)] += 1
  state.example_ids.append(os.fsdecode(context[schema.EXAMPLE_ID].bytes_list.value[0]))
  state.label_indexes.append([*context[schema.LABEL_INDEX].int64_list.value, -1][0])
  replaced = context[schema.SOUND_REPLACED].int64_list.value
  state.sound_replaced.append(bool(replaced[0]) if replaced else None)
  if spectrogram is not None:
    # Measured on the record, so that copied clips give the same sums.
    state.sums += spectrogram_statistics.measure(spectrogram, encoding.read_waveform(record))
