"""Confusion matrices of segmentation, and metrics computed from them."""

import numpy as np

from avssl_tf.errors import UserError


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
  """Counts the pixels of each true class (rows) and predicted class (columns).

  Args:
    truth: int, true classes, negative where unknown; unknown pixels are ignored.
    predicted: int, same shape as `truth`, in 0..num_classes - 1.
    num_classes: number of classes.

  Returns:
    int64 `[num_classes, num_classes]`.

  Raises:
    UserError: a class is not less than `num_classes`.
  """
  known = truth >= 0
  if known.any() and truth[known].max() >= num_classes:
    raise UserError(
      f"A mask has the class {truth[known].max()}; Segmentation.num_classes is {num_classes}."
    )
  numbers = truth[known].astype(np.int64) * num_classes + predicted[known]
  return np.bincount(numbers, minlength=num_classes**2).reshape(num_classes, num_classes)


def most_frequent(confusion: np.ndarray) -> np.ndarray:
  """The confusion matrix of predicting the most frequent class for all pixels."""
  counts = confusion.sum(axis=1)
  found = np.zeros_like(confusion)
  found[:, np.argmax(counts)] = counts
  return found


def scores(confusion: np.ndarray) -> dict[str, float]:
  """`mean_iou` over all classes that occur, true or predicted, and `pixel_accuracy`, in 0..1."""
  right = np.diagonal(confusion)
  union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
  there = union > 0
  return {
    "mean_iou": float(np.mean(right[there] / union[there])) if there.any() else 0.0,
    "pixel_accuracy": float(right.sum() / max(1, confusion.sum())),
  }
