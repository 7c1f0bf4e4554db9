"""Tests of the support vector machines against scikit-learn's."""

import warnings

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from sklearn.svm import LinearSVC

from avssl_tf.evaluation import linear_svm
from tests import test_base


def _objective(weights, bias, features, targets, c):
  """The primal objective of one class, as scikit-learn has it."""
  hinge = np.maximum(0, 1 - targets * (features @ weights + bias))
  return (np.sum(weights**2) + bias**2) / 2 + c * np.sum(hinge)


class LinearSVMTest(test_base.TestCase, parameterized.TestCase):
  def _data(self, num_rows, num_dims, num_classes, spread):
    centers = self.rng.normal(size=(num_classes, num_dims))
    labels = self.rng.permutation(np.arange(num_rows) % num_classes)
    features = centers[labels] + spread * self.rng.normal(size=(num_rows, num_dims))
    return features.astype(np.float32), 3 * labels + 1  # labels with gaps

  @parameterized.parameters(
    (300, 20, 4, 1.0, 0.1),  # rows at the bound, at the margin and beyond it
    (300, 20, 2, 2.0, 0.01),
    (60, 200, 3, 1.0, 10.0),  # separable: the hard margin
  )
  def test_reaches_the_optimum_of_scikit_learn(self, num_rows, num_dims, num_classes, spread, c):
    features, labels = self._data(num_rows, num_dims, num_classes, spread)
    svm = linear_svm.fit(features, labels, c, tolerance=1e-3, max_passes=5000)
    self.assertLessEqual(svm.violation, 1e-3)
    self.assertAllEqual(svm.classes, np.unique(labels))
    for column, label in enumerate(svm.classes):
      targets = np.where(labels == label, 1, -1)
      oracle = LinearSVC(C=c, loss="hinge", tol=1e-6, max_iter=100000).fit(features, targets)
      weights, bias = svm.weights[:, column], svm.bias[column]
      if c < 1:  # At a hard margin the objective is all in the rounding of the hinge.
        self.assertAllClose(
          _objective(weights, bias, features, targets, c),
          _objective(oracle.coef_[0], oracle.intercept_[0], features, targets, c),
          rtol=1e-3,
        )
      self.assertAllClose(weights, oracle.coef_[0], atol=0.02 * np.abs(weights).max())
      self.assertAllClose(
        svm.decide(features)[:, column], oracle.decision_function(features), atol=0.02
      )

  def test_closed_form_of_two_points(self):
    """Points at 1 and 3: w = 1, b = -2 separate with margin 1 but b is penalised: (w x + b) = ±1
    binds on both, which leaves that one solution."""
    svm = linear_svm.fit(np.float32([[1], [3]]), np.array([0, 1]), 100, 1e-5, 10000)
    self.assertAllClose(svm.weights, [[-1, 1]], atol=1e-3)
    self.assertAllClose(svm.bias, [2, -2], atol=1e-3)

  def test_is_reproducible_and_stops_at_the_limit(self):
    features, labels = self._data(300, 20, 4, 3.0)
    first = linear_svm.fit(features, labels, 10.0, tolerance=1e-6, max_passes=3, seed=1)
    again = linear_svm.fit(features, labels, 10.0, tolerance=1e-6, max_passes=3, seed=1)
    self.assertAllEqual(first.weights, again.weights)
    self.assertEqual(first.num_passes, 3)
    self.assertGreater(first.violation, 1e-6)

  def test_refuses_what_cannot_be_fitted(self):
    features, labels = self._data(10, 3, 2, 1.0)
    with self.assertRaisesRegex(ValueError, "two classes or more"):
      linear_svm.fit(features, np.zeros(10), 1.0)
    with self.assertRaisesRegex(ValueError, "expected more than 0"):
      linear_svm.fit(features, labels, 0.0)
    features[3, 1] = np.nan
    with self.assertRaisesRegex(ValueError, "not finite"), warnings.catch_warnings():
      linear_svm.fit(features, labels, 1.0)


if __name__ == "__main__":
  tf.test.main()
