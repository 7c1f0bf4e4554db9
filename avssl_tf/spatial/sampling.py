"""Bilinear sampling of images."""

from typing import Callable

import tensorflow as tf

from avssl_tf.keys import Tensor


def bilinear(
  frames: Tensor, rows: Tensor, columns: Tensor, address: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
  """Bilinear interpolation of all frames of a clip at the same positions.

  Args:
    frames: uint8 or float32 `[T, H, W, C]`.
    rows: float32 `[...]`; integers are pixel centres.
    columns: float32 `[...]`; integers are pixel centres.
    address: maps int32 rows and columns `[...]`, which may be one pixel outside the image, to the
      index of the pixel to read, in 0..H * W - 1.

  Returns:
    `[T, ..., C]`, same dtype as `frames`; rounded for integer types.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf.spatial import sampling
    >>> frames = tf.constant([[[[0.0], [4.0]]]])  # One frame of two pixels.
    >>> address = lambda row, column: tf.clip_by_value(column, 0, 1)
    >>> sampling.bilinear(frames, tf.constant([0.0]), tf.constant([0.25]), address).numpy().tolist()
    [[[1.0]]]
  """
  frames = tf.convert_to_tensor(frames)
  num_frames, height, width, channels = tf.unstack(tf.shape(frames))
  # One row per pixel with the values of all frames: four reads per pixel serve all frames.
  pixels = tf.reshape(tf.transpose(frames, [1, 2, 0, 3]), [height * width, num_frames * channels])
  left, top = tf.floor(columns), tf.floor(rows)
  right_weight, bottom_weight = (columns - left)[..., tf.newaxis], (rows - top)[..., tf.newaxis]
  left, top = tf.cast(left, tf.int32), tf.cast(top, tf.int32)

  def between(row: Tensor) -> Tensor:
    first, second = (
      tf.cast(tf.gather(pixels, address(row, column)), tf.float32) for column in (left, left + 1)
    )
    return first + right_weight * (second - first)

  first, second = between(top), between(top + 1)
  values = first + bottom_weight * (second - first)
  if frames.dtype.is_integer:
    values = tf.round(values)
  values = tf.cast(values, frames.dtype)
  values = tf.reshape(values, tf.stack([tf.size(rows), num_frames, channels]))
  shape = tf.concat([[num_frames], tf.shape(rows), [channels]], axis=0)
  values = tf.reshape(tf.transpose(values, [1, 0, 2]), shape)
  values.set_shape([frames.shape[0], *rows.shape, frames.shape[-1]])
  return values
