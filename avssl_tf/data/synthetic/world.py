"""What all synthetic worlds have in common."""

from typing import Optional, Protocol

import numpy as np

from avssl_tf.data.clip_content import Content


class World(Protocol):
  """A seeded set of clips with known truth; every clip is a pure function of its fields.

  Implementations are frozen dataclasses: their fields are what a data set is built with.

  Attributes:
    name: short name, of the data set and of the paths of its clips.
    frame_rate_hz: of the frames.
    sample_rate_hz: of the sound.
    num_channels: of the sound.
    clip_duration_sec: of each clip.
    projection: `"equirectangular"` for 360° frames, `None` for ordinary ones.
    label_names: names of the classes in the order of their labels.
  """

  name: str
  frame_rate_hz: float
  sample_rate_hz: int
  num_channels: int
  clip_duration_sec: float
  projection: Optional[str]
  label_names: list[str]

  def num_clips(self, split: str) -> int:
    """Number of clips of `"train"` or `"test"`; raises ValueError for other splits."""

  def content(self, split: str, index: int) -> Content:
    """Renders the clip number `index` of `split`, with its truth."""


def frame_times_us(num_frames: int, frame_rate_hz: float) -> np.ndarray:
  """Times of evenly spaced frames from 0 on, in whole microseconds: int64 `[num_frames]`."""
  return np.round(np.arange(num_frames) * (1e6 / frame_rate_hz)).astype(np.int64)
