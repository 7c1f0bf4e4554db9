"""Metrics of sound source localisation.

Consensus IoU and its area under the curve are those of Senocak, Oh, Kim, Yang, Kweon, "Learning to
Localize Sound Source in Visual Scenes", CVPR 2018, as reported by EZ-VSL (Mo, Morgado, "Localizing
Visual Sounds the Easy Way", ECCV 2022). Metrics that include images without a visible source are
those of SLAVC and follow its code (section 5 of Mo, Morgado, NeurIPS 2022, "A Closer Look
at Weakly-Supervised Audio-Visual Source Localization").
"""

from collections.abc import Sequence
from typing import Optional

import cv2
import numpy as np
from sklearn import metrics

from avssl_tf.errors import UserError

# Minimum consensus IoU for a source to count as found.
FOUND_IOU = 0.5
_AUC_THRESHOLDS = np.linspace(0.0, 1.0, 21)
# Fraction of the highest pixels of a map whose mean is the confidence.
_CONFIDENCE_SHARE = 0.25


def enlarge(values: np.ndarray, height: int, width: int) -> np.ndarray:
  """Resizes a map `[h, w]` to the size of an image, bilinearly: float32 `[height, width]`."""
  # Also used if the map is larger than the image: maps contain no details that would alias.
  return cv2.resize(np.float32(values), (width, height), interpolation=cv2.INTER_LINEAR)


def normalize(values: np.ndarray) -> np.ndarray:
  """A map scaled to 0..1, float32 `[H, W]`; a constant map becomes 1."""
  low, high = np.min(values), np.max(values)
  if high <= low:
    return np.ones_like(values, np.float32)
  return np.float32((values - low) / (high - low))


def positives(
  values: np.ndarray, share: Optional[float] = 0.5, level: Optional[float] = None
) -> np.ndarray:
  """Binarises a map.

  Args:
    values: float `[H, W]`.
    share: fraction, in 0..1, of the highest pixels that are positive, including all ties with the
      lowest of them. The published rule is 0.5: pixels from the median on are positive. This rule
      presumes the size of the sources.
    level: instead of a fraction, the threshold of the map scaled to 0..1.

  Returns:
    bool `[H, W]`, the predicted source; True everywhere for a constant map.

  Raises:
    UserError: not exactly one of `share` and `level` is given, or it is out of range.

  Examples:
    >>> positives(np.array([[0.1, 0.9], [0.3, 0.2]]), share=0.25).tolist()
    [[False, True], [False, False]]
  """
  check_rule(share, level)
  if level is not None:
    return normalize(values) >= level
  ascending = np.sort(values, axis=None)
  first = min(int(round((1.0 - share) * ascending.size)), ascending.size - 1)
  return values >= ascending[first]


def check_rule(share: Optional[float], level: Optional[float]) -> None:
  """Raises a `UserError` unless exactly one of `share` and `level` is given, in 0..1."""
  if (share is None) == (level is None):
    raise UserError(
      f"positive_share is {share} and positive_level is {level}; expected one of them to be None."
    )
  name, value = ("share", share) if level is None else ("level", level)
  if not 0.0 < value <= 1.0:
    raise UserError(f"{name} is {value}; expected more than 0 and at most 1.")


def consensus_iou(positive: np.ndarray, truth: np.ndarray) -> float:
  """Intersection over union with soft ground truth (consensus IoU).

  Args:
    positive: bool `[H, W]`, the predicted source.
    truth: float `[H, W]` in 0..1, the agreement of annotators; positive for at least one pixel.

  Returns:
    sum(positive * truth) / (sum(truth) + sum(positive where truth is 0)), in 0..1.

  Examples:
    >>> consensus_iou(np.array([[True, True, False]]), np.array([[1.0, 0.0, 1.0]])).__round__(3)
    0.333
  """
  found = np.sum(truth, where=positive, dtype=np.float64)
  wrong = np.count_nonzero(positive & (truth == 0))
  return float(found / (np.sum(truth, dtype=np.float64) + wrong))


