"""Converts a clip from its record to an example; base class of the kinds of clips.

A record is read (`StoredClip`). Windows of its audio and its frames are chosen, at random in
training and evenly in evaluation (`clip_windows`). The audio is cut and resampled, the frames of
the window are decoded, and both become what the kind of clip requires: an ordinary clip, viewpoints
of a 360° clip, or a panorama. Training augments them. An example has only the modalities of its
clip.
"""

import abc
from typing import Any, Optional

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import audio_ops, clip_windows, frame_ops
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.pipeline.clip_windows import Windows
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

# Positions of the random numbers in the vector of uniform draws of a clip.
AUDIO_START, VIDEO_START, FLIP, VOLUME = range(4)
NUM_COLORS = 4
COLOR = slice(4, 4 + NUM_COLORS)
CROP = slice(COLOR.stop, COLOR.stop + frame_ops.CROP_UNIFORMS)
YAW = CROP.stop


class ClipKind(abc.ABC):
  """A kind of clip, which converts records to examples.

  Random numbers come from the caller: an example is a pure function of them and of its record.

  Attributes:
    clip: parts of a clip to read.
  """

  def __init__(self, clip: ClipSpec):
    self.clip = clip

  @abc.abstractmethod
  def check(self, info: DatasetInfo, data_dir: str) -> None:
    """Raises a `UserError` unless the records of a data set are of this kind."""

  @abc.abstractmethod
  def num_uniforms(self, augmentation: Optional[Augmentation] = None) -> int:
    """Number of random numbers per example."""

  @property
  @abc.abstractmethod
  def frames_shape(self) -> list[int]:
    """Shape of `VIDEO` in an example."""

  @property
  def audio_axes(self) -> list[int]:
    """Leading axes of `AUDIO` in an example, before samples and channels."""
    return []

  def random_example(
    self,
    stored: StoredClip,
    augmentation: Optional[Augmentation],
    uniforms: Tensor,
    turn_sound: bool = False,
  ) -> keys.Batch:
    """Draws windows of a clip and augments them.

    Args:
      stored: the clip.
      augmentation: random changes; None disables them and uses the centre crop.
      uniforms: float64 `[num_uniforms(augmentation)]`, uniform in [0, 1).
      turn_sound: for viewpoints, whether to rotate the audio out of line with the frames even if
        `augmentation` does not.

    Returns:
      `VIDEO`: uint8 `frames_shape`, and `AUDIO`: float32 `[*audio_axes, samples, channels]`, if
      stored, and further entries of the kind.

    Raises:
      tf.errors.InvalidArgumentError: the clip is too short; the message names it.
    """
    windows = self._random_windows(stored, uniforms)
    turn_sound = turn_sound or (augmentation is not None and augmentation.turn_sound)
    return self._example(stored, windows, augmentation, uniforms, turn_sound)

  def even_example(
    self,
    stored: StoredClip,
    window: Tensor,
    num_windows: int,
    uniforms: Tensor,
    turn_sound: bool = False,
  ) -> keys.Batch:
    """Reads one of `num_windows` windows spread evenly over a clip, with the centre crop.

    Args:
      stored: the clip.
      window: int64 scalar, number of the window in 0..num_windows - 1.
      num_windows: number of windows.
      uniforms: as in `random_example`; used only for viewpoints, which are random here too.
      turn_sound: as in `random_example`.

    Returns:
      As in `random_example`, plus the ground truth of the kind.

    Raises:
      tf.errors.InvalidArgumentError: the clip is too short; the message names it.
    """
    windows = self._even_windows(stored, window, num_windows)
    example = self._example(stored, windows, None, uniforms, turn_sound)
    return {**example, **self._truth(stored, windows)}

  def zero_batch(self, sample_rate_hz: int, num_channels: int) -> keys.Batch:
    """A batch of two black, silent clips, used to build the variables of a network."""
    sound = [2, *self.audio_axes, self.clip.num_samples(sample_rate_hz), num_channels]
    return {
      keys.VIDEO: tf.zeros([2, *self.frames_shape], tf.uint8),
      keys.AUDIO: tf.zeros(sound),
    }

  def _example(
    self,
    stored: StoredClip,
    windows: Windows,
    augmentation: Optional[Augmentation],
    uniforms: Tensor,
    turn_sound: bool,
  ) -> keys.Batch:
    scene = self._scene(augmentation, uniforms)
    example = {}
    if windows.audio_start is not None:
      waveform = clip_windows.cut_waveform(stored, self.clip, windows.audio_start)
      if augmentation is not None:
        low, high = augmentation.volume
        waveform = audio_ops.scale_volume(waveform, low + (high - low) * uniforms[VOLUME])
      yaw = uniforms[YAW] if turn_sound and self._turns_sound else None
      example.update(self._heard(stored, waveform, scene, yaw))
    if windows.video_start is not None:
      places = self._places(stored, windows)
      encoded = clip_windows.take_frames(stored.frames, self.clip, places)
      example.update(self._seen(stored, encoded, places, scene, augmentation, uniforms))
    return example

  def _places(self, stored: StoredClip, windows: Windows) -> Tensor:
    """Positions of the frames of the window among the stored frames, int64 `[num_frames]`."""
    return windows.video_start + clip_windows.frame_offsets(stored, self.clip)

  # Whether the audio can be rotated out of line with the frames.
  _turns_sound = False

  def _random_windows(self, stored: StoredClip, uniforms: Tensor) -> Windows:
    return clip_windows.random_windows(
      stored, self.clip, uniforms[AUDIO_START], uniforms[VIDEO_START]
    )

  def _even_windows(self, stored: StoredClip, window: Tensor, num_windows: int) -> Windows:
    return clip_windows.even_windows(stored, self.clip, window, num_windows)

  def _scene(self, augmentation: Optional[Augmentation], uniforms: Tensor) -> Any:
    """Transformation that audio and frames share; None for none."""
    del augmentation, uniforms
    return None

  @abc.abstractmethod
  def _heard(
    self, stored: StoredClip, waveform: Tensor, scene: Any, yaw: Optional[Tensor]
  ) -> keys.Batch:
    """`AUDIO` and related entries, from the audio of the window: float32 `[samples, channels]`.

    `yaw`, a scalar in [0, 1), rotates the audio alone by this fraction of a circle.
    """

  @abc.abstractmethod
  def _seen(
    self,
    stored: StoredClip,
    encoded: list[Tensor],
    places: Tensor,
    scene: Any,
    augmentation: Optional[Augmentation],
    uniforms: Tensor,
  ) -> keys.Batch:
    """`VIDEO` and related entries, from the JPEG bytes of the frames of the window."""

  def _truth(self, stored: StoredClip, windows: Windows) -> keys.Batch:
    """Ground truth of a clip, as far as `ClipSpec` requests it."""
    del stored, windows
    return {}


