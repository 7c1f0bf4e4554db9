"""Metrics of clips that have several labels each, such as those of AudioSet, over all classes.

As Gemmeke et al., "Audio Set: An ontology and human-labeled dataset for audio events", ICASSP 2017,
and Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.
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
# Of a perfect ranking d' would be infinite; this gives 8.5.
_MAX_AUC = 1 - 1e-9


def has_several_labels(info: DatasetInfo) -> bool:
  """Whether the clips of a data set have several labels each."""
  return info.build.get("source") in _SOURCES


def scores(predicted: np.ndarray, labels: np.ndarray, prefix: str = "") -> dict[str, float]:
  """Mean average precision, area under the ROC curve and d', means over the classes.

  Classes without a positive or without a negative among the clips have no ranking: they are left
  out, and are counted. d' = sqrt(2) * Phi^-1(AUC) of the mean area.

  Args:
    predicted: float `[N, C]`, higher where a class is more likely.
    labels: bool `[N, C]`, the classes of each clip.
    prefix: of the names.

  Returns:
    By name: `map` and `auc` in 0..1, `d_prime`, and `left_out_classes`, their number.

  Raises:
    UserError: no class can be measured, or a score is NaN or infinite.
  """
  if not np.isfinite(predicted).all():
    raise UserError("Scores of classes are NaN or infinite.")
  measured = np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))
  left_out = labels.shape[1] - len(measured)
  if not len(measured):
    raise UserError(
      f"None of the {labels.shape[1]} classes has both clips with it and clips without it among "
      f"the {len(labels)} test clips: test on more clips."
    )
  if left_out:
    logging.info(
      "%d of %d classes are left out: all of the %d test clips have them, or none.",
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
  """As of `scores`; 0 where no class can be measured."""
  measured = np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))
  found = [average_precision_score(labels[:, c], predicted[:, c]) for c in measured]
  return float(np.mean(found)) if found else 0.0


def d_prime(auc: float) -> float:
  """sqrt(2) * Phi^-1(AUC): how far the scores of two normal distributions are apart."""
  return math.sqrt(2) * float(norm.ppf(np.clip(auc, 1 - _MAX_AUC, _MAX_AUC)))
