"""Checks a finished data set against its description and checks the quality of its contents."""

import collections
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from avssl_tf import keys
from avssl_tf.data.records import encoding, jpeg
from avssl_tf.data.records.dataset_info import DatasetInfo, Shard
from avssl_tf.data.records.record import Record

# Audio with a peak up to this value counts as silent: -80 dB of full scale.
_SILENCE_PEAK = 1e-4
_FRAMES_DECODED = 3  # per clip: the first, the last, and one in between


@dataclasses.dataclass
class Survey:
  """Contents of a data set and the problems found in it.

  Attributes:
    problems: one sentence per problem, with the file and the record.
    num_clips: number of clips of each split.
    duration_sec: total duration of each split.
    num_bytes: total bytes of the records of each split.
    labels: number of clips by class name and split.
    frame_sizes: number of clips by `(height, width)`.
    samples: clips without problems, evenly spaced over the data set.
  """

  problems: list[str] = dataclasses.field(default_factory=list)
  num_clips: dict[str, int] = dataclasses.field(default_factory=collections.Counter)
  duration_sec: dict[str, float] = dataclasses.field(default_factory=collections.Counter)
  num_bytes: dict[str, int] = dataclasses.field(default_factory=collections.Counter)
  labels: dict[tuple[str, str], int] = dataclasses.field(default_factory=collections.Counter)
  frame_sizes: dict[tuple[int, int], int] = dataclasses.field(default_factory=collections.Counter)
  samples: list["Record"] = dataclasses.field(default_factory=list)


def survey(
  data_dir: str,
  info: DatasetInfo,
  num_samples: int = 0,
  on_progress: Callable[[int], None] = lambda count: None,
) -> Survey:
  """Reads and checks a whole data set.

  Args:
    data_dir: folder of the data set.
    info: description of the data set.
    num_samples: number of sample clips to keep.
    on_progress: called with the number of records read so far.
  """
  result = Survey()
  seen_ids: set[tuple[str, str]] = set()
  total = sum(info.num_clips(split) for split in info.splits)
  sampled = {round(position) for position in np.linspace(0, total - 1, num_samples)}
  count = 0
  for split, shards in info.splits.items():
    number = 0
    for shard in shards:
      for position, record in enumerate(_records(data_dir, shard, result.problems)):
        problems = _take_in(result, split, record, number, info, seen_ids)
        if not problems:
          problems = _check_listing(Record.parse(record, info.modalities), shard, position)
        if count in sampled and not problems:
          result.samples.append(Record.parse(record, info.modalities))
        result.problems.extend(f"{shard.file}, record {position}: {p}" for p in problems)
        number += 1
        count += 1
        on_progress(count)
    if number != info.num_clips(split):
      result.problems.append(
        f"Split {split!r} has {number} readable records; expected {info.num_clips(split)}."
      )
  return result


def check_clip(clip: Record, info: DatasetInfo) -> list[str]:
  """Problems of one clip."""
  problems = list(_check_label(clip, info))
  if keys.AUDIO in info.modalities:
    problems.extend(_check_sound(clip, info))
  if keys.VIDEO in info.modalities:
    problems.extend(_check_pictures(clip, info))
  return problems


def _check_listing(clip: Record, shard: Shard, position: int) -> list[str]:
  """Compares a record with its entry in `dataset_info.json`."""
  if position >= len(shard.ids):
    return []  # The number of records is checked for the whole split.
  found = (clip.example_id, [*clip.label_indexes, -1][0])
  listed = (shard.ids[position], shard.labels[position])
  if found == listed:
    return []
  return [f"id and label are {found}, but {listed} in dataset_info.json"]


def _take_in(
  result: Survey, split: str, record: bytes, number: int, info: DatasetInfo, seen_ids: set
) -> list[str]:
  """Adds a record to the counts and returns its problems."""
  try:
    clip = Record.parse(record, info.modalities)
  except ValueError as error:
    return [str(error)]
  problems = check_clip(clip, info)
  if clip.index != number:
    problems.append(f"clip/index is {clip.index}; expected {number}: a missing or duplicate index")
  if (split, clip.example_id) in seen_ids:
    problems.append(f"duplicate id {clip.example_id!r}")
  seen_ids.add((split, clip.example_id))
  result.num_clips[split] += 1
  result.num_bytes[split] += len(record)
  result.duration_sec[split] += clip.duration_sec
  if clip.frames:
    result.frame_sizes[clip.height, clip.width] += 1
  for label in clip.labels:
    result.labels[label, split] += 1
  return problems


