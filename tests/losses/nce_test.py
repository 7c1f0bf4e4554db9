"""Tests of the contrastive losses against closed forms and NumPy."""

import numpy as np
import tensorflow as tf

from avssl_tf.losses import nce


class NCETest(tf.test.TestCase):

  def setUp(self):
    super().setUp()
    rng = np.random.default_rng(0)
    self.positive = rng.normal(0, 3, (5, 2))
    self.negative = rng.normal(0, 3, (5, 7))

  def test_nce_is_its_definition(self):
    normalizer = 1.7
    noise = 7 * normalizer
    probability = np.exp(self.positive) / (np.exp(self.positive) + noise)
    rest = noise / (np.exp(self.negative) + noise)
    expected = -np.log(probability).mean(1) - np.log(rest).sum(1)
    self.assertAllClose(nce.nce_loss(self.positive, self.negative, normalizer), expected)

  def test_nce_survives_large_scores(self):
    loss = nce.nce_loss(tf.constant([[-500.0]]), tf.constant([[500.0]]), tf.constant(1.0))
    self.assertAllClose(loss, [1000.0])

  def test_info_nce_is_softmax_cross_entropy(self):
    expected = np.mean(
      [
        tf.nn.sparse_softmax_cross_entropy_with_logits(
          np.zeros(5, int), np.concatenate([self.positive[:, i : i + 1], self.negative], 1)
        )
        for i in range(2)
      ],
      axis=0,
    )
    self.assertAllClose(nce.info_nce_loss(self.positive, self.negative), expected)

  def test_info_nce_of_equal_scores_is_log_of_their_number(self):
    loss = nce.info_nce_loss(tf.zeros([1, 1]), tf.zeros([1, 9]))
    self.assertAllClose(loss, [np.log(10)])

  def test_normalizer_is_the_mean_of_exponentials(self):
    self.assertAllClose(
      nce.estimate_normalizer(tf.constant(self.negative)), np.exp(self.negative).mean()
    )

  def test_scores_are_scaled_inner_products(self):
    rng = np.random.default_rng(1)
    query, rows = rng.standard_normal((3, 4)), rng.standard_normal((3, 5, 4))
    expected = [[query[i] @ rows[i, j] / 0.1 for j in range(5)] for i in range(3)]
    self.assertAllClose(nce.bank_scores(query, rows, 0.1), expected)


if __name__ == "__main__":
  tf.test.main()
