"""Tests of the memory bank and of the draw of negatives."""

import numpy as np
import tensorflow as tf

from avssl_tf.losses import memory_bank


class DrawNegativesTest(tf.test.TestCase):

  def test_never_draws_the_own_row_and_all_others_alike(self):
    index = tf.constant([0, 3, 9], tf.int64)
    seed = tf.constant([1, 2])
    negatives = memory_bank.draw_negatives(index[:, tf.newaxis], 10, 30000, seed).numpy()
    for own, row in zip(index.numpy(), negatives):
      counts = np.bincount(row, minlength=10)
      self.assertEqual(counts[own], 0)
      others = np.delete(counts, own)
      # Five standard deviations of a binomial count.
      self.assertAllClose(others, np.full(9, 30000 / 9), atol=5 * np.sqrt(30000 / 9))

  def test_is_a_function_of_its_seed(self):
    index = tf.constant([4], tf.int64)
    draw = lambda seed: memory_bank.draw_negatives(index[:, tf.newaxis], 100, 50, tf.constant(seed))  # noqa: E731
    self.assertAllEqual(draw([0, 1]), draw([0, 1]))
    self.assertNotAllEqual(draw([0, 1]), draw([0, 2]))


class MemoryBankTest(tf.test.TestCase):

  def test_starts_with_random_unit_rows(self):
    bank = memory_bank.MemoryBank(50, 8, seed=3)
    self.assertAllClose(tf.norm(bank.rows, axis=1), tf.ones(50))
    self.assertNotAllClose(bank.rows, memory_bank.MemoryBank(50, 8, seed=4).rows)
    self.assertFalse(bank.rows.trainable)

  def test_update_moves_rows_halfway_and_normalises(self):
    bank = memory_bank.MemoryBank(4, 3, momentum=0.5)
    before = bank.rows.numpy()
    embedding = tf.constant([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    bank.update(tf.constant([2, 0], tf.int64), embedding)
    expected = before.copy()
    for row, e in ((2, embedding[0]), (0, embedding[1])):
      mixed = 0.5 * before[row] + 0.5 * e.numpy()
      expected[row] = mixed / np.linalg.norm(mixed)
    self.assertAllClose(bank.rows, expected)

  def test_a_video_twice_in_a_batch_gets_the_mean_whatever_the_order(self):
    embeddings = tf.math.l2_normalize(tf.random.stateless_normal([4, 3], [0, 0]), axis=1)
    results = []
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
      bank = memory_bank.MemoryBank(6, 3, momentum=0.5, seed=1)
      start = bank.rows.numpy()
      index = tf.gather(tf.constant([5, 2, 5, 1], tf.int64), order)
      bank.update(index, tf.gather(embeddings, order))
      results.append(bank.rows.numpy())
    self.assertAllClose(results[0], results[1])
    mean = embeddings[0] + embeddings[2]
    mixed = 0.5 * start[5] + 0.5 * mean.numpy() / np.linalg.norm(mean)
    self.assertAllClose(results[0][5], mixed / np.linalg.norm(mixed))

  def test_overwrite_forgets_the_old_row(self):
    bank = memory_bank.MemoryBank(3, 2)
    bank.overwrite(tf.constant([1], tf.int64), tf.constant([[0.0, 1.0]]))
    self.assertAllClose(bank.rows[1], [0.0, 1.0])


if __name__ == "__main__":
  tf.test.main()
