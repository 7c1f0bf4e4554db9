"""Ambisonics of orders 1 to 3: encodes, rotates, decodes and visualises sound fields.

Fields are float32 `[..., channels]` with `(order + 1)^2` channels in ACN order with SN3D
normalisation (Nachbar et al., "AmbiX", Ambisonics Symposium 2011), for example `[samples, 4]` or
`[clips, samples, 4]`.
"""

import math

import numpy as np
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.spatial import directions

MAX_ORDER = 3
# Channels of FuMa (W X Y Z R S T U V K L M N O P Q) in ACN order, and their factors to SN3D.
_FUMA_CHANNELS = (0, 2, 3, 1, 8, 6, 4, 5, 7, 15, 13, 11, 9, 10, 12, 14)
_FUMA_TO_SN3D = (
  math.sqrt(2.0),
  *(1.0,) * 3,
  *(math.sqrt(3.0) / 2.0,) * 2, 1.0, *(math.sqrt(3.0) / 2.0,) * 2,
  *(math.sqrt(5.0 / 8.0),) * 1, math.sqrt(5.0) / 3.0, math.sqrt(32.0 / 45.0), 1.0,
  math.sqrt(32.0 / 45.0), math.sqrt(5.0) / 3.0, math.sqrt(5.0 / 8.0),
)  # fmt: skip
CONVENTIONS = ("ACN/SN3D", "ACN/N3D", "FuMa")


def num_channels(order: int) -> int:
  """Number of channels of a field.

  Args:
    order: order of the field, 1..3.

  Returns:
    (order + 1)^2.

  Raises:
    UserError: the order is not 1..3.
  """
  if order not in range(1, MAX_ORDER + 1):
    raise UserError(f"Ambisonics of order {order!r}; expected 1..{MAX_ORDER}.")
  return (order + 1) ** 2


def order_of(channels: int) -> int:
  """Order of a field.

  Args:
    channels: number of channels, 4, 9 or 16.

  Returns:
    The order, 1..3.

  Raises:
    UserError: the number of channels is not 4, 9 or 16.
  """
  for order in range(1, MAX_ORDER + 1):
    if channels == num_channels(order):
      return order
  expected = ", ".join(f"{num_channels(n)} (order {n})" for n in range(1, MAX_ORDER + 1))
  raise UserError(f"Audio with {channels} channel(s) is not ambisonics; expected {expected}.")


def harmonics(azimuth_rad: Tensor, elevation_rad: Tensor, order: int) -> Tensor:
  """Real spherical harmonics, SN3D, without the Condon-Shortley phase.

  Args:
    azimuth_rad: float `[...]`.
    elevation_rad: float `[...]`.
    order: 1..3.

  Returns:
    `[..., channels]`: gain of each channel for a source in this direction.
  """
  return _harmonics_of(directions.unit_vectors(azimuth_rad, elevation_rad), order)


def _harmonics_of(vectors: Tensor, order: int) -> Tensor:
  """`harmonics` of unit vectors `[..., 3]`."""
  num_channels(order)
  x, y, z = tf.unstack(vectors, axis=-1)
  result = [tf.ones_like(x), y, z, x]
  if order >= 2:
    half_3 = math.sqrt(3.0) / 2.0
    result += [
      2.0 * half_3 * x * y,
      2.0 * half_3 * y * z,
      (3.0 * z * z - 1.0) / 2.0,
      2.0 * half_3 * x * z,
      half_3 * (x * x - y * y),
    ]
  if order >= 3:
    result += [
      math.sqrt(5.0 / 8.0) * y * (3.0 * x * x - y * y),
      math.sqrt(15.0) * x * y * z,
      math.sqrt(3.0 / 8.0) * y * (5.0 * z * z - 1.0),
      z * (5.0 * z * z - 3.0) / 2.0,
      math.sqrt(3.0 / 8.0) * x * (5.0 * z * z - 1.0),
      math.sqrt(15.0) / 2.0 * z * (x * x - y * y),
      math.sqrt(5.0 / 8.0) * x * (x * x - 3.0 * y * y),
    ]
  return tf.stack(result, axis=-1)


