"""What a source asks to be built."""

import dataclasses
from typing import Optional

# Spellings of the splits that sources recognise, and the name that each stands for.
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
  """One file, or one span of it, to be read into records.

  Attributes:
    split: name of the split that it belongs to, "train" where none is given.
    path: file to read.
    start_sec: start of the span; None stands for the start of the file.
    end_sec: end of the span; None stands for the end of the file. What is
      long is cut into clips.
    labels: names of its classes, the main one first; empty where there is none.
    media_id: name of the file for records and reports: its path relative to
      the input, or to the folder of the media in it, with forward slashes.
  """

  split: str
  path: str
  start_sec: Optional[float]
  end_sec: Optional[float]
  labels: tuple[str, ...]
  media_id: str
