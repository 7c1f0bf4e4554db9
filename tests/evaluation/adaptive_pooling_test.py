"""Tests of adaptive pooling."""

import itertools
import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.evaluation import adaptive_pooling
from tests import test_base


def _oracle(x, sizes, reduce):
  """Bin by bin, all dimensions at once."""
  spatial = x.shape[1:-1]
  result = np.zeros((len(x), *sizes, x.shape[-1]), x.dtype)
  for place in itertools.product(*(range(k) for k in sizes)):
    window = tuple(
      slice(math.floor(i * n / k), math.ceil((i + 1) * n / k))
      for i, n, k in zip(place, spatial, sizes)
    )
    axes = tuple(range(1, x.ndim - 1))
    result[(slice(None), *place)] = reduce(x[(slice(None), *window)], axis=axes)
  return result


class AdaptivePoolingTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.parameters(
    ((4, 7, 5), (1, 4, 4)),
    ((4, 14, 14), (1, 6, 6)),
    ((2, 3, 6), (3, 4, 2)),  # Smaller than the map, larger, and a divisor of its size.
    ((4, 4, 4), (4, 4, 4)),
    ((9, 10), (4, 3)),
  )
  def test_against_numpy(self, spatial, sizes):
    x = self.rng.normal(size=(2, *spatial, 3)).astype(np.float32)
    for reduce, oracle in ((tf.reduce_max, np.max), (tf.reduce_mean, np.mean)):
      found = adaptive_pooling.adaptive_pool(tf.constant(x), sizes, reduce)
      self.assertAllClose(found, _oracle(x, sizes, oracle), atol=1e-6)

  def test_in_a_graph_with_an_open_batch(self):
    pool = tf.function(
      lambda x: adaptive_pooling.adaptive_pool(x, (1, 2, 2)),
      input_signature=[tf.TensorSpec([None, 2, 3, 3, 1])],
    )
    x = self.rng.normal(size=(4, 2, 3, 3, 1)).astype(np.float32)
    self.assertAllClose(pool(x), _oracle(x, (1, 2, 2), np.max))

  @parameterized.parameters(((2, 2),), ((1, 0, 2),))
  def test_wrong_sizes(self, sizes):
    with self.assertRaisesRegex(ValueError, r"\(2, 4, 4, 4, 1\).*one positive number"):
      adaptive_pooling.adaptive_pool(tf.zeros([2, 4, 4, 4, 1]), sizes)

  def test_unknown_size(self):
    pool = tf.function(
      lambda x: adaptive_pooling.adaptive_pool(x, (2,)),
      input_signature=[tf.TensorSpec([2, None, 1])],
      autograph=False,
    )
    with self.assertRaisesRegex(ValueError, "expected known sizes"):
      pool(tf.zeros([2, 4, 1]))


if __name__ == "__main__":
  tf.test.main()
