"""Conversion of equi-angular cubemaps, a common format of 360° video, to equirectangular images."""

import math

import numpy as np
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.spatial import directions, sampling
from avssl_tf.spatial.ambisonics import pixel_directions

# Three columns and two rows of faces: left, front, right; then, rotated by a quarter turn, bottom,
# back, top. For each: the directions (x, y, z) of its centre, its right edge and its lower edge.
_FACES = np.array([
  [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
  [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
  [[0, -1, 0], [-1, 0, 0], [0, 0, -1]],
  [[0, 0, -1], [-1, 0, 0], [0, 1, 0]],
  [[-1, 0, 0], [0, 0, 1], [0, 1, 0]],
  [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
], np.float32)  # fmt: skip
_NUM_COLUMNS = 3


def check_shape(height: int, width: int, name: str = "The image") -> None:
  """Checks the aspect ratio of an equi-angular cubemap, 3:2.

  Args:
    height: number of rows.
    width: number of columns.
    name: name of the image in the message.

  Raises:
    UserError: the aspect ratio is not 3:2.
  """
  if 2 * width != 3 * height:
    raise UserError(
      f"{name} has {width}x{height} pixels; an equi-angular cubemap has three by two square faces, "
      "an aspect ratio of 3:2."
    )


def to_equirect(frames: Tensor, height: int) -> Tensor:
  """Converts equi-angular cubemaps to equirectangular images.

  The pixels of a face are spaced at equal angles. The layout is that of YouTube: left, front and
  right are upright in the upper half; bottom, back and top are in the lower half, each rotated by a
  quarter turn so that adjacent faces are continuous.

  Args:
    frames: uint8 or float32 `[T, H, 3H / 2, C]`.
    height: number of rows of the result.

  Returns:
    `[T, height, 2 * height, C]`, same dtype as `frames`.

  Raises:
    UserError: the aspect ratio of the frames is not 3:2.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf.spatial import cubemap
    >>> cubemap.to_equirect(tf.zeros([1, 64, 96, 3], tf.uint8), height=32).shape
    TensorShape([1, 32, 64, 3])
  """
  if frames.shape[1] is not None and frames.shape[2] is not None:
    check_shape(frames.shape[1], frames.shape[2], "A frame")
  vectors = directions.unit_vectors(*pixel_directions(height, 2 * height))
  across = tf.einsum("fkx,...x->k...f", _FACES, vectors)
  face = tf.argmax(across[0], axis=-1, output_type=tf.int32)
  centre, right, down = (tf.gather(a, face, axis=-1, batch_dims=2) for a in tf.unstack(across))
  # Converts the tangent in the plane of the face to a fraction of its 90 degrees.
  right_share, down_share = (0.5 + tf.atan2(a, centre) * (2.0 / math.pi) for a in (right, down))
  size = tf.shape(frames)[1] // 2
  strip = face // _NUM_COLUMNS
  pixels = tf.cast(size, tf.float32)
  columns = (tf.cast(face % _NUM_COLUMNS, tf.float32) + right_share) * pixels - 0.5
  rows = (tf.cast(strip, tf.float32) + down_share) * pixels - 0.5

  def address(row: Tensor, column: Tensor) -> Tensor:
    # Faces are continuous within a row, but not between the two rows.
    row = tf.clip_by_value(row, strip * size, (strip + 1) * size - 1)
    width = _NUM_COLUMNS * size
    return row * width + tf.clip_by_value(column, 0, width - 1)

  return sampling.bilinear(frames, rows, columns, address)
