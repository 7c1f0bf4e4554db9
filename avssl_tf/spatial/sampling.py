"""Reading pictures between their pixels."""

from typing import Callable

import tensorflow as tf

from avssl_tf.keys import Tensor


def bilinear(
  frames: Tensor, rows: Tensor, columns: Tensor, address: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
  """Bilinear interpolation of all frames of a clip at the same places.

  Args:
    frames: uint8 or float32 `[T, H, W, C]`.
    rows: float32 `[...]`; whole numbers are centres of pixels.
    columns: likewise.
    address: int32 row and column `[...]` of a pixel, up to one outside of the picture, to the
      number of the pixel whose value counts there, in 0..H * W - 1.

  Returns:
    `[T, ..., C]` of the frames' dtype, rounded where that is one of whole numbers.
  """
  frames = tf.convert_to_tensor(frames)
  num_frames, height, width, channels = tf.unstack(tf.shape(frames))
  # One long row of values a pixel, all frames: four reads a pixel serve them all.
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
