"""360° clips from viewpoints: frames and audio of each viewpoint."""

import math
from typing import Optional

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import clip_kind, frame_ops, viewpoints
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.keys import Tensor

# Value of unlabelled pixels in stored masks.
_UNKNOWN_CLASS = 255
# Random numbers of the viewpoints, followed by those of the separate colours of viewpoints.
_VIEWPOINTS = slice(clip_kind.YAW + 1, None)


class Views(clip_kind.ClipKind):
  """360° clips from K viewpoints, which are random in evaluation too.

  Frames and audio have a leading axis of K. Examples also have `DIRECTION` and `FIELD_OF_VIEW`,
  float32 `[K, 2]`, `VIEW_LABEL`, int64 `[K]`, and with `ClipSpec.masks` also `MASK`.
  """

  _turns_sound = True

  def check(self, info: DatasetInfo, data_dir: str) -> None:
    """Raises a `UserError` for records of ordinary video."""
    clip_kind.check_spherical(info, data_dir, "viewpoints")

  def num_uniforms(self, augmentation: Optional[Augmentation] = None) -> int:
    """Number of random numbers per example."""
    spec = self.clip.viewpoints
    own_colors = augmentation is not None and augmentation.color_each_view
    of_colors = spec.num_viewpoints * clip_kind.NUM_COLORS if own_colors else 0
    return _VIEWPOINTS.start + spec.num_uniforms + of_colors

  @property
  def frames_shape(self) -> list[int]:
    """`[K, num_frames, frame_size, frame_size, 3]`."""
    size = self.clip.frame_size
    return [*self.audio_axes, self.clip.num_frames, size, size, 3]

  @property
  def audio_axes(self) -> list[int]:
    """`[K]`."""
    return [self.clip.viewpoints.num_viewpoints]

  def _scene(
    self, augmentation: Optional[Augmentation], uniforms: Tensor
  ) -> viewpoints.Viewpoints:
    spec = self.clip.viewpoints
    drawn = uniforms[_VIEWPOINTS][: spec.num_uniforms]
    return viewpoints.draw(spec, drawn, flip=augmentation is not None)

  def _heard(
    self,
    stored: StoredClip,
    waveform: Tensor,
    scene: viewpoints.Viewpoints,
    yaw: Optional[Tensor],
  ) -> keys.Batch:
    return {keys.AUDIO: hear(waveform, scene, yaw)}

  def _seen(
    self,
    stored: StoredClip,
    encoded: list[Tensor],
    places: Tensor,
    scene: viewpoints.Viewpoints,
    augmentation: Optional[Augmentation],
    uniforms: Tensor,
  ) -> keys.Batch:
    example = see(stored, encoded, places, self.clip, scene)
    if augmentation is not None:
      example[keys.VIDEO] = self._recolored(example[keys.VIDEO], augmentation, uniforms)
    return example

  def _recolored(self, frames: Tensor, augmentation: Augmentation, uniforms: Tensor) -> Tensor:
    """Applies colour changes, the same for all viewpoints or separate ones for each."""
    if not augmentation.color_each_view:
      return clip_kind.recolored(frames, augmentation, uniforms[clip_kind.COLOR])
    of_views = tf.reshape(uniforms[self.num_uniforms() :], [-1, clip_kind.NUM_COLORS])
    return tf.stack(
      [
        clip_kind.recolored(frames[view], augmentation, of_views[view])
        for view in range(self.clip.viewpoints.num_viewpoints)
      ]
    )


def hear(
  waveform: Tensor, views: viewpoints.Viewpoints, turns: Optional[Tensor] = None
) -> Tensor:
  """Audio of the viewpoints.

  Args:
    waveform: float32 `[samples, channels]`, ambisonics.
    views: K viewpoints.
    turns: float64 scalar, rotates the audio to the left first by this fraction of the full circle,
      out of line with the video; None disables this.

  Returns:
    float32 `[K, samples, channels]`.
  """
  yaw_rad = None if turns is None else tf.cast(2.0 * math.pi * turns, tf.float32)
  return viewpoints.listen(waveform, views, yaw_rad)


def see(
  stored: StoredClip,
  encoded: list[Tensor],
  places: Tensor,
  clip: ClipSpec,
  views: viewpoints.Viewpoints,
) -> keys.Batch:
  """Frames of the viewpoints, their directions and the classes of the visible objects.

  Args:
    stored: the clip.
    encoded: JPEG bytes of the frames, string scalars.
    places: int64 `[num_frames]`, positions of these frames among the stored frames, without
      repetition.
    clip: parts of a clip to read.
    views: K viewpoints.

  Returns:
    `VIDEO`: uint8 `[K, num_frames, frame_size, frame_size, 3]`; `DIRECTION` and `FIELD_OF_VIEW`:
    float32 `[K, 2]`; `VIEW_LABEL`: int64 `[K]`; with `ClipSpec.masks` also `MASK`: int64
    `[K, frame_size, frame_size]`.

  Raises:
    tf.errors.InvalidArgumentError: masks are required but not stored; the message names the clip.
  """
  frames = tf.stack([frame_ops.decode_jpeg(frame, stored.key) for frame in encoded])
  example = {
    keys.VIDEO: viewpoints.look(frames, views, clip.frame_size),
    keys.DIRECTION: tf.stack([views.azimuth_rad, views.elevation_rad], axis=-1),
    keys.FIELD_OF_VIEW: tf.stack([views.horizontal_fov_rad, views.vertical_fov_rad], axis=-1),
  }
  truth = stored.truth
  known = tf.shape(truth.azimuth_rad)[0] > 0
  # Labels and masks are those of the middle frame of the window.
  middle = places[clip.num_frames // 2]
  last = tf.shape(truth.azimuth_rad, tf.int64)[0] - 1
  example[keys.VIEW_LABEL] = tf.cond(
    known,
    lambda: viewpoints.labels_in_view(
      views,
      truth.labels,
      truth.azimuth_rad[tf.minimum(middle, last)],
      truth.elevation_rad[tf.minimum(middle, last)],
    ),
    lambda: tf.fill([clip.viewpoints.num_viewpoints], tf.constant(-1, tf.int64)),
  )
  if clip.masks:
    example[keys.MASK] = _mask(stored, middle, views, clip)
  return example


def _mask(
  stored: StoredClip, place: Tensor, views: viewpoints.Viewpoints, clip: ClipSpec
) -> Tensor:
  """Renders the class map of a stored frame from the viewpoints."""
  masks = stored.truth.masks
  check = tf.debugging.Assert(
    tf.size(masks) > 0,
    ["Clip", stored.key, "has no segmentation masks. Build 360° records with masks, such as the "
     "360° demo world."],
  )  # fmt: skip
  with tf.control_dependencies([check]):
    place = tf.minimum(place, tf.size(masks, tf.int64) - 1)
  classes = frame_ops.decode_png(masks[place], stored.key)
  seen = tf.cast(viewpoints.classes_in_view(classes, views, clip.frame_size), tf.int64)
  return tf.where(seen == _UNKNOWN_CLASS, tf.constant(-1, tf.int64), seen)