def encode(sources: Tensor, azimuth_rad: Tensor, elevation_rad: Tensor, order: int = 1) -> Tensor:
  """Encodes sources into a sound field.

  Args:
    sources: float `[..., samples, num_sources]`, waveforms.
    azimuth_rad: float `[..., num_sources]`, or `[..., samples, num_sources]` for moving sources.
    elevation_rad: same shape as `azimuth_rad`.
    order: 1..3.

  Returns:
    `[..., samples, channels]`, the sum over the sources.

  Examples:
    >>> from avssl_tf.spatial import ambisonics
    >>> left = ambisonics.encode([[1.0]], [3.14159265 / 2], [0.0])  # W, Y, Z, X.
    >>> left.numpy().round(3).tolist()
    [[1.0, 1.0, 0.0, -0.0]]
  """
  sources = tf.convert_to_tensor(sources)
  weights = harmonics(azimuth_rad, elevation_rad, order)
  if weights.shape.rank == sources.shape.rank:  # One direction for all samples.
    return tf.matmul(sources, weights)
  return tf.einsum("...s,...sc->...c", sources, weights)


def decode(field: Tensor, azimuth_rad: Tensor, elevation_rad: Tensor) -> Tensor:
  """Projects a field on directions: the product of the field with their harmonics.

  For a single source of gain 1, the result in its direction is `order + 1`. For the first order,
  the result at an angle from it is 1 + cos(angle), which is 0 in the opposite direction.

  Args:
    field: `[..., samples, channels]`.
    azimuth_rad: float `[..., num_directions]`.
    elevation_rad: same shape as `azimuth_rad`.

  Returns:
    `[..., samples, num_directions]`.

  Raises:
    UserError: the number of channels is not 4, 9 or 16.
  """
  weights = harmonics(azimuth_rad, elevation_rad, order_of(field.shape[-1]))
  return tf.matmul(field, weights, transpose_b=True)


def rotation_matrix(rotations: Tensor, order: int) -> Tensor:
  """Matrices that rotate the channels of a field.

  The result is exact: rotation maps the harmonics of an order to combinations of each other. Their
  values in sufficiently many fixed directions, and in the rotated directions, determine the matrix.

  Args:
    rotations: float32 `[..., 3, 3]`, orthogonal, for example from `directions.rotation`;
      reflections are also possible.
    order: 1..3.

  Returns:
    `[..., channels, channels]`.
  """
  if order == 1:  # Y Z X are the vector itself.
    channels = [1, 2, 0]
    turned = tf.gather(tf.gather(rotations, channels, axis=-2), channels, axis=-1)
    # W is unchanged.
    padded = tf.pad(turned, [[0, 0]] * (rotations.shape.rank - 2) + [[1, 0], [1, 0]])
    return padded + tf.linalg.diag(tf.constant([1.0, 0.0, 0.0, 0.0], rotations.dtype))
  fixed = spread_directions(4 * num_channels(order))
  inverse = np.linalg.pinv(_harmonics_of(tf.constant(fixed), order).numpy())
  turned = tf.einsum("...ij,nj->...ni", rotations, tf.constant(fixed, rotations.dtype))
  return tf.einsum(
    "...nc,dn->...cd", _harmonics_of(turned, order), tf.constant(inverse, rotations.dtype)
  )


def rotate(field: Tensor, rotations: Tensor) -> Tensor:
  """Rotates a field: a source in direction d moves to R d.

  Args:
    field: `[..., samples, channels]`.
    rotations: float32 `[..., 3, 3]`, R; leading axes broadcast, so one field can be rotated in
      several ways at once.

  Returns:
    `[..., samples, channels]`.

  Raises:
    UserError: the number of channels is not 4, 9 or 16.
  """
  matrix = rotation_matrix(rotations, order_of(field.shape[-1]))
  return tf.matmul(field, matrix, transpose_b=True)


