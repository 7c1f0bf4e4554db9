"""A clip on its way into a data set: what is planned, what was read, what failed."""

import dataclasses
from collections.abc import Sequence
from typing import Optional, Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class PlannedClip:
  """One clip to be built.

  Attributes:
    request: number of the request that it belongs to.
    split: "train", "test", ...
    path: the source file.
    media_id: stable name of the source.
    labels: class names, the first one the main one; empty where unknown so far.
    start_us: start in the source, in microseconds.
    end_us: end in the source.
  """

  request: int
  split: str
  path: str
  media_id: str
  labels: tuple[str, ...]
  start_us: int
  end_us: int

  @property
  def key(self) -> tuple[int, int, int]:
    """Names the clip among all of a build."""
    return (self.request, self.start_us, self.end_us)

  @property
  def example_id(self) -> str:
    """Stable name of the clip for readers: the source and the start in seconds."""
    return f"{self.media_id}@{self.start_us / 1e6:.3f}"


@dataclasses.dataclass(frozen=True)
class Content:
  """What is seen and heard in a clip.

  Attributes:
    frames: uint8 `[T, H, W, 3]`, RGB; `None` where pictures are not asked for.
    timestamps_us: int64 `[T]`, from the clip's start, strictly increasing; likewise.
    waveform: float32 `[samples, channels]` in -1..1; `None` where sound is not asked for.
    boxes: float32 `[T, 4]` (ymin, xmin, ymax, xmax in 0..1) of what sounds; `None` where
      unknown.
    label: class name, where only reading tells it.
    sound_replaced: whether the sound is that of another clip; `None` where nobody knows.
  """

  frames: Optional[np.ndarray]
  timestamps_us: Optional[np.ndarray]
  waveform: Optional[np.ndarray]
  boxes: Optional[np.ndarray] = None
  label: Optional[str] = None
  sound_replaced: Optional[bool] = None


@dataclasses.dataclass(frozen=True)
class Failure:
  """Something asked for that is not in the data set, and why.

  Attributes:
    path: the source file.
    start_sec: start of what was asked for; `None`: that of the file.
    end_sec: its end, likewise.
    reason: the kind of failure, then a colon and what is special to this one, if anything.
  """

  path: str
  start_sec: Optional[float]
  end_sec: Optional[float]
  reason: str


def reason_of(error: Exception) -> str:
  """The `Failure.reason` of a `MediaError` or an `OSError`."""
  if isinstance(error, OSError):
    return f"cannot be read: {error.strerror or error}"
  return str(error)


class Reader(Protocol):
  """Gets clips out of files, or out of nothing. Pickled for each worker process.

  Attributes:
    frame_rate_hz: of the frames that `read` returns.
    sample_rate_hz: of the sound.
    num_channels: of the sound; `None`: as many as the file has.
    needs_probe: whether a path must be probed before clips of it are planned.
  """

  frame_rate_hz: float
  sample_rate_hz: int
  num_channels: Optional[int]
  needs_probe: bool

  def probe(self, path: str, modalities: Sequence[str]) -> tuple[float, int]:
    """Duration in seconds and number of sound channels; raises `MediaError`."""

  def read(self, clip: PlannedClip, modalities: Sequence[str]) -> Content:
    """The content of a clip, of the modalities asked for; raises `MediaError`."""
