"""A request of a source to build clips from a file."""

import dataclasses
from typing import Optional

# Recognised spellings of the splits, and their canonical names.
SPLIT_NAMES = {
  "train": "train",
  "training": "train",
  "val": "validation",
  "valid": "validation",
  "validate": "validation",
  "validation": "validation",
  "test": "test",
  "testing": "test",
}
DEFAULT_SPLIT = "train"


@dataclasses.dataclass(frozen=True)
class ClipRequest:
  """A file, or a span of it, to be built into records.

  Attributes:
    split: name of its split; "train" if none is given.
    path: file to read.
    start_sec: start of the span; None means the start of the file.
    end_sec: end of the span; None means the end of the file. Long spans are cut into clips.
    labels: names of its classes, the main one first; empty without labels.
    media_id: name of the file in records and reports: its path relative to the input folder, or to
      the media folder in it, with forward slashes.
  """

  split: str
  path: str
  start_sec: Optional[float]
  end_sec: Optional[float]
  labels: tuple[str, ...]
  media_id: str
