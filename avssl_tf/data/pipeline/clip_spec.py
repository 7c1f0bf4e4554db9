"""What is taken of a clip, and how it is changed at random in training."""

import dataclasses
from typing import Optional

import gin

from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.errors import UserError


@gin.register
@dataclasses.dataclass(frozen=True)
class ClipSpec:
  """What a model gets to see and hear of a clip.

  Attributes:
    num_frames: number of frames.
    frame_rate_hz: rate of the frames; the nearest stored ones are taken.
    frame_size: height and width of the frames, in pixels; of a panorama, its height.
    audio_sec: duration of the sound.
    max_offset_sec: how far the centre of the frames' window may be from that of the sound's
      in training: (audio_sec - video_sec) / 2 keeps the frames inside the sound, and s more lets
      them reach s seconds beyond either edge of it. In evaluation the centres coincide where the
      clip's ends allow.
    sample_rate_hz: rate of the sound, to which stored sound of another rate is converted; None
      takes it as it is stored.
    repeat_frames: whether the frames of a clip that has too few of them begin anew, as often as
      it takes. If not, such a clip is an error.
    whole_picture: of ordinary clips, whether all of the picture is shown in evaluation, squeezed to
      a square as where sound sources are localised, in place of its centre.
    boxes: of ordinary clips, whether in evaluation the boxes of what sounds are wanted as well.
    viewpoints: of 360° clips, how to choose the views that stand for a clip; None for ordinary
      ones.
    masks: of 360° clips, whether the class of each pixel of the middle frame is wanted as well.
    panorama: of 360° clips, whether their equirectangular frames and their sound field are wanted
      as they are, in place of viewpoints. The sound has its middle where the frames have theirs,
      in training too, whatever `max_offset_sec`: a source that moves is heard from where it is
      seen.
    flow: of panoramas, whether pictures of their optical flow are wanted as well, as
      `optical_flow.flow_pictures` makes them. It is that between neighbouring stored frames,
      whatever the rate of the frames wanted, and the records must hold it.
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
      raise UserError("ClipSpec.masks are of 360° clips: set ClipSpec.viewpoints as well.")
    if self.panorama and self.viewpoints is not None:
      raise UserError(
        "ClipSpec.panorama and ClipSpec.viewpoints are both set: a clip is seen either whole or "
        "from viewpoints. Leave one of them out."
      )
    if (self.boxes or self.whole_picture) and (self.panorama or self.viewpoints is not None):
      name = "boxes" if self.boxes else "whole_picture"
      raise UserError(
        f"ClipSpec.{name} is of ordinary clips: leave out ClipSpec.viewpoints and panorama."
      )
    if self.flow and not self.panorama:
      raise UserError("ClipSpec.flow is of whole 360° clips: set ClipSpec.panorama as well.")

  @property
  def video_sec(self) -> float:
    """Duration of the frames' window."""
    return self.num_frames / self.frame_rate_hz

  def num_samples(self, sample_rate_hz: float) -> int:
    """Number of samples of the sound's window at a rate."""
    return round(self.audio_sec * sample_rate_hz)

  def output_rate_hz(self, stored_rate_hz: int) -> int:
    """Rate of the sound that the model gets of sound stored at `stored_rate_hz`."""
    return self.sample_rate_hz or stored_rate_hz


@gin.register
@dataclasses.dataclass(frozen=True)
class Augmentation:
  """Random changes to training clips; the same for all frames of a clip, or of a view.

  The defaults are those of AVID (Morgado, Vasconcelos, Misra, CVPR 2021).

  Attributes:
    crop_area: bounds of the share of the image that a crop covers.
    crop_aspect: bounds of a crop's width / height.
    flip_probability: share of clips that are mirrored.
    brightness: factor drawn from 1 +- this, 0..1.
    contrast: factor drawn from 1 +- this, 0..1.
    saturation: factor drawn from 1 +- this, 0..1.
    hue: turn, as a share of the full circle, drawn from +- this, 0..0.5.
    volume: bounds of the factor of the sound.
    turn_sound: of 360° clips, whether the sound is turned to the left by any angle, out of line
      with the picture, so that nothing of direction can be learnt.
    color_each_view: of viewpoints, whether each view of a clip gets colours of its own, as
      published (Morgado, Li, Vasconcelos, NeurIPS 2020), rather than all views the same.
    turn_scene: of panoramas, whether picture and sound are turned to the left together, by any
      angle of whole columns of pixels. Nothing else is changed in them but colours and volume.
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
