"""`dataset_info.json`: the contents and the build settings of a folder of records."""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from avssl_tf import keys, local_paths
from avssl_tf.data.records.record_table import RecordTable, Shard, Subset
from avssl_tf.data.records.split_names import check_name, parse_split
from avssl_tf.errors import MissingFileError, UserError
from avssl_tf.files import JsonError, read_json, whole_file

FILE_NAME = "dataset_info.json"

# The clips of a demo world are independent random draws.
_SHUFFLED_SOURCES = ("demo", "demo360")


def sample_positions(total: int, count: int, is_shuffled: bool) -> np.ndarray:
  """Selects records that represent a whole data set.

  Args:
    total: number of records.
    count: number of records to select; all of them if there are fewer.
    is_shuffled: whether the records are in random order.

  Returns:
    int64 `[min(total, count)]`, increasing. The first records if the order is random, otherwise
    evenly spaced records, because neighbours may share a class or a video.
  """
  positions = np.arange(min(total, count), dtype=np.int64)
  return positions if is_shuffled or not len(positions) else positions * total // len(positions)


@dataclasses.dataclass
class DatasetInfo:
  """Contents of `dataset_info.json`.

  Attributes:
    name: name of the data set.
    splits: shards of each split, such as `{"train": [Shard, ...], "test": [...]}`.
    subsets: named selections of records, which may overlap, such as `{"train1": Subset, "test1":
      Subset, "train2": ...}`. A subset name is accepted wherever a split name is.
    frame_rate_hz: rate of the stored frames; 0 without video.
    frame_size: nominal `[height, width]` of the stored frames in pixels; `[0, 0]` if the size
      varies between clips, or without video.
    sample_rate_hz: sample rate of the stored audio; 0 without audio.
    num_channels: number of audio channels; 0 without audio.
    clip_duration_sec: nominal duration of a clip.
    modalities: modalities of the records: "video", "audio", or both.
    label_names: class names in the order of their indices; empty for unlabelled data.
    spectrogram_statistics: per-bin `{"mean": [...], "std": [...]}` of the training split in dB, by
      the id of the spectrogram (`Spectrogram.id`).
    build: how the data set was built (source, flags, versions).
    projection: `None` for ordinary video; `"equirectangular"` for 360° video with ambisonics
      (ACN/SN3D).
    flow: whether the records contain optical flow. The file has this key only if they do.

  Examples:
    >>> from avssl_tf.data.records.dataset_info import DatasetInfo, Shard
    >>> shard = Shard("train-0", offsets=[0, 10, 30], ids=["a", "b", "c"], labels=[1, 0, -1])
    >>> info = DatasetInfo("mine", {"train": [shard]}, 16.0, [256, 340], 24000, 1, 10.0)
    >>> info.num_clips("train"), info.records("train[1:]").ids
    (3, ['b', 'c'])
  """

  name: str
  splits: dict[str, list[Shard]]
  frame_rate_hz: float
  frame_size: list[int]
  sample_rate_hz: int
  num_channels: int
  clip_duration_sec: float
  modalities: list[str] = dataclasses.field(default_factory=lambda: list(keys.MODALITIES))
  subsets: dict[str, Subset] = dataclasses.field(default_factory=dict)
  label_names: list[str] = dataclasses.field(default_factory=list)
  spectrogram_statistics: dict[str, dict[str, list[float]]] = dataclasses.field(
    default_factory=dict
  )
  build: dict[str, Any] = dataclasses.field(default_factory=dict)
  projection: Optional[str] = None
  flow: bool = False

  def __post_init__(self):
    for name in self.splits:
      check_name(name)
    for name, subset in self.subsets.items():
      check_name(name)
      numbers = np.array(subset.records)
      if name in self.splits or subset.split not in self.splits:
        raise UserError(
          f"Data set {self.name!r} has an invalid subset {name!r} of split {subset.split!r}; "
          f"expected a name that no split has, and one of the splits {sorted(self.splits)}."
        )
      total = sum(len(shard.offsets) for shard in self.splits[subset.split])
      if np.any(np.diff(numbers) <= 0) or np.any(numbers < 0) or np.any(numbers >= total):
        raise UserError(
          f"Subset {name!r} of data set {self.name!r} is invalid; expected increasing positions "
          f"of the {total} records of split {subset.split!r}: build the data set again."
        )

  @property
  def is_shuffled(self) -> bool:
    """Whether the records are in random order, so that the first ones are a random sample."""
    return bool(self.build.get("shuffle")) or self.build.get("source") in _SHUFFLED_SOURCES

  def test_split(self, wanted: str = "test") -> Optional[str]:
    """Chooses the split to evaluate on.

    Args:
      wanted: the preferred split.

    Returns:
      `wanted`, unless it is "test" and the data set has no such split: then "validation", or `None`
      if that does not exist either.
    """
    there = {*self.splits, *self.subsets}
    if wanted != "test" or wanted in there:
      return wanted
    return "validation" if "validation" in there else None

  def num_clips(self, split: str) -> int:
    """Number of records in a split.

    Args:
      split: a split or subset, or a slice of one, such as `"train[:3584]"`.

    Returns:
      The number of records.

    Raises:
      UserError: see `records`.
    """
    return len(self.records(split).offsets)

  def records(self, split: str) -> RecordTable:
    """Locations and metadata of the records of a split.

    Args:
      split: a split or subset, or a slice of one, such as `"train[:3584]"`.

    Returns:
      One entry per record, in order.

    Raises:
      UserError: the split or subset does not exist, or the slice exceeds it.
    """
    name, start, stop = parse_split(split)
    subset = self.subsets.get(name)
    shards = self.shards(name if subset is None else subset.split)
    counts = [len(shard.offsets) for shard in shards]
    numbers = np.arange(sum(counts)) if subset is None else np.array(subset.records, np.int64)
    total = len(numbers)
    if start > total or (stop is not None and not start <= stop <= total):
      raise UserError(
        f"Split {split!r} of data set {self.name!r} selects records {start} to "
        f"{'the end' if stop is None else stop}, but {name!r} has {total}."
      )
    numbers = numbers[start:stop]
    ids = [example_id for shard in shards for example_id in shard.ids]
    replaced = [shard.sound_replaced for shard in shards]
    known = bool(shards) and all(part is not None for part in replaced)
    return RecordTable(
      numbers=numbers,
      files=[shard.file for shard in shards],
      file_numbers=np.repeat(np.arange(len(shards), dtype=np.int64), counts)[numbers],
      offsets=_joined([shard.offsets for shard in shards], np.int64)[numbers],
      ids=[ids[number] for number in numbers],
      labels=_joined([shard.labels for shard in shards], np.int64)[numbers],
      sound_replaced=_joined(replaced, bool)[numbers] if known else None,
    )

  def shards(self, split: str) -> Sequence[Shard]:
    """Shards of a whole split.

    Args:
      split: name of a split; subsets and slices are not accepted.

    Returns:
      The shards, in order.

    Raises:
      UserError: the split does not exist.
    """
    if split not in self.splits:
      subsets = f" It has the subsets {sorted(self.subsets)}." if self.subsets else ""
      raise UserError(
        f"Data set {self.name!r} has no split {split!r}. It has: {sorted(self.splits)}.{subsets}"
      )
    return self.splits[split]

  def save(self, data_dir: str) -> None:
    """Writes `dataset_info.json` atomically.

    Args:
      data_dir: folder of the data set.
    """
    path = os.path.join(data_dir, FILE_NAME)
    content = dataclasses.asdict(self)
    # Data sets without flow keep the bytes that earlier versions wrote.
    if not self.flow:
      del content["flow"]
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
      json.dump(content, f, indent=1, sort_keys=True)
      f.write("\n")

  @classmethod
  def load(cls, data_dir: str) -> "DatasetInfo":
    """Reads `dataset_info.json`.

    Args:
      data_dir: folder of the data set.

    Returns:
      The contents of the file.

    Raises:
      MissingFileError: `data_dir` has no `dataset_info.json`, so it contains no finished data set.
      UserError: the file is invalid or was written by another version.
    """
    path = os.path.join(data_dir, FILE_NAME)
    if not os.path.exists(path):
      raise MissingFileError(
        f"No {FILE_NAME} in {data_dir!r}: there is no (finished) data set. Build one with "
        "`python tools/make_tfrecords.py`; rerun an interrupted build to resume it."
        f"{_why_absent(data_dir)}"
      )
    try:
      content = read_json(path)
      content["splits"] = {
        name: [Shard(**shard) for shard in shards] for name, shards in content["splits"].items()
      }
      content["subsets"] = {
        name: Subset(**subset) for name, subset in content["subsets"].items()
      }
      return cls(**content)
    except (KeyError, TypeError, AttributeError, JsonError) as error:
      raise UserError(
        f"{path} is not a valid {FILE_NAME} for this version ({error!r}): build the data set again."
      ) from error
    except ValueError as error:
      raise UserError(f"{path}: {error}") from error


def _joined(parts: Sequence[Sequence], dtype) -> np.ndarray:
  return np.concatenate([np.zeros(0, dtype)] + [np.array(part, dtype) for part in parts])


def _why_absent(data_dir: str) -> str:
  """Possible reason why a folder is missing, as a sentence; "" if there is no guess."""
  if local_paths.is_address(data_dir):
    return " This is a URL; expected a local or mounted folder."
  other = local_paths.spelled_otherwise(data_dir)
  return f" {other!r} exists, whose accents are composed differently." if other else ""