def mirror(field: Tensor) -> Tensor:
  """Exchanges left and right, as in a horizontal flip of the image.

  Args:
    field: `[..., channels]`.

  Returns:
    `[..., channels]`.
  """
  order = order_of(field.shape[-1])
  # Harmonics of negative degree are odd in y.
  signs = [-1.0 if m < 0 else 1.0 for n in range(order + 1) for m in range(-n, n + 1)]
  return field * tf.constant(signs, field.dtype)


def convert(field: Tensor, source: str, target: str = "ACN/SN3D") -> Tensor:
  """Converts between conventions of channel order and normalisation.

  Args:
    field: `[..., channels]`.
    source: convention of `field`: `"ACN/SN3D"`, `"ACN/N3D"` or `"FuMa"` (Malham, up to the third
      order: W X Y Z R S T U V K L M N O P Q with maxN weights, W attenuated by 3 dB).
    target: convention of the result.

  Returns:
    `[..., channels]`.

  Raises:
    UserError: a convention is unknown, or the number of channels is not 4, 9 or 16.
  """
  for convention in (source, target):
    if convention not in CONVENTIONS:
      raise UserError(
        f"Ambisonics convention {convention!r}; expected one of {', '.join(CONVENTIONS)}."
      )
  matrix = _to_sn3d(source, order_of(field.shape[-1]))
  matrix = np.linalg.inv(_to_sn3d(target, order_of(field.shape[-1]))) @ matrix
  return tf.linalg.matvec(tf.constant(matrix, field.dtype), field)


def _to_sn3d(convention: str, order: int) -> np.ndarray:
  """Matrix from a convention to ACN/SN3D: `[channels, channels]`."""
  channels = num_channels(order)
  if convention == "ACN/N3D":
    degrees = np.repeat(np.arange(order + 1), 2 * np.arange(order + 1) + 1)
    return np.diag(1.0 / np.sqrt(2.0 * degrees + 1.0))
  if convention == "FuMa":
    return np.eye(channels)[list(_FUMA_CHANNELS[:channels])] * np.array(
      _FUMA_TO_SN3D[:channels]
    )[:, np.newaxis]
  return np.eye(channels)


def energy_map(field: Tensor, height: int, width: int) -> Tensor:
  """Root mean square of a field in each direction (`decode`), as an equirectangular map.

  Args:
    field: `[..., samples, channels]`.
    height: number of rows, from elevation +pi/2 downwards.
    width: number of columns, from azimuth +pi to the right; 2 * height for square pixels.

  Returns:
    `[..., height, width]`, 0 or more.
  """
  azimuth_rad, elevation_rad = pixel_directions(height, width)
  weights = harmonics(azimuth_rad, elevation_rad, order_of(field.shape[-1]))
  # From the covariance of the channels, which is much smaller than the decoded signals.
  samples = tf.cast(tf.shape(field)[-2], field.dtype)
  covariance = tf.matmul(field, field, transpose_a=True) / samples
  power = tf.einsum("hwc,...cd,hwd->...hw", weights, covariance, weights)
  return tf.sqrt(tf.maximum(power, 0.0))


def pixel_directions(height: int, width: int) -> tuple[Tensor, Tensor]:
  """Directions of the pixel centres of an equirectangular image.

  Args:
    height: number of rows.
    width: number of columns.

  Returns:
    Azimuth and elevation in radians, float32 `[height, width]` each.
  """
  azimuth = np.pi * (1.0 - (2.0 * np.arange(width) + 1.0) / width)
  elevation = np.pi / 2.0 * (1.0 - (2.0 * np.arange(height) + 1.0) / height)
  grid = np.meshgrid(azimuth, elevation)
  return tf.constant(grid[0], tf.float32), tf.constant(grid[1], tf.float32)


def spread_directions(count: int) -> np.ndarray:
  """Directions distributed evenly over the sphere, on a spiral.

  Args:
    count: number of directions.

  Returns:
    float64 `[count, 3]`, unit vectors (x, y, z).
  """
  z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
  azimuth = np.arange(count) * np.pi * (3.0 - np.sqrt(5.0))
  across = np.sqrt(1.0 - z * z)
  return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), z], axis=-1)
