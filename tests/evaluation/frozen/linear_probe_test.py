"""Tests of the linear probe."""

import warnings
from unittest import mock

import numpy as np
from absl.testing import absltest

from avssl_tf.evaluation.frozen import linear_probe


def _clusters(rng, centres, count, noise=1.0):
  labels = rng.integers(len(centres), size=count)
  return centres[labels] + noise * rng.normal(size=(count, centres.shape[1])), labels


class LinearProbeTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.rng = np.random.default_rng(0)

  def test_agrees_with_gradient_descent_on_the_same_objective(self):
    centres = self.rng.normal(size=(4, 5))
    x, y = _clusters(self.rng, centres, 200)
    x_test, y_test = _clusters(self.rng, centres, 300)
    c = 0.1
    result = linear_probe.linear_probe(x, y, x_test, y_test, c_grid=(c,))

    mean, std = x.mean(axis=0), x.std(axis=0)
    z, z_test = (x - mean) / std, (x_test - mean) / std
    weights, bias = np.zeros((5, 4)), np.zeros(4)
    for _ in range(3000):
      logits = z @ weights + bias
      error = np.exp(logits - logits.max(axis=1, keepdims=True))
      error = error / error.sum(axis=1, keepdims=True) - np.eye(4)[y]
      weights -= 0.01 * (c * z.T @ error + weights)
      bias -= 0.01 * c * error.sum(axis=0)
    expected = np.mean(np.argmax(z_test @ weights + bias, axis=1) == y_test)
    self.assertAlmostEqual(result.top1, expected, delta=1 / 300)

  def test_scale_and_offset_of_features_do_not_matter(self):
    centres = self.rng.normal(size=(3, 6))
    x, y = _clusters(self.rng, centres, 150)
    x_test, y_test = _clusters(self.rng, centres, 150)
    scale, offset = np.array([1e-3, 1, 1, 1, 1, 1e3]), np.arange(6)
    plain = linear_probe.linear_probe(x, y, x_test, y_test)
    scaled = linear_probe.linear_probe(x * scale + offset, y, x_test * scale + offset, y_test)
    self.assertAlmostEqual(plain.top1, scaled.top1, delta=1 / 150)

  def test_constant_features_score_at_chance(self):
    labels = np.arange(100) % 4
    result = linear_probe.linear_probe(np.ones((100, 3)), labels, np.ones((100, 3)), labels)
    self.assertAlmostEqual(result.top1, 0.25)

  def test_same_result_every_time(self):
    centres = self.rng.normal(size=(16, 8))
    data = _clusters(self.rng, centres, 300) + _clusters(self.rng, centres, 300)
    self.assertEqual(linear_probe.linear_probe(*data), linear_probe.linear_probe(*data))

  def test_top5(self):
    # Ten classes on a line: the direction determines a class up to its neighbours.
    labels = np.arange(1000) % 10
    x = labels[:, None] + 1.5 * self.rng.normal(size=(1000, 1))
    result = linear_probe.linear_probe(x[:500], labels[:500], x[500:], labels[500:])
    self.assertGreater(result.top5, 0.8)
    self.assertLess(result.top1, 0.5)
    self.assertGreater(result.top1, 0.15)

  def test_two_classes(self):
    labels = np.arange(80) % 2
    x = labels[:, None] * 4.0 + self.rng.normal(size=(80, 1))
    result = linear_probe.linear_probe(x, labels, x, labels)
    self.assertGreater(result.top1, 0.9)
    self.assertEqual(result.top5, 1.0)
    flipped = linear_probe.linear_probe(x, labels, x, 1 - labels)
    self.assertAlmostEqual(flipped.top1, 1 - result.top1)

  def test_class_missing_in_training_counts_as_missed(self):
    x = np.array([[0.0], [1.0]] * 10)
    labels = np.array([0, 5] * 10)
    result = linear_probe.linear_probe(
      x, labels, np.array([[0.0], [1.0], [1.0], [1.0]]), [0, 5, 7, 7]
    )
    self.assertEqual(result.top1, 0.5)

  def test_penalty_is_chosen_without_the_test_rows(self):
    # Many features of noise: weak penalties fit the noise. The test labels are independent.
    centres = np.zeros((4, 60))
    centres[:, 0] = 3 * np.arange(4)
    x, y = _clusters(self.rng, centres, 120)
    choices = set()
    for _ in range(3):
      x_test, y_test = _clusters(self.rng, centres, 50)
      result = linear_probe.linear_probe(x, y, x_test, self.rng.permutation(y_test))
      choices.add(result.c)
    self.assertLen(choices, 1)

  def test_holdout_keeps_shares_of_classes(self):
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    fitting, validation = linear_probe.holdout(labels)
    np.testing.assert_array_equal(np.bincount(labels[validation]), [12, 6, 2])
    np.testing.assert_array_equal(np.sort(np.concatenate([fitting, validation])), np.arange(100))

  def test_works_with_a_single_row_of_a_class(self):
    labels = [0, 0, 0, 1, 1, 1, 2]
    # All classes are separate, including that of the single row.
    x = 10 * np.eye(3)[labels] + 0.1 * self.rng.normal(size=(7, 3))
    self.assertEqual(linear_probe.linear_probe(x, labels, x, labels).top1, 1.0)
    # The other half of the rows has wrong labels, so all of them are misclassified.
    wrong = [1, 1, 1, 0, 0, 0, 0]
    self.assertEqual(linear_probe.linear_probe(x, labels, x, wrong).top1, 0.0)

  def test_few_clips_of_many_classes_raise_no_warning(self):
    labels = np.arange(60) % 40
    x = self.rng.normal(size=(60, 4))
    with warnings.catch_warnings():
      warnings.simplefilter("error")
      linear_probe.linear_probe(x, labels, x, labels)

  def test_says_in_a_line_where_it_does_not_converge(self):
    x, labels = self.rng.normal(size=(200, 50)), self.rng.integers(4, size=200)
    with warnings.catch_warnings(), mock.patch.object(linear_probe, "_MAX_ITERATIONS", 3):
      warnings.simplefilter("error")
      with self.assertLogs("absl", "WARNING") as logs:
        linear_probe.linear_probe(x, labels, x, labels, c_grid=(1.0,))
    self.assertLen(logs.output, 1)
    self.assertIn("C = 1 did not converge in 3 iterations", logs.output[0])

  def test_other_warnings_are_passed_on(self):
    def fit(*unused):
      warnings.warn("something else", RuntimeWarning, stacklevel=1)

    with mock.patch.object(linear_probe.Pipeline, "fit", fit):
      with self.assertWarnsRegex(RuntimeWarning, "something else"):
        linear_probe._fit(np.eye(2), np.arange(2), 1.0)

  def test_rejects_bad_input(self):
    x = np.ones((4, 2))
    with self.assertRaisesRegex(ValueError, "at least two classes"):
      linear_probe.linear_probe(x, [1, 1, 1, 1], x, [1, 1, 1, 1])
    with self.assertRaisesRegex(ValueError, "not finite"):
      linear_probe.linear_probe(x * np.inf, [0, 1, 0, 1], x, [0, 1, 0, 1])
    with self.assertRaisesRegex(ValueError, "needs test rows"):
      linear_probe.linear_probe(x, [0, 1, 0, 1], x[:0], [])
    with self.assertRaisesRegex(ValueError, "c_grid"):
      linear_probe.linear_probe(x, [0, 1, 0, 1], x, [0, 1, 0, 1], c_grid=())


if __name__ == "__main__":
  absltest.main()
