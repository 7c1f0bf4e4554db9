"""`dataset_info.json`: what a folder of records holds and how it was built."""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from avssl_tf import keys, local_paths
from avssl_tf.data.records.split_names import check_name, is_plain_name, parse_split
from avssl_tf.errors import MissingFileError, UserError
from avssl_tf.files import JsonError, read_json, whole_file

FILE_NAME = "dataset_info.json"

# Clip n of a demo world is drawn at random, whatever n is.
_SHUFFLED_SOURCES = ("demo", "demo360")


def sample_positions(total: int, count: int, is_shuffled: bool) -> np.ndarray:
  """Which of `total` records represent all of them, where no more than `count` are wanted.

  Args:
    total: number of records.
    count: records wanted; all, where there are fewer.
    is_shuffled: whether the records are in a random order.

  Returns:
    int64 `[min(total, count)]`, increasing: the first ones of a random order; of any other, in
    which neighbours may be of one class or one video, records spread evenly.
  """
  positions = np.arange(min(total, count), dtype=np.int64)
  return positions if is_shuffled or not len(positions) else positions * total // len(positions)


@dataclasses.dataclass
class Shard:
  """One record file.

  Attributes:
    file: name relative to the data set's folder.
    offsets: byte offset of each record in the file; its length is the number
      of records. Offsets make records addressable, which is what sampling
      without a shuffle buffer and resuming at any step rest on.
    ids: id of each record (`example/id`).
    labels: first label of each record, -1 where it has none.
    sound_replaced: whether the sound of each record is that of another clip;
      `None` where nobody knows, as in all data but synthetic worlds.
  """

  file: str
  offsets: list[int]
  ids: list[str]
  labels: list[int]
  sound_replaced: Optional[list[bool]] = None

  def __post_init__(self):
    if not is_plain_name(self.file):
      raise UserError(
        f"A shard is the file {self.file!r}; expected the name of a file in the folder of the data "
        "set itself."
      )
    counts = [len(part) for part in (self.offsets, self.ids, self.labels)]
    if self.sound_replaced is not None:
      counts.append(len(self.sound_replaced))
    if len(set(counts)) != 1:
      raise UserError(
        f"{self.file} has offsets, ids, labels and marks of replaced sound of {counts} records; "
        "expected the same number of each: build the data set again."
      )


@dataclasses.dataclass
class Subset:
  """A named selection of the records of a split, such as one side of a fold.

  Attributes:
    split: name of the split.
    records: numbers of its records within the split, increasing.
  """

  split: str
  records: list[int]


@dataclasses.dataclass(frozen=True)
class RecordTable:
  """Where the records of a split, a subset, or a slice of either, are, and what is known of them.

  Attributes:
    numbers: int64 `[N]`, number of each record within its whole split: its `clip/index`.
    files: names of the files relative to the data set's folder.
    file_numbers: int64 `[N]`, the file of each record, as a position in `files`.
    offsets: int64 `[N]`, byte offset of each record in its file.
    ids: id of each record.
    labels: int64 `[N]`, first label of each record, -1 where it has none.
    sound_replaced: bool `[N]`, whether its sound is that of another clip; `None` where nobody
      knows.
  """

  numbers: np.ndarray
  files: list[str]
  file_numbers: np.ndarray
  offsets: np.ndarray
  ids: list[str]
  labels: np.ndarray
  sound_replaced: Optional[np.ndarray]


