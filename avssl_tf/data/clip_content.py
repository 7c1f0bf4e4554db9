"""A clip during a build: its plan, its content and its failure."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Optional, Protocol

import numpy as np

from avssl_tf.data.media.media_limits import MediaError

# The projection of 360° frames.
EQUIRECTANGULAR = "equirectangular"


@dataclasses.dataclass(frozen=True)
class PlannedClip:
  """One clip to build.

  Attributes:
    request: number of its request.
    split: "train", "test", ...
    path: the source file.
    media_id: stable id of the source.
    labels: class names, the main one first; empty if not yet known.
    start_us: start in the source, in microseconds.
    end_us: end in the source, in microseconds.
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
    """Unique key of the clip within a build."""
    return (self.request, self.start_us, self.end_us)

  @property
  def example_id(self) -> str:
    """Stable id of the clip for readers: the source and the start in seconds."""
    return f"{self.media_id}@{self.start_us / 1e6:.3f}"


@dataclasses.dataclass(frozen=True)
class ObjectTracks:
  """Positions of the objects of a 360° clip, sounding ones first.

  Attributes:
    labels: int64 `[objects]`, class of each object.
    is_sounding: bool `[objects]`, whether each object emits sound.
    azimuth_rad: float32 `[T, objects]`, counter-clockwise from the front, -pi..pi.
    elevation_rad: float32 `[T, objects]`, up.
  """

  labels: np.ndarray
  is_sounding: np.ndarray
  azimuth_rad: np.ndarray
  elevation_rad: np.ndarray


@dataclasses.dataclass(frozen=True)
class Content:
  """Frames, audio and ground truth of a clip.

  Attributes:
    frames: uint8 `[T, H, W, 3]`, RGB; `None` if video is not requested.
    timestamps_us: int64 `[T]`, microseconds from the start of the clip, strictly increasing; `None`
      if video is not requested.
    waveform: float32 `[samples, channels]` in -1..1; `None` if audio is not requested.
    boxes: float32 `[T, 4]` (ymin, xmin, ymax, xmax in 0..1) of the sound source; `None` if unknown.
    label: class name, if it is known only after reading.
    sound_replaced: whether the audio comes from another clip; `None` if unknown.
    projection: `"equirectangular"` for 360° frames; the audio is then ambisonics in ACN order with
      SN3D weights.
    tracks: positions of the objects; `None` if unknown.
    masks: uint8 `[T, H, W]`, class of each pixel (0..254, 255 for unlabelled pixels); `None` if
      unknown.
    flow: uint8 `[T, H, W, 3]`, optical flow images of 360° frames, see
      `optical_flow.flow_pictures`; `None` if not requested.
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
  """A requested clip or file that is missing in the data set, and the reason.

  Attributes:
    path: the source file.
    start_sec: start of the requested span; `None` for the start of the file.
    end_sec: end of the requested span; `None` for the end of the file.
    reason: kind of failure, optionally followed by a colon and details.
  """

  path: str
  start_sec: Optional[float]
  end_sec: Optional[float]
  reason: str


def reason_of(error: Exception) -> str:
  """`Failure.reason` for an error while reading a file."""
  if isinstance(error, MediaError):
    return str(error)
  if isinstance(error, MemoryError):
    return f"out of memory: {error}"
  if isinstance(error, OSError):
    return f"cannot be read: {error.strerror or error}"
  return f"unexpected {type(error).__name__}: {error}"


class Probed(NamedTuple):
  """Metadata that a reader finds in a file without decoding it.

  Attributes:
    duration_sec: duration of the span that video and audio have in common.
    num_channels: number of audio channels; 0 if audio is not requested.
    notes: notes for the user on how the file is read.
  """

  duration_sec: float
  num_channels: int
  notes: Sequence[str] = ()


class Reader(Protocol):
  """Reads clips from files or generates them. Pickled for each worker process.

  Attributes:
    frame_rate_hz: rate of the frames that `read` returns.
    sample_rate_hz: sample rate of the audio.
    num_channels: number of audio channels; `None` keeps those of the file.
    projection: projection of the frames: `None` for ordinary ones, `"equirectangular"` for 360°.
    needs_probe: whether a path must be probed before its clips are planned.
  """

  frame_rate_hz: float
  sample_rate_hz: int
  num_channels: Optional[int]
  projection: Optional[str]
  needs_probe: bool

  def probe(self, path: str, modalities: Sequence[str]) -> Probed:
    """Reads the metadata of a file; raises `MediaError`."""

  def read(self, clip: PlannedClip, modalities: Sequence[str]) -> Content:
    """Reads the requested modalities of a clip; raises `MediaError`."""