def color_jitter(frames: Tensor, augmentation: Augmentation, uniforms: Tensor) -> Tensor:
  """Applies random colour changes to frames.

  Args:
    frames: float32 `[num_frames, H, W, 3]` in 0..255.
    augmentation: ranges of the changes.
    uniforms: float64 `[NUM_COLORS]`, uniform in [0, 1).

  Returns:
    float32, same shape as `frames`; may exceed 0..255.
  """
  spread = [getattr(augmentation, name) for name in ("brightness", "contrast", "saturation", "hue")]
  drawn = tf.cast(2 * uniforms - 1, tf.float32) * spread
  brightness, contrast, saturation, hue = tf.unstack(drawn + [1.0, 1.0, 1.0, 0.0])
  return frame_ops.color_jitter(frames, brightness, contrast, saturation, hue)


def recolored(frames: Tensor, augmentation: Augmentation, uniforms: Tensor) -> Tensor:
  """Applies the same random colour changes to decoded frames, uint8 `[..., H, W, 3]`."""
  flat = tf.reshape(frames, [-1, *frames.shape[-3:]])
  flat = color_jitter(tf.cast(flat, tf.float32), augmentation, uniforms)
  return tf.reshape(frame_ops.to_uint8(flat), frames.shape)


def check_spherical(info: DatasetInfo, data_dir: str, field: str) -> None:
  """Raises a `UserError` unless the records are 360° video, as `ClipSpec.<field>` requires."""
  if info.projection is None:
    raise UserError(
      f"The records in {data_dir!r} are of ordinary video, but ClipSpec.{field} requires 360° "
      "clips: unset it, or build 360° records."
    )