def _records(data_dir: str, shard: Shard, problems: list[str]) -> Iterator[bytes]:
  """Yields the readable records of a shard; adds problems of the file to `problems`."""
  path = os.path.join(data_dir, shard.file)
  if not os.path.exists(path):
    problems.append(f"{shard.file} is missing.")
    return
  try:
    if encoding.scan_offsets(path) != shard.offsets:
      problems.append(f"{shard.file}: the offsets in dataset_info.json do not match the file.")
  except ValueError as error:
    problems.append(str(error))
  try:
    yield from encoding.read_file(path)
  except ValueError as error:
    problems.append(f"The rest of {shard.file} cannot be read: {error}")


def _check_sound(clip: Record, info: DatasetInfo) -> Iterator[str]:
  waveform = clip.waveform
  if waveform.shape != (clip.num_samples, info.num_channels):
    yield f"audio of shape {waveform.shape}; expected {(clip.num_samples, info.num_channels)}"
  if clip.sample_rate_hz != info.sample_rate_hz:
    yield f"audio at {clip.sample_rate_hz:g} Hz; expected {info.sample_rate_hz} Hz"
  if not waveform.size:
    yield "no audio samples"
    return
  if not np.all(np.isfinite(waveform)):
    yield "the audio has non-finite values"
    return
  peak = np.max(np.abs(waveform))
  if peak <= _SILENCE_PEAK:
    yield f"the audio is silent: peak {peak:.2g}"
  if peak > 1:
    yield f"the peak of the audio is {peak:.4g}, more than 1"


def _check_pictures(clip: Record, info: DatasetInfo) -> Iterator[str]:
  count = len(clip.frames)
  if not count:
    yield "no frames"
    return
  frame_sec = 1 / info.frame_rate_hz
  if len(clip.timestamps_us) != count:
    yield f"{count} frames, but {len(clip.timestamps_us)} timestamps"
  else:
    # Readers count frames and do not read the timestamps, so the two must agree.
    off_sec = clip.timestamps_us / 1e6 - np.arange(count) * frame_sec
    worst = np.argmax(np.abs(off_sec))
    if abs(off_sec[worst]) > frame_sec:
      yield f"the timestamps drift: frame {worst} is off by {off_sec[worst]:+.3f} s"
  if np.any(np.diff(clip.timestamps_us) <= 0):
    yield "the timestamps of the frames do not increase"
  if abs(clip.frame_rate_hz - info.frame_rate_hz) > 1e-3:
    yield f"frames at {clip.frame_rate_hz:g} Hz; expected {info.frame_rate_hz:g} Hz"
  if clip.waveform is not None:
    drift_sec = count * frame_sec - len(clip.waveform) / info.sample_rate_hz
    # A difference of one frame is due to rounding.
    if abs(drift_sec) > frame_sec * 1.001:
      yield f"the frames last {drift_sec:+.3f} s longer than the audio"
  if clip.boxes is not None and clip.boxes.shape != (count, 4):
    yield f"boxes of shape {clip.boxes.shape}; expected {(count, 4)}"
  yield from _check_decoding(clip, clip.frames, "frame")
  if len(clip.flow) != (count if info.flow else 0):
    yield f"{len(clip.flow)} optical flow images; expected {count if info.flow else 0}"
  elif info.flow:
    yield from _check_decoding(clip, clip.flow, "the flow of frame")


def _check_decoding(clip: Record, pictures: Sequence[bytes], name: str) -> Iterator[str]:
  for position in sorted({round(p) for p in np.linspace(0, len(pictures) - 1, _FRAMES_DECODED)}):
    try:
      picture = jpeg.decode(pictures[position])
    except ValueError as error:
      yield f"{name} {position} cannot be decoded as a JPEG: {error}"
      continue
    if picture.shape[:2] != (clip.height, clip.width):
      yield f"{name} {position} is {picture.shape[:2]}; expected {(clip.height, clip.width)}"


def _check_label(clip: Record, info: DatasetInfo) -> Iterator[str]:
  for index, label in zip(clip.label_indexes, clip.labels):
    if not 0 <= index < len(info.label_names) or info.label_names[index] != label:
      yield f"label {index} is named {label!r}, unlike in dataset_info.json"
