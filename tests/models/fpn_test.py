"""Tests of the feature pyramid."""

import numpy as np
import tensorflow as tf

from avssl_tf.models import fpn
from tests import test_base


class TimePoolTest(test_base.TestCase):

  def test_starts_as_the_mean(self):
    pool = fpn.TimePool()
    x = tf.constant(self.rng.normal(size=[2, 5, 3, 4, 6]), tf.float32)
    self.assertAllClose(pool(x), tf.reduce_mean(x, axis=1), atol=1e-6)
    pool.weight.assign(tf.reshape(tf.one_hot(2, 5), [5, 1, 1, 1]))
    self.assertAllClose(pool(x), x[:, 2])


class FeaturePyramidTest(test_base.TestCase):

  def maps(self, count=2):
    sizes = {"conv2x": (4, 16, 3), "conv3x": (4, 8, 4), "conv4x": (2, 4, 5), "conv5x": (1, 2, 6)}
    return {
      name: tf.constant(self.rng.normal(size=[count, t, side, side, c]), tf.float32)
      for name, (t, side, c) in sizes.items()
    }

  def pyramid(self, **settings):
    return fpn.FeaturePyramid(7, pyramid_dim=8, head_dim=8, num_groups=2, **settings)

  def test_gives_classes_at_the_finest_resolution(self):
    pyramid = self.pyramid()
    self.assert_shape(pyramid(self.maps()), [2, 16, 16, 7], tf.float32)
    # A step of two, and a convolution before it, from each stage to the next.
    self.assertEqual(
      {stage: len(branch) for stage, branch in pyramid.branches.items()},
      {"conv2x": 1, "conv3x": 1, "conv4x": 2, "conv5x": 3},
    )

  def test_every_stage_and_every_variable_matters(self):
    pyramid, maps = self.pyramid(), self.maps()
    before = pyramid(maps)
    for name in maps:
      changed = {**maps, name: maps[name] + 1.0}
      self.assertNotAllClose(pyramid(changed), before, msg=name)
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(pyramid(maps) ** 2)
    for variable, gradient in zip(
      pyramid.trainable_variables, tape.gradient(loss, pyramid.trainable_variables)
    ):
      self.assertTrue(np.any(gradient), variable.name)

  def test_condition_joins_the_coarsest_map(self):
    pyramid, maps = self.pyramid(), self.maps()
    condition = tf.constant(self.rng.normal(size=[2, 9]), tf.float32)
    found = pyramid(maps, condition=condition)
    self.assert_shape(found, [2, 16, 16, 7])
    other = tf.stack([condition[0], condition[1] + 1.0])
    difference = np.abs(pyramid(maps, condition=other) - found).max(axis=(1, 2, 3))
    self.assertEqual(difference[0], 0.0)
    self.assertGreater(difference[1], 0.0)

  def test_sizes_that_are_no_powers_of_two(self):
    maps = {
      "conv2x": tf.zeros([1, 2, 7, 7, 3]), "conv3x": tf.zeros([1, 2, 7, 7, 3]),
      "conv4x": tf.zeros([1, 1, 3, 3, 3]), "conv5x": tf.zeros([1, 1, 2, 2, 3]),
    }  # fmt: skip
    self.assert_shape(self.pyramid()(maps), [1, 7, 7, 7])

  def test_bad_settings(self):
    for settings in ((1, 8, 8, 2), (7, 8, 9, 2)):
      with self.assertRaisesRegex(ValueError, "channels divisible by the number of groups"):
        fpn.FeaturePyramid(*settings)


if __name__ == "__main__":
  tf.test.main()
