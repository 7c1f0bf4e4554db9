"""A clip on its way into a data set: what is planned, what was read, what failed."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Optional, Protocol

import numpy as np

from avssl_tf.data.media.media_limits import MediaError

# The projection of 360° frames.
EQUIRECTANGULAR = "equirectangular"


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
class ObjectTracks:
  """Where the objects of a 360° clip are, the sounding ones first.

  Attributes:
    labels: int64 `[objects]`, their classes.
    is_sounding: bool `[objects]`, whether they are heard.
    azimuth_rad: float32 `[T, objects]`, counter-clockwise from the front, -pi..pi.
    elevation_rad: float32 `[T, objects]`, up.
  """

  labels: np.ndarray
  is_sounding: np.ndarray
  azimuth_rad: np.ndarray
  elevation_rad: np.ndarray


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
    projection: `"equirectangular"` where the frames show all directions; the sound is
      ambisonics then, in ACN order with SN3D weights.
    tracks: where objects are in the frames; `None` where unknown.
    masks: uint8 `[T, H, W]`, the class of each pixel of the frames (0..255, 255 where it counts
      for nothing); `None` where unknown.
    flow: uint8 `[T, H, W, 3]`, pictures of the optical flow of 360° frames, as
      `optical_flow.flow_pictures` makes them; `None` where it is not asked for.
  """

  frames: Optional[np.ndarray]
  timestamps_us: Optional[np.ndarray]
  waveform: Optional[np.ndarray]
  boxes: Optional[np.ndarray] = None
  label: Optional[str] = None
  sound_replaced: Optional[bool] = None
  projection: Optional[str] = None
  tracks: Optional[ObjectTracks] = None
  masks: Optional[np.ndarray] = None
  flow: Optional[np.ndarray] = None


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
  """The `Failure.reason` of what went wrong with a file."""
  if isinstance(error, MediaError):
    return str(error)
  if isinstance(error, MemoryError):
    return f"out of memory: {error}"
  if isinstance(error, OSError):
    return f"cannot be read: {error.strerror or error}"
  return f"unexpected {type(error).__name__}: {error}"


class Probed(NamedTuple):
  """What a reader knows of a file before it decodes it.

  Attributes:
    duration_sec: of the common span of picture and sound.
    num_channels: of the sound; 0 where it is not asked for.
    notes: what the user should know of how the file is read.
  """

  duration_sec: float
  num_channels: int
  notes: Sequence[str] = ()


class Reader(Protocol):
  """Gets clips out of files, or out of nothing. Pickled for each worker process.

  Attributes:
    frame_rate_hz: of the frames that `read` returns.
    sample_rate_hz: of the sound.
    num_channels: of the sound; `None`: as many as the file has.
    projection: of the frames: `None` for ordinary ones, `"equirectangular"` for 360°.
    needs_probe: whether a path must be probed before clips of it are planned.
  """

  frame_rate_hz: float
  sample_rate_hz: int
  num_channels: Optional[int]
  projection: Optional[str]
  needs_probe: bool

  def probe(self, path: str, modalities: Sequence[str]) -> Probed:
    """What is known of a file; raises `MediaError`."""

  def read(self, clip: PlannedClip, modalities: Sequence[str]) -> Content:
    """The content of a clip, of the modalities asked for; raises `MediaError`."""
