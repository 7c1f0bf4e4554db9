"""Viewports of equirectangular images: perspective views by gnomonic projection."""

import math

import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.spatial import directions, sampling


def check_shape(height: int, width: int, name: str = "The image") -> None:
  """Checks the aspect ratio of an equirectangular image, 2:1.

  Args:
    height: number of rows.
    width: number of columns.
    name: name of the image in the message.

  Raises:
    UserError: the aspect ratio is not 2:1.
  """
  if width != 2 * height:
    raise UserError(
      f"{name} has {width}x{height} pixels; an equirectangular image has an aspect ratio of 2:1. "
      "Scale it to 2:1, or convert it from its projection."
    )


def viewport_directions(
  azimuth_rad: Tensor,
  elevation_rad: Tensor,
  horizontal_fov_rad: Tensor,
  vertical_fov_rad: Tensor,
  height: int,
  width: int,
) -> Tensor:
  """Viewing direction of each pixel of viewports.

  The image plane touches the sphere at the viewing direction and extends tan(fov / 2) to each side,
  so the edges of the image subtend exactly the fields of view.

  Args:
    azimuth_rad: float `[...]`, azimuth of the viewing directions.
    elevation_rad: float `[...]`, elevation of the viewing directions.
    horizontal_fov_rad: float `[...]`, between 0 and pi; its negative mirrors the view.
    vertical_fov_rad: float `[...]`, between 0 and pi.
    height: number of rows of a viewport.
    width: number of columns of a viewport.

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
  """Samples equirectangular frames in given directions, by bilinear interpolation.

  Interpolation is seamless across the left and right edge and across the poles.

  Args:
    frames: uint8 or float32 `[T, H, 2H, C]`, of one clip.
    vectors: float32 `[..., 3]`, of any length.

  Returns:
    `[T, ..., C]`, same dtype as `frames`.

  Raises:
    UserError: the aspect ratio of the frames is not 2:1.
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
  """Samples an equirectangular map, such as a class map, by nearest neighbour in given directions.

  Args:
    values: `[H, 2H]`, of any dtype.
    vectors: float32 `[..., 3]`, of any length.

  Returns:
    `[...]`, same dtype as `values`.

  Raises:
    UserError: the aspect ratio of the map is not 2:1.
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
  """Crops perspective viewports from the frames of a 360° clip.

  There is no antialiasing: the resolution of viewports should be at least that of the frames.

  Args:
    frames: uint8 or float32 `[T, H, 2H, C]`.
    azimuth_rad: float32 `[K]`, azimuth of the viewing directions.
    elevation_rad: float32 `[K]`, elevation of the viewing directions.
    horizontal_fov_rad: float32 `[K]`, horizontal fields of view, between 0 and pi.
    vertical_fov_rad: float32 `[K]`, vertical fields of view, between 0 and pi.
    height: number of rows of a viewport.
    width: number of columns of a viewport.

  Returns:
    `[K, T, height, width, C]`, same dtype as `frames`.

  Raises:
    UserError: the aspect ratio of the frames is not 2:1.

  Examples:
    >>> import math
    >>> import tensorflow as tf
    >>> from avssl_tf.spatial import equirect
    >>> frames = tf.zeros([8, 64, 128, 3], tf.uint8)
    >>> ahead, wide = tf.constant([0.0]), tf.constant([math.pi / 2])
    >>> equirect.viewports(frames, ahead, ahead, wide, wide, height=32, width=32).shape
    TensorShape([1, 8, 32, 32, 3])
  """
  vectors = viewport_directions(
    azimuth_rad, elevation_rad, horizontal_fov_rad, vertical_fov_rad, height, width
  )
  return tf.transpose(sample(frames, vectors), [1, 0, 2, 3, 4])
