"""Viewports of equirectangular pictures: flat views in a direction, by gnomonic projection."""

import math

import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.spatial import directions, sampling


def check_shape(height: int, width: int, name: str = "the picture") -> None:
  """Raises UserError unless a picture is twice as wide as high."""
  if width != 2 * height:
    raise UserError(
      f"{name} has {width}x{height} pixels; an equirectangular picture is twice as wide as high. "
      "Scale it to 2:1, or convert it from its own projection."
    )


def viewport_directions(
  azimuth_rad: Tensor,
  elevation_rad: Tensor,
  horizontal_fov_rad: Tensor,
  vertical_fov_rad: Tensor,
  height: int,
  width: int,
) -> Tensor:
  """Where the pixels of viewports look.

  The picture lies in the plane that touches the sphere at the viewing direction and reaches
  tan(fov / 2) to either side, so that its edges subtend exactly the fields of view.

  Args:
    azimuth_rad: float `[...]`, of the viewing directions.
    elevation_rad: likewise.
    horizontal_fov_rad: between 0 and pi, likewise; a negative one mirrors the view.
    vertical_fov_rad: likewise.
    height: rows of a viewport.
    width: its columns.

  Returns:
    float32 `[..., height, width, 3]`: vectors, not of unit length.
  """
  # Pixel centres; the first column is on the left, where y is positive.
  across = 1.0 - (2.0 * tf.range(width, dtype=tf.float32) + 1.0) / width
  up = 1.0 - (2.0 * tf.range(height, dtype=tf.float32) + 1.0) / height
  y = tf.tan(horizontal_fov_rad / 2.0)[..., tf.newaxis, tf.newaxis] * across
  z = tf.tan(vertical_fov_rad / 2.0)[..., tf.newaxis, tf.newaxis] * up[:, tf.newaxis]
  shape = tf.broadcast_dynamic_shape(tf.shape(y), tf.shape(z))
  plane = tf.stack([tf.ones(shape), tf.broadcast_to(y, shape), tf.broadcast_to(z, shape)], axis=-1)
  rotations = directions.rotation(azimuth_rad, elevation_rad)
  return tf.einsum("...ij,...hwj->...hwi", rotations, plane)


def sample(frames: Tensor, vectors: Tensor) -> Tensor:
  """Looks equirectangular frames up in directions, by bilinear interpolation.

  There is no seam: left and right edge meet, and beyond a pole lies the other half of the circle.

  Args:
    frames: uint8 or float32 `[T, H, 2H, C]`, of one clip.
    vectors: float32 `[..., 3]`, of any length.

  Returns:
    `[T, ..., C]` of the frames' dtype.

  Raises:
    UserError: the frames are not twice as wide as high.
  """
  if frames.shape[1] is not None and frames.shape[2] is not None:
    check_shape(frames.shape[1], frames.shape[2], "A frame")
  height, width = tf.shape(frames)[1], tf.shape(frames)[2]
  azimuth, elevation = directions.angles(vectors)
  columns = (0.5 - azimuth / (2.0 * math.pi)) * tf.cast(width, tf.float32) - 0.5
  rows = (0.5 - elevation / math.pi) * tf.cast(height, tf.float32) - 0.5

  def address(row: Tensor, column: Tensor) -> Tensor:
    beyond = tf.logical_or(row < 0, row >= height)
    column = tf.where(beyond, column + width // 2, column)
    row = tf.where(row < 0, -1 - row, tf.where(row >= height, 2 * height - 1 - row, row))
    return row * width + tf.math.floormod(column, width)

  return sampling.bilinear(frames, rows, columns, address)


def nearest(values: Tensor, vectors: Tensor) -> Tensor:
  """Looks an equirectangular map up in directions, the nearest pixel for each: for classes.

  Args:
    values: `[H, 2H]`, of any dtype.
    vectors: float32 `[..., 3]`, of any length.

  Returns:
    `[...]` of the dtype of `values`.

  Raises:
    UserError: the map is not twice as wide as high.
  """
  if values.shape.is_fully_defined():
    check_shape(*values.shape, "A map")
  height, width = tf.unstack(tf.shape(values))
  azimuth, elevation = directions.angles(vectors)
  columns = tf.floor((0.5 - azimuth / (2.0 * math.pi)) * tf.cast(width, tf.float32))
  rows = tf.floor((0.5 - elevation / math.pi) * tf.cast(height, tf.float32))
  rows = tf.clip_by_value(tf.cast(rows, tf.int32), 0, height - 1)
  columns = tf.math.floormod(tf.cast(columns, tf.int32), width)
  return tf.gather(tf.reshape(values, [-1]), rows * width + columns)


def viewports(
  frames: Tensor,
  azimuth_rad: Tensor,
  elevation_rad: Tensor,
  horizontal_fov_rad: Tensor,
  vertical_fov_rad: Tensor,
  height: int,
  width: int,
) -> Tensor:
  """Cuts views out of the frames of a 360° clip.

  Reads single pixels: meant for views at least as fine as the frames they are cut from.

  Args:
    frames: uint8 or float32 `[T, H, 2H, C]`.
    azimuth_rad: float32 `[K]`, of the viewing directions.
    elevation_rad: likewise.
    horizontal_fov_rad: between 0 and pi, likewise.
    vertical_fov_rad: likewise.
    height: rows of a viewport.
    width: its columns.

  Returns:
    `[K, T, height, width, C]` of the frames' dtype.

  Raises:
    UserError: the frames are not twice as wide as high.
  """
  vectors = viewport_directions(
    azimuth_rad, elevation_rad, horizontal_fov_rad, vertical_fov_rad, height, width
  )
  return tf.transpose(sample(frames, vectors), [1, 0, 2, 3, 4])
