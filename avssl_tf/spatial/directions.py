"""Directions in space and rotations."""

import tensorflow as tf

from avssl_tf.keys import Tensor


def unit_vectors(azimuth_rad: Tensor, elevation_rad: Tensor) -> Tensor:
  """Unit vectors (x, y, z) towards directions.

  Args:
    azimuth_rad: float `[...]`.
    elevation_rad: float `[...]`.

  Returns:
    `[..., 3]`.

  Examples:
    >>> from avssl_tf.spatial import directions
    >>> directions.unit_vectors(3.14159265 / 2, 0.0).numpy().round(3).tolist()  # To the left.
    [-0.0, 1.0, 0.0]
  """
  azimuth_rad, elevation_rad = map(tf.convert_to_tensor, (azimuth_rad, elevation_rad))
  across = tf.cos(elevation_rad)
  z = tf.broadcast_to(tf.sin(elevation_rad), tf.shape(azimuth_rad + elevation_rad))
  return tf.stack([across * tf.cos(azimuth_rad), across * tf.sin(azimuth_rad), z], axis=-1)


def angles(vectors: Tensor) -> tuple[Tensor, Tensor]:
  """Azimuth in -pi..pi and elevation in -pi/2..pi/2 of vectors.

  Args:
    vectors: float `[..., 3]`, of any length.

  Returns:
    Azimuth and elevation in radians, `[...]` each.
  """
  x, y, z = tf.unstack(vectors, axis=-1)
  return tf.atan2(y, x), tf.atan2(z, tf.sqrt(x * x + y * y))


def angle_between(a: Tensor, b: Tensor) -> Tensor:
  """Angles between vectors, accurate also for small angles.

  Args:
    a: float `[..., 3]`, of any length.
    b: float `[..., 3]`, of any length; broadcasts with `a`.

  Returns:
    `[...]`, in radians, in 0..pi.

  Examples:
    >>> from avssl_tf.spatial import directions
    >>> print(f"{directions.angle_between([1.0, 0.0, 0.0], [0.0, 2.0, 0.0]):.4f}")
    1.5708
  """
  a, b = map(tf.convert_to_tensor, (a, b))
  shape = tf.broadcast_dynamic_shape(tf.shape(a), tf.shape(b))
  cross = tf.linalg.cross(tf.broadcast_to(a, shape), tf.broadcast_to(b, shape))
  return tf.atan2(tf.norm(cross, axis=-1), tf.reduce_sum(a * b, axis=-1))


def rotation(yaw_rad: Tensor, pitch_rad: Tensor = 0.0, roll_rad: Tensor = 0.0) -> Tensor:
  """Rotation matrices R: an object in direction d moves to direction R d.

  The front moves to azimuth `yaw` and elevation `pitch`. Roll about the front is applied first,
  then pitch, then yaw.

  Args:
    yaw_rad: float `[...]`, rotation to the left.
    pitch_rad: float `[...]`, rotation upwards.
    roll_rad: float `[...]`, lifts the left side.

  Returns:
    `[..., 3, 3]`. The transpose is the inverse rotation: the transpose of
    `rotation(azimuth, elevation)` rotates a scene so that this direction becomes the front.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf.spatial import directions
    >>> quarter = directions.rotation(3.14159265 / 2)  # To the left.
    >>> directions.rotate(tf.constant([1.0, 0.0, 0.0]), quarter).numpy().round(3).tolist()
    [-0.0, 1.0, 0.0]
  """
  yaw = tf.convert_to_tensor(yaw_rad)
  pitch = tf.convert_to_tensor(pitch_rad, yaw.dtype)
  roll = tf.convert_to_tensor(roll_rad, yaw.dtype)
  shape = tf.shape(yaw + pitch + roll)
  (cy, sy), (cp, sp), (cr, sr) = (
    (tf.broadcast_to(tf.cos(a), shape), tf.broadcast_to(tf.sin(a), shape))
    for a in (yaw, pitch, roll)
  )
  return tf.stack(
    [
      tf.stack([cy * cp, -sy * cr - cy * sp * sr, sy * sr - cy * sp * cr], axis=-1),
      tf.stack([sy * cp, cy * cr - sy * sp * sr, -cy * sr - sy * sp * cr], axis=-1),
      tf.stack([sp, cp * sr, cp * cr], axis=-1),
    ],
    axis=-2,
  )


def rotate(vectors: Tensor, rotations: Tensor) -> Tensor:
  """Rotates vectors.

  Args:
    vectors: float `[..., 3]`.
    rotations: float `[..., 3, 3]`.

  Returns:
    `[..., 3]`.
  """
  return tf.linalg.matvec(rotations, vectors)
