"""Equi-angular cubemaps, in which much 360° video is distributed, to equirectangular pictures."""

import math

import numpy as np
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.spatial import directions, sampling
from avssl_tf.spatial.ambisonics import pixel_directions

# Three columns and two rows of faces: left, front, right; then, lying on their sides, bottom,
# back, top. Of each the directions (x, y, z) of its centre, its right edge and its lower edge.
_FACES = np.array([
  [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
  [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
  [[0, -1, 0], [-1, 0, 0], [0, 0, -1]],
  [[0, 0, -1], [-1, 0, 0], [0, 1, 0]],
  [[-1, 0, 0], [0, 0, 1], [0, 1, 0]],
  [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
], np.float32)  # fmt: skip
_NUM_COLUMNS = 3


def check_shape(height: int, width: int, name: str = "the picture") -> None:
  """Raises UserError unless a picture has 3:2 square faces."""
  if 2 * width != 3 * height:
    raise UserError(
      f"{name} has {width}x{height} pixels; an equi-angular cubemap has three by two square faces, "
      "so that it is 3:2."
    )


def to_equirect(frames: Tensor, height: int) -> Tensor:
  """Converts equi-angular cubemaps to equirectangular pictures.

  Pixels of a face lie at equal angles; faces are laid out as in the videos of YouTube: left,
  front and right upright in the upper half; bottom, back and top in the lower half, each turned by
  a quarter so that neighbours join.

  Args:
    frames: uint8 or float32 `[T, H, 3H / 2, C]`.
    height: rows of the result.

  Returns:
    `[T, height, 2 * height, C]` of the frames' dtype.

  Raises:
    UserError: the frames are not 3:2.
  """
  if frames.shape[1] is not None and frames.shape[2] is not None:
    check_shape(frames.shape[1], frames.shape[2], "A frame")
  vectors = directions.unit_vectors(*pixel_directions(height, 2 * height))
  across = tf.einsum("fkx,...x->k...f", _FACES, vectors)
  face = tf.argmax(across[0], axis=-1, output_type=tf.int32)
  centre, right, down = (tf.gather(a, face, axis=-1, batch_dims=2) for a in tf.unstack(across))
  # From the tangent in the plane of the face to the share of its 90 degrees.
  right_share, down_share = (0.5 + tf.atan2(a, centre) * (2.0 / math.pi) for a in (right, down))
  size = tf.shape(frames)[1] // 2
  strip = face // _NUM_COLUMNS
  pixels = tf.cast(size, tf.float32)
  columns = (tf.cast(face % _NUM_COLUMNS, tf.float32) + right_share) * pixels - 0.5
  rows = (tf.cast(strip, tf.float32) + down_share) * pixels - 0.5

  def address(row: Tensor, column: Tensor) -> Tensor:
    # Faces beside each other join; those above each other do not.
    row = tf.clip_by_value(row, strip * size, (strip + 1) * size - 1)
    width = _NUM_COLUMNS * size
    return row * width + tf.clip_by_value(column, 0, width - 1)

  return sampling.bilinear(frames, rows, columns, address)
