"""Padding, batch normalisation and pooling against slow references."""

import itertools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.models import convolution
from tests import test_base


def _slow_conv(x, kernel, strides):
  """Symmetrically padded convolution of `[B, *sizes, C]`, position by position."""
  rank = len(strides)
  pads = [(0, 0), *((k // 2, k // 2) for k in kernel.shape[:rank]), (0, 0)]
  x = np.pad(x, pads)
  sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:], kernel.shape, strides)]
  result = np.zeros((x.shape[0], *sizes, kernel.shape[-1]))
  for position in itertools.product(*map(range, sizes)):
    window = tuple(
      slice(p * s, p * s + k) for p, s, k in zip(position, strides, kernel.shape)
    )
    patch = x[(slice(None), *window)]
    result[(slice(None), *position)] = np.tensordot(patch, kernel, axes=rank + 1)
  return result


class ConvolutionTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.parameters(
    ((6, 7), (3, 3), (1, 1)),
    ((6, 7), (3, 3), (2, 2)),
    ((7, 6), (5, 7), (2, 1)),
    ((5, 5), (1, 1), (2, 2)),
    ((4, 6, 7), (3, 3, 3), (1, 1, 1)),
    ((5, 6, 4), (1, 3, 3), (1, 2, 2)),
    ((4, 5, 6), (3, 1, 1), (2, 1, 1)),
    ((4, 8, 8), (3, 5, 5), (1, 2, 2)),
  )
  def test_equals_slow_convolution(self, sizes, kernel, strides):
    layer_class = convolution.Conv2D if len(sizes) == 2 else convolution.Conv3D
    layer = layer_class(4, kernel, strides)
    x = self.rng.normal(size=(2, *sizes, 3)).astype(np.float32)
    found = layer(x)
    self.assertAllClose(found, _slow_conv(x, layer.kernel.numpy(), strides), atol=1e-4)
    self.assertEqual(layer.compute_output_shape(x.shape).as_list(), found.shape.as_list())

  @parameterized.parameters(1, 2, 3)
  def test_bfloat16_gradient_of_short_clips(self, num_frames):
    shape = [2, num_frames, 4, 4, 16]
    x, up = (tf.random.stateless_normal(shape, [0, seed]) for seed in range(2))
    gradients = []
    for dtype in (tf.float32, tf.bfloat16):
      layer = convolution.Conv3D(16, (3, 1, 1))
      layer(x)
      layer.kernel.assign(tf.random.stateless_normal(layer.kernel.shape, [0, 2]))
      with tf.GradientTape() as tape:
        kernel = tf.cast(layer.kernel, dtype)
        tape.watch(kernel)
        y = layer.convolution_op(tf.cast(x, dtype), kernel)
      gradient = tape.gradient(y, kernel, output_gradients=tf.cast(up, dtype))
      gradients.append(tf.cast(gradient, tf.float32).numpy())
    self.assertAllClose(*gradients, rtol=0, atol=0.02 * np.abs(gradients[0]).max())

  def test_even_kernels_are_refused(self):
    with self.assertRaisesRegex(ValueError, r"\(4, 3\); expected odd"):
      convolution.Conv2D(4, (4, 3))

  def test_start_has_he_variance(self):
    layer = convolution.Conv3D(64, (3, 3, 3))
    layer(tf.zeros([1, 3, 3, 3, 32]))
    self.assertAllClose(np.std(layer.kernel), np.sqrt(2 / (27 * 32)), rtol=0.05)
    self.assertIsNone(layer.bias)


class BatchNormTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.parameters([(6, 3)], [(4, 5, 6, 3)], [(2, 4, 5, 6, 3)])
  def test_equals_formula(self, *shape):
    shape = shape[0] if isinstance(shape[0], tuple) else shape
    layer = convolution.BatchNorm()
    x = self.rng.normal(2, 3, shape).astype(np.float32)
    axes = tuple(range(len(shape) - 1))
    mean, variance = x.mean(axes), x.var(axes)
    found = layer(x, training=True)
    self.assertAllClose(found, (x - mean) / np.sqrt(variance + 1e-5), atol=1e-4)
    # The running variance is the unbiased one where the kernel is fused, as in PyTorch.
    count = np.prod(shape[:-1])
    unbiased = variance * count / (count - 1) if len(shape) > 2 else variance
    self.assertAllClose(layer.moving_mean, 0.1 * mean, atol=1e-4)
    self.assertAllClose(layer.moving_variance, 0.9 + 0.1 * unbiased, atol=1e-3)
    layer.moving_mean.assign([1.0, 2.0, 3.0])
    layer.moving_variance.assign([1.0, 4.0, 9.0])
    expected = (x - [1, 2, 3]) / np.sqrt(np.array([1, 4, 9]) + 1e-5)
    self.assertAllClose(layer(x, training=False), expected, atol=1e-4)
    self.assertAllClose(layer(x), expected, atol=1e-4)

  def test_unknown_sizes(self):
    layer = convolution.BatchNorm()
    signature = tf.TensorSpec([None, None, None, None, 3], tf.float32)
    function = tf.function(lambda x: layer(x, training=False), input_signature=[signature])
    x = self.rng.normal(size=(2, 3, 4, 5, 3)).astype(np.float32)
    self.assertAllClose(function(x), x / np.sqrt(1 + 1e-5), atol=1e-5)

  def test_other_number_of_channels_is_an_error(self):
    layer = convolution.BatchNorm()
    layer(tf.zeros([2, 3, 4, 5, 3]))
    with self.assertRaises(ValueError):
      layer(tf.zeros([2, 3, 4, 5, 4]))


class PoolingTest(test_base.TestCase):

  def test_global_max_pool(self):
    x = self.rng.normal(size=(2, 3, 4, 5, 6))
    found = convolution.global_max_pool(tf.cast(x, tf.bfloat16))
    self.assert_shape(found, (2, 6), tf.float32)
    self.assertAllClose(found, x.max(axis=(1, 2, 3)), rtol=1e-2)

  def test_scaled_width(self):
    widths = [convolution.scaled_width(64, m) for m in (1.0, 0.5, 0.3, 1e-3)]
    self.assertEqual(widths, [64, 32, 19, 1])


if __name__ == "__main__":
  tf.test.main()
