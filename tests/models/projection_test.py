"""Projection heads against their formula."""

import re

import numpy as np
import tensorflow as tf

from avssl_tf.models import projection
from tests import test_base


class MLPHeadTest(test_base.TestCase):

  def test_equals_formula(self):
    head = projection.MLPHead((6, 5, 4))
    x = self.rng.normal(size=(3, 7)).astype(np.float32)
    found = head(x)
    expected = x
    for i, dense in enumerate(head.dense):
      expected = expected @ dense.kernel.numpy() + dense.bias.numpy()
      expected = np.maximum(expected, 0) if i < 2 else expected
    self.assertAllClose(found, expected, atol=1e-5)
    self.assertEqual(head.embedding_dim, 4)

  def test_batch_norm_comes_before_every_relu_but_not_last(self):
    head = projection.MLPHead((6, 5, 4), batch_norm=True)
    x = self.rng.normal(size=(32, 7)).astype(np.float32)
    head(x)
    self.assertLen(head.norms, 2)
    head.norms[1].gamma.assign(tf.zeros(5))
    head.norms[1].beta.assign(tf.range(-2.0, 3.0))
    expected = tf.nn.relu(tf.range(-2.0, 3.0))[tf.newaxis] @ head.dense[2].kernel
    self.assertAllClose(head(x, training=True), tf.repeat(expected, 32, axis=0), atol=1e-5)

  def test_bad_settings(self):
    for widths in ((), (8, 0)):
      with self.assertRaisesRegex(ValueError, f"widths is {re.escape(str(widths))}"):
        projection.MLPHead(widths)


if __name__ == "__main__":
  tf.test.main()
