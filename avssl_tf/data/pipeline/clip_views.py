"""What is seen and heard of a 360° clip from viewpoints."""

import math
from typing import Optional

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import frame_ops, viewpoints
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.keys import Tensor

# Of the pixels of stored masks.
_UNKNOWN_CLASS = 255


def hear(
  waveform: Tensor, views: viewpoints.Viewpoints, turns: Optional[Tensor] = None
) -> Tensor:
  """The sound as it is heard from the viewpoints.

  Args:
    waveform: float32 `[samples, channels]`, ambisonics.
    views: K viewpoints.
    turns: float64 scalar, by what share of the full circle the sound is turned to the left before,
      out of line with the picture; None: not at all.

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
  """What is seen from the viewpoints, where they look, and the classes of what they show.

  Args:
    stored: the clip.
    encoded: JPEG bytes of the frames to show, string scalars.
    places: int64 `[num_frames]`, which of the stored frames these are; without repetition.
    clip: what to take of the clip.
    views: K viewpoints.

  Returns:
    `VIDEO`: uint8 `[K, num_frames, frame_size, frame_size, 3]`; `DIRECTION` and `FIELD_OF_VIEW`:
    float32 `[K, 2]`; `VIEW_LABEL`: int64 `[K]`; `MASK`, where it is asked for: int64 `[K,
    frame_size, frame_size]`.

  Raises:
    tf.errors.InvalidArgumentError: masks are asked for and not stored; the message names the clip.
  """
  frames = tf.stack([frame_ops.decode_jpeg(frame, stored.key) for frame in encoded])
  example = {
    keys.VIDEO: viewpoints.look(frames, views, clip.frame_size),
    keys.DIRECTION: tf.stack([views.azimuth_rad, views.elevation_rad], axis=-1),
    keys.FIELD_OF_VIEW: tf.stack([views.horizontal_fov_rad, views.vertical_fov_rad], axis=-1),
  }
  truth = stored.truth
  known = tf.shape(truth.azimuth_rad)[0] > 0
  # Where objects are in the middle of the window.
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
  """The class of each pixel of a stored frame as it is seen from the viewpoints."""
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