@dataclasses.dataclass
class DatasetInfo:
  """Contents of `dataset_info.json`.

  Attributes:
    name: name of the data set.
    splits: shards of each split, e.g. `{"train": [Shard, ...], "test": [...]}`.
    subsets: named selections of records, which may overlap, such as `{"train1": Subset,
      "test1": Subset, "train2": ...}`. What takes the name of a split takes theirs.
    frame_rate_hz: rate of the stored frames; 0 where there are none.
    frame_size: nominal `[height, width]` of stored frames; `[0, 0]` where
      sizes vary from clip to clip or there are no frames.
    sample_rate_hz: rate of the stored sound; 0 where there is none.
    num_channels: number of sound channels, likewise.
    clip_duration_sec: nominal duration of a clip.
    modalities: what the records hold: "video", "audio", or both.
    label_names: names of the classes in order of their index; empty where the
      data has no labels.
    spectrogram_statistics: per-bin `{"mean": [...], "std": [...]}` of the
      training split, by the id of the spectrogram (`Spectrogram.id`).
    build: how the data set was built (source, flags, versions).
    projection: `None` for ordinary frames; `"equirectangular"` where they show all directions
      and the sound is ambisonics (ACN/SN3D).
    flow: whether records hold the optical flow of their frames; not in the file where they do not.
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
          f"Data set {self.name!r} has a subset {name!r} of split {subset.split!r}; expected a "
          f"name that no split has, and one of the splits {sorted(self.splits)}."
        )
      total = sum(len(shard.offsets) for shard in self.splits[subset.split])
      if np.any(np.diff(numbers) <= 0) or np.any(numbers < 0) or np.any(numbers >= total):
        raise UserError(
          f"Subset {name!r} of data set {self.name!r} is not made of increasing numbers of the "
          f"{total} records of split {subset.split!r}: build the data set again."
        )

  @property
  def is_shuffled(self) -> bool:
    """Whether the records are in a random order, so that the first ones are a sample of all."""
    return bool(self.build.get("shuffle")) or self.build.get("source") in _SHUFFLED_SOURCES

  def test_split(self, wanted: str = "test") -> Optional[str]:
    """What to measure a network on where `wanted` is asked for, but may not be there.

    Returns:
      `wanted`, unless it is "test" and the data has none: then "validation"; None where it does not
      have that either.
    """
    there = {*self.splits, *self.subsets}
    if wanted != "test" or wanted in there:
      return wanted
    return "validation" if "validation" in there else None

  def num_clips(self, split: str) -> int:
    """Number of records in `split`, which may be a subset or a slice such as `"train[:3584]"`.

    Raises:
      UserError: as `records`.
    """
    return len(self.records(split).offsets)

  def records(self, split: str) -> RecordTable:
    """The records of `split`: a split or subset, or a slice of one such as `"train[:3584]"`.

    Raises:
      UserError: the data set has no such split or subset, or it does not have the records of
        the slice.
    """
    name, start, stop = parse_split(split)
    subset = self.subsets.get(name)
    shards = self.shards(name if subset is None else subset.split)
    counts = [len(shard.offsets) for shard in shards]
    numbers = np.arange(sum(counts)) if subset is None else np.array(subset.records, np.int64)
    total = len(numbers)
    if start > total or (stop is not None and not start <= stop <= total):
      raise UserError(
        f"Split {split!r} of data set {self.name!r} asks for records {start} to "
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
    """Shards of the whole split `split`, in order.

    Raises:
      UserError: the data set has no such split.
    """
    if split not in self.splits:
      subsets = f" It has the subsets {sorted(self.subsets)}." if self.subsets else ""
      raise UserError(
        f"Data set {self.name!r} has no split {split!r}. It has: {sorted(self.splits)}.{subsets}"
      )
    return self.splits[split]

  def save(self, data_dir: str) -> None:
    """Writes `dataset_info.json` into `data_dir`, atomically."""
    path = os.path.join(data_dir, FILE_NAME)
    content = dataclasses.asdict(self)
    # The same bytes as before there was any flow.
    if not self.flow:
      del content["flow"]
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
      json.dump(content, f, indent=1, sort_keys=True)
      f.write("\n")

  @classmethod
  def load(cls, data_dir: str) -> "DatasetInfo":
    """Reads `dataset_info.json` from `data_dir`.

    Raises:
      MissingFileError: no finished data set in `data_dir`.
      UserError: the file is not what this version writes.
    """
    path = os.path.join(data_dir, FILE_NAME)
    if not os.path.exists(path):
      raise MissingFileError(
        f"No {FILE_NAME} in {data_dir!r}: there is no (finished) data set. Build one with "
        "`python tools/make_tfrecords.py`; an interrupted build goes on when started again."
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
        f"{path} is not a {FILE_NAME} of this version ({error!r}): build the data set again."
      ) from error
    except ValueError as error:
      raise UserError(f"{path}: {error}") from error


def _joined(parts: Sequence[Sequence], dtype) -> np.ndarray:
  return np.concatenate([np.zeros(0, dtype)] + [np.array(part, dtype) for part in parts])


def _why_absent(data_dir: str) -> str:
  """What may be wrong with the name of a folder that is not there; "" where nothing is known."""
  if local_paths.is_address(data_dir):
    return " That is an address; expected a local folder, or a mounted one."
  other = local_paths.spelled_otherwise(data_dir)
  return f" {other!r} is there, which differs in how accents are composed." if other else ""