def confidence(values: np.ndarray) -> float:
  """Confidence that there is a source: the mean of the highest quarter of a map.

  Args:
    values: float `[H, W]`, similarities without normalisation.
  """
  ascending = np.sort(values, axis=None)
  return float(np.mean(ascending[-max(1, round(_CONFIDENCE_SHARE * ascending.size)) :]))


def area_under_curve(ious: Sequence[float]) -> float:
  """Area, in 0..1, under the fraction of found sources over 21 IoU thresholds 0, 0.05 .. 1."""
  # Removes rounding errors, which may raise a threshold above its nominal value.
  thresholds = np.round(_AUC_THRESHOLDS, 2)
  shares = np.mean(np.asarray(ious)[:, np.newaxis] >= thresholds, axis=0)
  return float(metrics.auc(thresholds, shares))


def detection(
  ious: Sequence[float], confidences: Sequence[float], visible: Sequence[bool]
) -> dict[str, float]:
  """Detection and localisation of visible sources, over all confidence thresholds.

  If the confidence reaches the threshold, an image with a visible source is a true positive if its
  consensus IoU is at least `FOUND_IOU`, and otherwise a false positive; an image without one is a
  false positive. A visible source below the threshold is a false negative. As in SLAVC, a source
  detected at the wrong position is not a false negative and does not reduce recall. `loc_ap` may
  therefore exceed the fraction of found sources.

  Args:
    ious: `[N]`, consensus IoU; ignored for images without a visible source.
    confidences: `[N]`.
    visible: `[N]`, whether the source is visible.

  Returns:
    `max_f1`, the maximum F1 score over the thresholds, and `loc_ap`, the area under the
    interpolated precision (the maximum at this or a higher recall) over recall; both in 0..1.
  """
  confidences, visible = np.asarray(confidences, np.float64), np.asarray(visible, bool)
  right = visible & (np.asarray(ious, np.float64) >= FOUND_IOU)
  order = np.argsort(-confidences, kind="stable")
  # Images of equal confidence pass a threshold together.
  last = np.append(np.flatnonzero(np.diff(confidences[order])), len(order) - 1)
  counted = np.arange(1, len(order) + 1)[last]
  true = np.cumsum(right[order])[last]
  missed = np.count_nonzero(visible) - np.cumsum(visible[order])[last]
  f1 = 2 * true / np.maximum(true + counted + missed, 1)
  precision = true / counted
  recall = np.where(true + missed > 0, true / np.maximum(true + missed, 1), 1.0)
  best = np.maximum.accumulate(precision[::-1])[::-1]
  return {
    "max_f1": float(f1.max()),
    "loc_ap": float(np.sum(best * np.diff(recall, prepend=0.0))),
  }


def summarize(
  ious: Sequence[float], confidences: Sequence[float], visible: Sequence[bool]
) -> dict[str, float]:
  """All metrics of a method, in 0..1.

  Args:
    ious: `[N]`, consensus IoU of the images.
    confidences: `[N]`.
    visible: `[N]`, whether the source is visible; True for at least one image.

  Returns:
    `ap50`, the fraction of visible sources with a consensus IoU of at least `FOUND_IOU`; `auc` and
    `mean_ciou` of visible sources; `max_f1` and `loc_ap` of all images, if some have no visible
    source; the counts `num_visible` and `num_invisible`.
  """
  visible = np.asarray(visible, bool)
  of_visible = np.asarray(ious, np.float64)[visible]
  return {
    "ap50": float(np.mean(of_visible >= FOUND_IOU)),
    "auc": area_under_curve(of_visible),
    "mean_ciou": float(np.mean(of_visible)),
    **({} if visible.all() else detection(ious, confidences, visible)),
    "num_visible": int(visible.sum()),
    "num_invisible": int((~visible).sum()),
  }
