"""Interface of the synthetic worlds."""

from typing import Optional, Protocol

import numpy as np

from avssl_tf.data.clip_content import Content


class World(Protocol):
  """A seeded set of clips with ground truth; every clip is a pure function of the fields.

  Implementations are frozen dataclasses; their fields are stored with the data set.

  Attributes:
    name: short name of the data set, also used in the paths of its clips.
    frame_rate_hz: rate of the frames.
    sample_rate_hz: sample rate of the audio.
    num_channels: number of audio channels.
    clip_duration_sec: duration of each clip.
    projection: `"equirectangular"` for 360° frames, `None` for ordinary ones.
    label_names: class names in the order of their labels.
  """

  name: str
  frame_rate_hz: float
  sample_rate_hz: int
  num_channels: int
  clip_duration_sec: float
  projection: Optional[str]
  label_names: list[str]

  def num_clips(self, split: str) -> int:
    """Number of clips of `"train"` or `"test"`; raises `ValueError` for other splits."""

  def content(self, split: str, index: int) -> Content:
    """Renders clip `index` of `split`, with its ground truth."""


def frame_times_us(num_frames: int, frame_rate_hz: float) -> np.ndarray:
  """Times of evenly spaced frames starting at 0, in microseconds: int64 `[num_frames]`."""
  return np.round(np.arange(num_frames) * (1e6 / frame_rate_hz)).astype(np.int64)
