"""Tests of kNN classification against a loop over neighbours."""

from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.evaluation.frozen import knn


def _oracle(train, labels, test, k, temperature):
  """One row at a time: sort all neighbours, add their votes one by one."""
  predictions = []
  for query in test:
    cosine = [query @ row / (np.linalg.norm(query) * np.linalg.norm(row)) for row in train]
    nearest = np.argsort(cosine)[::-1][:k]
    votes = {}
    for i in nearest:
      vote = (1, cosine[i]) if temperature is None else (np.exp(cosine[i] / temperature), 0)
      count, similarity = votes.get(labels[i], (0, 0))
      votes[labels[i]] = (count + vote[0], similarity + vote[1])
    predictions.append(max(votes, key=votes.get))
  return np.array(predictions)


class KnnTest(parameterized.TestCase):
  @parameterized.product(k=(1, 4, 15, 1000), temperature=(None, 0.07))
  def test_agrees_with_oracle(self, k, temperature):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 6))
    labels = rng.integers(5, size=90)
    train = (centres[labels] + rng.normal(size=(90, 6))) * rng.uniform(0.1, 10, size=(90, 1))
    test = rng.normal(size=(40, 6))
    np.testing.assert_array_equal(
      knn.predict(train, labels, test, k, temperature), _oracle(train, labels, test, k, temperature)
    )

  @parameterized.parameters(1, 50, 777, 2**25)
  def test_blocks_do_not_change_predictions(self, block_elements):
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(50, 4)), rng.normal(size=(2500, 4))
    labels = rng.integers(3, size=50)
    with mock.patch.object(knn, "_BLOCK_ELEMENTS", block_elements):
      whole = knn.predict(train, labels, test, 5)
    parts = [knn.predict(train, labels, test[i : i + 100], 5) for i in range(0, 2500, 100)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))

  def test_temperature_weighs_near_neighbours(self):
    train = np.array([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8]])
    labels = np.array([1, 0, 0])
    query = np.array([[1.0, 0.0]])
    self.assertEqual(knn.predict(train, labels, query, 3, temperature=None), [0])
    self.assertEqual(knn.predict(train, labels, query, 3, temperature=0.07), [1])

  def test_small_temperature_does_not_overflow(self):
    train = np.eye(2)
    np.testing.assert_array_equal(knn.predict(train, [0, 1], train, 2, temperature=1e-4), [0, 1])

  def test_accuracy(self):
    train, labels = np.eye(3), np.array([0, 1, 2])
    self.assertAlmostEqual(knn.accuracy(train, labels, train, [0, 1, 1], k=1), 2 / 3)

  def test_rejects_bad_input(self):
    rows = np.eye(2)
    with self.assertRaisesRegex(ValueError, "negative training label"):
      knn.predict(rows, [0, -1], rows)
    with self.assertRaisesRegex(ValueError, "one label per row"):
      knn.predict(rows, [0], rows)
    with self.assertRaisesRegex(ValueError, "k >= 1"):
      knn.predict(rows, [0, 1], rows, k=0)
    with self.assertRaisesRegex(ValueError, "temperature above 0"):
      knn.predict(rows, [0, 1], rows, temperature=0.0)


if __name__ == "__main__":
  absltest.main()
