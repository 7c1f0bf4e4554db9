"""Metrics of multi-label classification, as for AudioSet.

Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017;
Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.
"""

import math

import numpy as np
from absl import logging
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError

# Sources whose clips have several labels.
_SOURCES = ("audioset",)
# For a perfect ranking d' would be infinite; this limits it to 8.5.
_MAX_AUC = 1 - 1e-9


def has_several_labels(info: DatasetInfo) -> bool:
  """Whether the clips of a data set have several labels each."""
  return info.build.get("source") in _SOURCES


def scores(predicted: np.ndarray, labels: np.ndarray, prefix: str = "") -> dict[str, float]:
  """Mean average precision, mean area under the ROC curve, and d'.

  Means are taken over the classes that have both positive and negative clips. The other classes are
  skipped and counted. d' = sqrt(2) * Phi^-1(AUC) of the mean area.

  Args:
    predicted: float `[N, C]`, higher if a class is more likely.
    labels: bool `[N, C]`, the classes of each clip.
    prefix: prefix of the names.

  Returns:
    By name: `map` and `auc` in 0..1, `d_prime`, and `left_out_classes`, the number of skipped
    classes.

  Raises:
    UserError: no class can be evaluated, or a score is NaN or infinite.
  """
  if not np.isfinite(predicted).all():
    raise UserError("Scores of classes are NaN or infinite.")
  measured = np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))
  left_out = labels.shape[1] - len(measured)
  if not len(measured):
    raise UserError(
      f"None of the {labels.shape[1]} classes has both positive and negative clips among the "
      f"{len(labels)} test clips: test on more clips."
    )
  if left_out:
    logging.info(
      "%d of %d classes are skipped: they apply to all or none of the %d test clips.",
      left_out, labels.shape[1], len(labels),
    )  # fmt: skip
  auc = float(
    np.mean([roc_auc_score(labels[:, c], predicted[:, c]) for c in measured])
  )
  return {
    f"{prefix}map": mean_average_precision(predicted, labels),
    f"{prefix}auc": auc,
    f"{prefix}d_prime": d_prime(auc),
    f"{prefix}left_out_classes": float(left_out),
  }


def mean_average_precision(predicted: np.ndarray, labels: np.ndarray) -> float:
  """Average precision, averaged over the classes.

  Args:
    predicted: float `[N, C]`, higher if a class is more likely.
    labels: bool `[N, C]`, the classes of each clip. Classes that apply to all or none of the clips
      are skipped.

  Returns:
    Mean average precision in 0..1; 0 if no class can be evaluated.

  Source:
    Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events",
    ICASSP 2017.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.evaluation import mean_average_precision
    >>> labels = np.array([[False, False], [True, True], [False, True]])
    >>> mean_average_precision(np.array([[0.9, 0.2], [0.8, 0.7], [0.1, 0.6]]), labels)
    0.75
  """
  measured = np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))
  found = [average_precision_score(labels[:, c], predicted[:, c]) for c in measured]
  return float(np.mean(found)) if found else 0.0


def d_prime(auc: float) -> float:
  """d' = sqrt(2) * Phi^-1(AUC), the separation of two normal distributions of scores.

  Args:
    auc: area under the ROC curve, in 0..1.

  Returns:
    d', without unit; 0 at chance (AUC 0.5), limited to -8.5..8.5.

  Source:
    Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.

  Examples:
    >>> from avssl_tf.evaluation import d_prime
    >>> round(d_prime(0.9), 3)
    1.812
  """
  return math.sqrt(2) * float(norm.ppf(np.clip(auc, 1 - _MAX_AUC, _MAX_AUC)))
