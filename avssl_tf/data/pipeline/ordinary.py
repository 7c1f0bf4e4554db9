"""Ordinary clips: square frames and audio."""

from collections.abc import Sequence
from typing import Any, Optional, Union

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import clip_kind, clip_windows, frame_ops
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.pipeline.clip_windows import Windows
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor


class Ordinary(clip_kind.ClipKind):
  """Clips of ordinary video, of audio only or of frames only.

  In evaluation, `ClipSpec.boxes` adds `BOXES`, float32 `[num_frames, 4]`, as fractions of the
  height and width of the output frames.
  """

  def check(self, info: DatasetInfo, data_dir: str) -> None:
    """Raises a `UserError` for records of 360° video."""
    if info.projection is not None:
      raise UserError(
        f"The records in {data_dir!r} contain 360° video ({info.projection}): set "
        "ClipSpec.viewpoints = @ViewpointSpec() or ClipSpec.panorama = True, or use a data set of "
        "ordinary video."
      )

  def num_uniforms(self, augmentation: Optional[Augmentation] = None) -> int:
    """Number of random numbers per example."""
    del augmentation
    return clip_kind.CROP.stop

  @property
  def frames_shape(self) -> list[int]:
    """`[num_frames, frame_size, frame_size, 3]`."""
    return [self.clip.num_frames, self.clip.frame_size, self.clip.frame_size, 3]

  def _heard(
    self, stored: StoredClip, waveform: Tensor, scene: Any, yaw: Optional[Tensor]
  ) -> keys.Batch:
    return {keys.AUDIO: waveform}

  def _seen(
    self,
    stored: StoredClip,
    encoded: list[Tensor],
    places: Tensor,
    scene: Any,
    augmentation: Optional[Augmentation],
    uniforms: Tensor,
  ) -> keys.Batch:
    if augmentation is None:
      return {keys.VIDEO: center_frames(encoded, self.clip, stored.key)}
    return {keys.VIDEO: self._augmented(encoded, augmentation, uniforms, stored.key)}

  def _augmented(
    self, encoded: list[Tensor], augmentation: Augmentation, uniforms: Tensor, key: Tensor
  ) -> Tensor:
    height, width = frame_ops.jpeg_size(encoded, key)
    box = frame_ops.random_crop_box(
      uniforms[clip_kind.CROP], height, width, augmentation.crop_area, augmentation.crop_aspect
    )
    frames = frame_ops.decode_crop_resize(encoded, box, self.clip.frame_size)
    mirrored = uniforms[clip_kind.FLIP] < augmentation.flip_probability
    frames = tf.cond(mirrored, lambda: frame_ops.mirror(frames), lambda: frames)
    colors = uniforms[clip_kind.COLOR]
    return frame_ops.to_uint8(clip_kind.color_jitter(frames, augmentation, colors))

  def _truth(self, stored: StoredClip, windows: Windows) -> keys.Batch:
    if not self.clip.boxes or windows.video_start is None:
      return {}
    return {keys.BOXES: self._boxes(stored, self._places(stored, windows))}

  def _boxes(self, stored: StoredClip, places: Tensor) -> Tensor:
    """Bounding boxes of sound sources in the frames at `places`; area 0 if unknown."""
    num_boxes, num_frames = tf.shape(stored.boxes)[0], tf.shape(stored.frames)[0]
    check = tf.debugging.Assert(
      (num_boxes == 0) | (num_boxes == num_frames),
      ["Clip", stored.key, "does not have one box per frame: it has",
       num_boxes, "boxes and", num_frames, "frames."],
    )  # fmt: skip
    with tf.control_dependencies([check]):
      boxes = tf.cond(num_boxes == 0, lambda: tf.zeros([num_frames, 4]), lambda: stored.boxes)
    encoded = clip_windows.take_frames(stored.frames, self.clip, places)
    box, size = _shown_box(encoded, self.clip, stored.key)
    return frame_ops.boxes_in_crop(clip_windows.take_steps(boxes, self.clip, places), box, *size)


def center_frames(
  encoded: Sequence[Tensor], clip: ClipSpec, key: Union[Tensor, str] = ""
) -> Tensor:
  """Centre crops of frames, as in evaluation.

  Args:
    encoded: JPEG bytes of each frame, string scalars, all of the same size.
    clip: size of the output frames, and whether they show the whole image.
    key: id of the clip, for messages.

  Returns:
    uint8 `[len(encoded), frame_size, frame_size, 3]`, RGB.
  """
  box, _ = _shown_box(encoded, clip, key)
  return frame_ops.to_uint8(frame_ops.decode_crop_resize(encoded, box, clip.frame_size))


def _shown_box(
  encoded: Sequence[Tensor], clip: ClipSpec, key: Union[Tensor, str]
) -> tuple[Tensor, list[Tensor]]:
  """The evaluated part of the frame, see `center_crop_box`, and the frame's height and width."""
  height, width = frame_ops.jpeg_size(encoded, key)
  if clip.whole_picture:
    return tf.stack([0, 0, height, width]), [height, width]
  return frame_ops.center_crop_box(height, width), [height, width]
