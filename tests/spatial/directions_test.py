"""Tests of directions and rotations."""

import math

import numpy as np
import tensorflow as tf

from avssl_tf.spatial import directions
from tests import test_base


class DirectionsTest(test_base.TestCase):

  def test_axes(self):
    azimuth = tf.constant([0.0, math.pi / 2, math.pi, 0.3])
    elevation = tf.constant([0.0, 0.0, 0.0, math.pi / 2])
    expected = [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    self.assertAllClose(directions.unit_vectors(azimuth, elevation), expected, atol=1e-6)
    # Shapes broadcast.
    self.assert_shape(directions.unit_vectors(tf.zeros([2, 1]), tf.zeros([3])), [2, 3, 3])

  def test_angles_undo_unit_vectors(self):
    azimuth = self.rng.uniform(-math.pi, math.pi, [20])
    elevation = self.rng.uniform(-1.5, 1.5, [20])
    vectors = 3.0 * directions.unit_vectors(azimuth, elevation)
    found = directions.angles(vectors)
    self.assertAllClose(found[0], azimuth)
    self.assertAllClose(found[1], elevation)

  def test_angle_between(self):
    a = tf.constant([1.0, 0.0, 0.0])
    b = tf.constant([[2.0, 0.0, 0.0], [0.0, 0.0, 3.0], [-1.0, 0.0, 0.0], [1.0, 1e-4, 0.0]])
    self.assertAllClose(
      directions.angle_between(a, b), [0.0, math.pi / 2, math.pi, 1e-4], rtol=1e-5, atol=1e-9
    )

  def test_the_front_goes_where_yaw_and_pitch_say(self):
    yaw = self.rng.uniform(-math.pi, math.pi, [10])
    pitch = self.rng.uniform(-1.5, 1.5, [10])
    roll = self.rng.uniform(-math.pi, math.pi, [10])
    matrices = directions.rotation(yaw, pitch, roll)
    self.assertAllClose(matrices[:, :, 0], directions.unit_vectors(yaw, pitch))
    self.assertAllClose(
      tf.matmul(matrices, matrices, transpose_b=True), np.tile(np.eye(3), [10, 1, 1])
    )
    self.assertAllClose(tf.linalg.det(matrices), np.ones(10))

  def test_is_roll_then_pitch_then_yaw(self):
    yaw, pitch, roll = 0.3, 0.5, -0.7
    steps = [
      directions.rotation(yaw), directions.rotation(0.0, pitch), directions.rotation(0.0, 0.0, roll)
    ]  # fmt: skip
    self.assertAllClose(
      directions.rotation(yaw, pitch, roll), steps[0] @ steps[1] @ steps[2], atol=1e-6
    )

  def test_roll_lifts_the_left_side(self):
    left = tf.constant([0.0, 1.0, 0.0])
    rotated = directions.rotate(left, directions.rotation(0.0, 0.0, 0.2))
    self.assertAllClose(rotated, [0.0, math.cos(0.2), math.sin(0.2)])


if __name__ == "__main__":
  tf.test.main()
