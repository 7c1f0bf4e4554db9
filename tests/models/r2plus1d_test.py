"""The R(2+1)D networks: shapes, options, errors. Golden numbers: reference_weights_test.py."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.models import r2plus1d
from tests import test_base


class R2Plus1DTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.parameters(("avid", 8), ("avsa", 16))
  def test_shapes_of_the_stages(self, stem, size):
    net = r2plus1d.R2Plus1D(depth=10, width_multiplier=1 / 16, stem=stem)
    maps = net(tf.zeros([2, 8, 32, 32, 3]))
    self.assert_shape(maps["conv1"], (2, 8, size, size, 4))
    self.assert_shape(maps["conv2x"], (2, 8, size, size, 4))
    self.assert_shape(maps["conv3x"], (2, 4, size // 2, size // 2, 8))
    self.assert_shape(maps["conv4x"], (2, 2, size // 4, size // 4, 16))
    self.assert_shape(maps["conv5x"], (2, 1, size // 8, size // 8, 32))
    self.assert_shape(maps["pooled"], (2, 32), tf.float32)

  @parameterized.parameters((6, 4, 1), (10, 4, 2), (18, 8, 2), (34, 16, 2))
  def test_depth(self, depth, num_blocks, num_pairs):
    net = r2plus1d.R2Plus1D(depth, width_multiplier=1 / 32)
    blocks = [b for stage in (net.conv2x, net.conv3x, net.conv4x, net.conv5x) for b in stage]
    self.assertLen(blocks, num_blocks)
    for block in blocks:
      self.assertLen(block.pairs, num_pairs)
    self.assertEqual(2 + num_blocks * num_pairs, depth)

  def test_stem_pool_is_a_padded_maximum(self):
    net = r2plus1d.R2Plus1D(6, width_multiplier=1 / 16)
    bare = r2plus1d.R2Plus1D(6, width_multiplier=1 / 16, stem="avsa")
    x = tf.constant(self.rng.normal(size=(2, 2, 20, 20, 3)), tf.float32)
    net(x)
    bare(x)
    bare.set_weights(net.get_weights())
    full = bare(x)["conv1"].numpy()
    padded = np.pad(full, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = np.zeros((2, 2, 5, 5, 4))
    for i in range(5):
      for j in range(5):
        window = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        expected[:, :, i, j] = window.max(axis=(2, 3))
    self.assertAllClose(net(x)["conv1"], expected)

  def test_small_frames(self):
    net = r2plus1d.R2Plus1D(
      depth=6, width_multiplier=1 / 4, stem="avsa", stem_kernel=(3, 5, 5),
      stage_strides=((1, 2, 2), (2, 1, 1), (2, 2, 2), (1, 1, 1)),
    )
    maps = net(tf.zeros([1, 8, 32, 32, 3]))
    self.assert_shape(maps["conv5x"], (1, 2, 4, 4, 128))

  def test_bad_settings(self):
    with self.assertRaisesRegex(ValueError, r"depth is 50; expected one of \[6, 10, 18, 34\]"):
      r2plus1d.R2Plus1D(50)
    with self.assertRaisesRegex(ValueError, "stem is 'resnet'"):
      r2plus1d.R2Plus1D(stem="resnet")
    with self.assertRaisesRegex(ValueError, "3 stage_widths"):
      r2plus1d.R2Plus1D(stage_widths=(1, 2, 3))


if __name__ == "__main__":
  tf.test.main()
