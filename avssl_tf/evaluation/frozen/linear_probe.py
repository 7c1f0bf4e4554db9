"""Linear classification of frozen features."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import ClassVar

import gin
import numpy as np
from absl import logging
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from avssl_tf import keys
from avssl_tf.errors import UserError
from avssl_tf.evaluation.frozen import frozen_features, multi_label
from avssl_tf.inference.features import Features

_VALIDATION_SHARE = 0.2
_MAX_ITERATIONS = 1000


@gin.register
@dataclasses.dataclass(frozen=True)
class LinearProbe(frozen_features.FrozenClassification):
  """Evaluates frozen features by a linear classifier.

  Metrics: `linear_{video,audio}` and `linear_{video,audio}_top5`, top-1 and top-5 accuracy in 0..1.
  If clips have several labels, as in AudioSet, a separate classifier is fitted for each class, and
  the metrics are `linear_{video,audio}_map`, `..._auc` and `..._d_prime` over all labels; see
  `multi_label.scores`.

  Attributes:
    c_grid: inverse penalties; one of them is selected on held-out training rows.

  Source:
    This project.

  Examples:
    >>> import numpy as np
    >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> test = np.array([[0.8, 0.2], [0.2, 0.8]])
    >>> from avssl_tf.evaluation import LinearProbe
    >>> protocol = LinearProbe(c_grid=(1.0,))
    >>> protocol.accuracies("video", train, np.array([0, 0, 1, 1]), test, np.array([0, 1]))
    {'linear_video': 1.0, 'linear_video_top5': 1.0}
  """

  c_grid: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0)

  measures_all_labels: ClassVar[bool] = True

  def scores(self, train: Features, test: Features) -> dict[str, float]:
    """Metrics of each modality over the labelled clips."""
    if train.all_labels is None:
      return super().scores(train, test)
    train, test = (part.rows(part.all_labels.any(axis=1)) for part in (train, test))
    result = {}
    for modality in keys.MODALITIES:
      if train.of(modality) is not None:
        found = multi_label_probe(
          train.of(modality), train.all_labels, test.of(modality), self.c_grid
        )
        result.update(multi_label.scores(found, test.all_labels, f"linear_{modality}_"))
    return result

  def accuracies(
    self, modality, train_features, train_labels, test_features, test_labels
  ) -> dict[str, float]:
    """Top-1 and top-5 accuracy of `linear_probe`."""
    found = linear_probe(
      train_features, train_labels, test_features, test_labels, c_grid=self.c_grid
    )
    return {f"linear_{modality}": found.top1, f"linear_{modality}_top5": found.top5}


@dataclasses.dataclass(frozen=True)
class LinearProbeResult:
  """Accuracy of a linear probe on the test rows.

  Attributes:
    top1: fraction of rows, in 0..1, whose class has the highest score.
    top5: fraction of rows, in 0..1, whose class is among the five highest scores.
    c: inverse strength of the L2 penalty that was used.
  """

  top1: float
  top5: float
  c: float


def linear_probe(
  train_features: np.ndarray,
  train_labels: np.ndarray,
  test_features: np.ndarray,
  test_labels: np.ndarray,
  c_grid: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0),
) -> LinearProbeResult:
  """Fits multinomial logistic regression on standardised features and tests it.

  Features are standardised by the mean and standard deviation of the training rows. The L2 penalty
  is selected from `c_grid` on a fifth of the training rows (stratified, always the same rows),
  without using the test rows. The classifier is then fitted on all training rows. The objective is
  convex and the solver L-BFGS, so the result is deterministic.

  Args:
    train_features: float `[N, D]`.
    train_labels: int `[N]`, at least two classes.
    test_features: float `[M, D]`.
    test_labels: int `[M]`; a class that is missing from the training rows counts as misclassified.
    c_grid: inverse penalties to choose from (`C` of scikit-learn, the weight of the log loss,
      summed over rows, relative to half the squared weights); with a single value no rows are held
      out.

  Returns:
    Top-1 and top-5 accuracy, and the selected penalty.

  Raises:
    UserError: fewer than two classes in the training rows, no test rows, an empty grid, or features
      that are not finite.

  Source:
    This project.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.evaluation import linear_probe
    >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> test = np.array([[0.8, 0.2], [0.2, 0.8]])
    >>> linear_probe(train, np.array([0, 0, 1, 1]), test, np.array([0, 1]), c_grid=(1.0,))
    LinearProbeResult(top1=1.0, top5=1.0, c=1.0)
  """
  train_features, test_features = _as_float(train_features), _as_float(test_features)
  train_labels, test_labels = np.asarray(train_labels), np.asarray(test_labels)
  if len(np.unique(train_labels)) < 2:
    raise UserError(
      "A linear probe needs at least two classes in the training rows, "
      f"got {np.unique(train_labels).tolist()} in {len(train_labels)} rows."
    )
  if len(test_labels) == 0:
    raise UserError("A linear probe needs test rows, got none.")
  c = _choose_c(train_features, train_labels, c_grid)
  classifier = _fit(train_features, train_labels, c)
  return LinearProbeResult(
    top1=_top_k_accuracy(classifier, test_features, test_labels, 1),
    top5=_top_k_accuracy(classifier, test_features, test_labels, 5),
    c=c,
  )


def multi_label_probe(
  train_features: np.ndarray,
  train_labels: np.ndarray,
  test_features: np.ndarray,
  c_grid: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0),
) -> np.ndarray:
  """Fits a logistic regression for each class on standardised features, and scores test rows.

  One L2 penalty for all classes is selected from `c_grid` by mean average precision on a fifth of
  the training rows, always the same ones.

  Args:
    train_features: float `[N, D]`.
    train_labels: bool `[N, C]`, the classes of each row.
    test_features: float `[M, D]`.
    c_grid: as in `linear_probe`.

  Returns:
    float64 `[M, C]`, log odds; 0 for classes that all or none of the training rows have.

  Raises:
    UserError: the grid is empty, or features are not finite.
  """
  train_features, test_features = _as_float(train_features), _as_float(test_features)
  if not c_grid:
    raise UserError("A linear probe needs at least one value in c_grid, got none.")
  scaler = StandardScaler().fit(train_features)
  train_features, test_features = map(scaler.transform, (train_features, test_features))

  def scored(rows, features, c):
    return np.stack(
      [_log_odds(train_features[rows], of_class[rows], features, c) for of_class in train_labels.T],
      axis=1,
    )

  best = c_grid[0]
  if len(c_grid) > 1:
    fitting, validation = holdout(np.zeros(len(train_features), np.int64))
    truth = train_labels[validation]
    found = {}
    for c in sorted(c_grid):
      predicted = scored(fitting, train_features[validation], c)
      found[c] = multi_label.mean_average_precision(predicted, truth)
    best = max(found, key=found.get)
  return scored(np.arange(len(train_features)), test_features, best)


def _log_odds(
  train_features: np.ndarray, of_class: np.ndarray, test_features: np.ndarray, c: float
) -> np.ndarray:
  if of_class.all() or not of_class.any():
    return np.zeros(len(test_features))
  classifier = LogisticRegression(C=c, max_iter=_MAX_ITERATIONS)
  return classifier.fit(train_features, of_class).decision_function(test_features)


def holdout(labels: np.ndarray, share: float = _VALIDATION_SHARE) -> tuple[np.ndarray, np.ndarray]:
  """Splits rows into a fitting and a validation part, always in the same way.

  The split is stratified if every class is large enough for that (two rows, and no more classes
  than validation rows).

  Args:
    labels: int `[N]`.
    share: fraction of the rows in the validation part.

  Returns:
    Positions of the fitting rows and of the validation rows.
  """
  _, counts = np.unique(labels, return_counts=True)
  num_validation = int(np.ceil(share * len(labels)))
  stratify = counts.min() >= 2 and len(counts) <= min(num_validation, len(labels) - num_validation)
  fitting, validation = train_test_split(
    np.arange(len(labels)),
    test_size=num_validation,
    random_state=0,
    stratify=labels if stratify else None,
  )
  return np.sort(fitting), np.sort(validation)


def _as_float(features: np.ndarray) -> np.ndarray:
  """Converts to float32 `[N, D]` and checks that all values are finite."""
  features = np.asarray(features, np.float32)
  if not np.isfinite(features).all():
    raise UserError("A linear probe got features that are not finite.")
  return features


def _choose_c(features: np.ndarray, labels: np.ndarray, c_grid: Sequence[float]) -> float:
  """The value of `c_grid` with the best held-out accuracy; the smallest in case of ties."""
  if not c_grid:
    raise UserError("A linear probe needs at least one value in c_grid, got none.")
  if len(c_grid) == 1:
    return c_grid[0]
  fitting, validation = holdout(labels)
  if len(np.unique(labels[fitting])) < 2:
    return min(c_grid)  # Too few rows for a selection: use the strongest penalty.
  scores = {}
  for c in sorted(c_grid):
    classifier = _fit(features[fitting], labels[fitting], c)
    scores[c] = _top_k_accuracy(classifier, features[validation], labels[validation], 1)
  return max(scores, key=scores.get)


def _fit(features: np.ndarray, labels: np.ndarray, c: float) -> Pipeline:
  """Fits the classifier; logs one line if it does not converge."""
  classifier = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=_MAX_ITERATIONS))
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    classifier.fit(features, labels)
  for warning in caught:
    if issubclass(warning.category, ConvergenceWarning):
      logging.warning(
        "The linear classifier with C = %g did not converge in %d iterations; its accuracy is that "
        "after the last iteration.",
        c,
        classifier[-1].n_iter_[0],
      )
    elif "number of unique classes" not in str(warning.message):  # Few clips per class are valid.
      warnings.warn_explicit(
        warning.message, warning.category, warning.filename, warning.lineno
      )
  return classifier


def _top_k_accuracy(
  classifier: Pipeline, features: np.ndarray, labels: np.ndarray, k: int
) -> float:
  """Fraction of rows whose label is among the `k` classes with the highest scores."""
  scores = classifier.decision_function(features)
  if scores.ndim == 1:  # For two classes scikit-learn returns only the score of the second.
    scores = np.stack([-scores, scores], axis=1)
  best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
  return float(np.mean(np.any(classifier.classes_[best] == labels[:, None], axis=1)))
