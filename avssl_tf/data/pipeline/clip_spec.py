"""Parts of a clip that a model reads, and random changes to them in training."""

import dataclasses
from typing import Optional

import gin

from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.errors import UserError


@gin.register
@dataclasses.dataclass(frozen=True)
class ClipSpec:
  """Parts of a clip that a model reads.

  Attributes:
    num_frames: number of frames.
    frame_rate_hz: rate of the frames; the nearest stored frames are used.
    frame_size: height and width of the frames in pixels; for a panorama, its height.
    audio_sec: duration of the audio.
    max_offset_sec: in training, maximum distance between the centres of the frame window and the
      audio window. (audio_sec - video_sec) / 2 keeps the frames within the audio window; s more
      lets them extend s seconds beyond either end. In evaluation the centres coincide unless the
      ends of the clip prevent it.
    sample_rate_hz: sample rate of the audio, which is resampled if it is stored at another rate;
      None uses the stored rate.
    repeat_frames: whether to repeat the frames of a clip that is shorter than the frame window. If
      not, such a clip is an error.
    whole_picture: for ordinary clips, whether evaluation uses the whole image instead of its
      centre, resized to a square, as in sound source localisation.
    boxes: for ordinary clips, whether evaluation reads the bounding boxes of sound sources.
    viewpoints: for 360° clips, how to choose the viewpoints of a clip; None for ordinary clips and
      panoramas.
    masks: for viewpoints of 360° clips, whether to read the class of each pixel of the middle
      frame.
    panorama: for 360° clips, whether to read the whole equirectangular frames and the sound field
      instead of viewpoints. The windows of frames and audio then have the same centre, in training
      too, regardless of `max_offset_sec`, so that the audio of a moving source matches its visible
      direction.
    flow: for panoramas, whether to read the optical flow images, see `optical_flow.flow_pictures`.
      The records must contain them. Flow is between adjacent stored frames, regardless of
      `frame_rate_hz`.

  Raises:
    UserError: a value is out of range, or settings exclude each other.

  Examples:
    >>> from avssl_tf.data import ClipSpec
    >>> clip = ClipSpec(num_frames=8, frame_rate_hz=16, audio_sec=2.0)
    >>> clip.video_sec, clip.num_samples(24000)
    (0.5, 48000)
  """

  num_frames: int = 8
  frame_rate_hz: float = 16.0
  frame_size: int = 112
  audio_sec: float = 2.0
  max_offset_sec: float = 0.5
  sample_rate_hz: Optional[int] = None
  repeat_frames: bool = False
  whole_picture: bool = False
  boxes: bool = False
  viewpoints: Optional[ViewpointSpec] = None
  masks: bool = False
  panorama: bool = False
  flow: bool = False

  def __post_init__(self):
    for name in ("num_frames", "frame_rate_hz", "frame_size", "audio_sec", "sample_rate_hz"):
      if getattr(self, name) is not None and not getattr(self, name) > 0:
        raise UserError(f"ClipSpec.{name} is {getattr(self, name)}; expected more than 0.")
    if not self.max_offset_sec >= 0:
      raise UserError(f"ClipSpec.max_offset_sec is {self.max_offset_sec}; expected 0 or more.")
    if self.masks and self.viewpoints is None:
      raise UserError("ClipSpec.masks requires 360° clips: set ClipSpec.viewpoints as well.")
    if self.panorama and self.viewpoints is not None:
      raise UserError(
        "ClipSpec.panorama and ClipSpec.viewpoints exclude each other: unset one of them."
      )
    if (self.boxes or self.whole_picture) and (self.panorama or self.viewpoints is not None):
      name = "boxes" if self.boxes else "whole_picture"
      raise UserError(
        f"ClipSpec.{name} requires ordinary clips: unset ClipSpec.viewpoints and panorama."
      )
    if self.flow and not self.panorama:
      raise UserError("ClipSpec.flow requires panoramas: set ClipSpec.panorama as well.")

  @property
  def video_sec(self) -> float:
    """Duration of the frame window in seconds."""
    return self.num_frames / self.frame_rate_hz

  def num_samples(self, sample_rate_hz: float) -> int:
    """Number of samples of the audio window.

    Args:
      sample_rate_hz: sample rate of the audio.

    Returns:
      The number of samples, rounded to the nearest integer.
    """
    return round(self.audio_sec * sample_rate_hz)

  def output_rate_hz(self, stored_rate_hz: int) -> int:
    """Sample rate of the audio that the model receives.

    Args:
      stored_rate_hz: sample rate of the stored audio.

    Returns:
      `sample_rate_hz` if it is set, otherwise `stored_rate_hz`.
    """
    return self.sample_rate_hz or stored_rate_hz


@gin.register
@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Random changes to training clips, the same for all frames of a clip or a viewpoint.

  The defaults are those of AVID (Morgado, Vasconcelos, Misra, CVPR 2021).

  Attributes:
    crop_area: bounds of the area of a crop, as a fraction of the image.
    crop_aspect: bounds of the width / height of a crop.
    flip_probability: probability of a horizontal flip, 0..1.
    brightness: maximum deviation of the brightness factor from 1, 0..1.
    contrast: maximum deviation of the contrast factor from 1, 0..1.
    saturation: maximum deviation of the saturation factor from 1, 0..1.
    hue: maximum rotation of the hue in either direction, as a fraction of the full circle, 0..0.5.
    volume: bounds of the factor of the audio.
    turn_sound: for viewpoints of 360° clips, whether to rotate the audio by a random yaw, out of
      line with the video, so that directions cannot be learned.
    color_each_view: for viewpoints, whether each viewpoint of a clip has separate colour changes,
      as published (Morgado, Li, Vasconcelos, NeurIPS 2020), rather than the same changes for all.
    turn_scene: for panoramas, whether to rotate video and audio together by a random yaw, in whole
      columns of pixels. The only other changes to panoramas are those of colours and volume.

  Raises:
    UserError: a value is out of range.
  """

  crop_area: tuple[float, float] = (0.08, 1.0)
  crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
  flip_probability: float = 0.5
  brightness: float = 0.4
  contrast: float = 0.4
  saturation: float = 0.4
  hue: float = 0.2
  volume: tuple[float, float] = (0.9, 1.1)
  turn_sound: bool = False
  color_each_view: bool = False
  turn_scene: bool = False

  def __post_init__(self):
    limits = {"flip_probability": 1, "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5}
    for name, limit in limits.items():
      if not 0 <= getattr(self, name) <= limit:
        raise UserError(f"Augmentation.{name} is {getattr(self, name)}; expected 0..{limit}.")
    for name in ("crop_area", "crop_aspect", "volume"):
      low, high = getattr(self, name)
      if not 0 < low <= high or (name == "crop_area" and high > 1):
        bound = " <= 1" if name == "crop_area" else ""
        raise UserError(
          f"Augmentation.{name} is {(low, high)}; expected (low, high), 0 < low <= high{bound}."
        )
