"""How well maps of where sound comes from agree with what is known to sound.

Consensus IoU and its area under the curve are those of Senocak, Oh, Kim, Yang, Kweon, "Learning to
Localize Sound Source in Visual Scenes", CVPR 2018, as EZ-VSL reports them (Mo, Morgado, "Localizing
Visual Sounds the Easy Way", ECCV 2022); what counts pictures without a visible source is of SLAVC
(Mo, Morgado, "A Closer Look at Weakly-Supervised Audio-Visual Source Localization", NeurIPS 2022,
section 5, and how its code counts).
"""

from collections.abc import Sequence
from typing import Optional

import cv2
import numpy as np
from sklearn import metrics

from avssl_tf.errors import UserError

# A source counts as found from this consensus IoU on.
FOUND_IOU = 0.5
_AUC_THRESHOLDS = np.linspace(0.0, 1.0, 21)
# Of the pixels of a map, those whose mean similarity is the confidence in there being a source.
_CONFIDENCE_SHARE = 0.25


def enlarge(values: np.ndarray, height: int, width: int) -> np.ndarray:
  """A map, float32 `[h, w]`, as large as a picture, bilinear: float32 `[height, width]`."""
  # Also where the map is larger than the picture: none of it is fine enough for that to matter.
  return cv2.resize(np.float32(values), (width, height), interpolation=cv2.INTER_LINEAR)


def normalize(values: np.ndarray) -> np.ndarray:
  """A map scaled to 0..1, float32 `[H, W]`; one that is the same everywhere becomes 1."""
  low, high = np.min(values), np.max(values)
  if high <= low:
    return np.ones_like(values, np.float32)
  return np.float32((values - low) / (high - low))


def positives(
  values: np.ndarray, share: Optional[float] = 0.5, level: Optional[float] = None
) -> np.ndarray:
  """Where a map says that there is a source.

  Args:
    values: float `[H, W]`.
    share: of the pixels, in 0..1, that are positive, the highest ones, with all that are equal to
      the lowest of them. One half is the published rule: positive from the median on. It takes for
      known how large sources are.
    level: in place of a share, positive is what is at least this high in the map scaled to 0..1.

  Returns:
    bool `[H, W]`; everywhere where all values are the same.

  Raises:
    UserError: not one of `share` and `level`, or out of its range.
  """
  check_rule(share, level)
  if level is not None:
    return normalize(values) >= level
  ascending = np.sort(values, axis=None)
  first = min(int(round((1.0 - share) * ascending.size)), ascending.size - 1)
  return values >= ascending[first]


def check_rule(share: Optional[float], level: Optional[float]) -> None:
  """Raises a `UserError` unless there is one of `share` and `level` of `positives`, in 0..1."""
  if (share is None) == (level is None):
    raise UserError(
      f"The share of positives is {share} and their level {level}; expected one of them and the "
      "other None."
    )
  name, value = ("share", share) if level is None else ("level", level)
  if not 0.0 < value <= 1.0:
    raise UserError(f"{name} is {value}; expected more than 0 and at most 1.")


def consensus_iou(positive: np.ndarray, truth: np.ndarray) -> float:
  """Intersection over union, where what is true is told by degrees.

  Args:
    positive: bool `[H, W]`, where a source is said to be.
    truth: float `[H, W]` in 0..1, the agreement that one is there; somewhere more than 0.

  Returns:
    sum(positive * truth) / (sum(truth) + sum(positive where truth is 0)), in 0..1.
  """
  found = np.sum(truth, where=positive, dtype=np.float64)
  wrong = np.count_nonzero(positive & (truth == 0))
  return float(found / (np.sum(truth, dtype=np.float64) + wrong))


def confidence(values: np.ndarray) -> float:
  """How sure a map is that there is a source: the mean of its highest quarter.

  Args:
    values: float `[H, W]`, similarities, not scaled to each other.
  """
  ascending = np.sort(values, axis=None)
  return float(np.mean(ascending[-max(1, round(_CONFIDENCE_SHARE * ascending.size)) :]))


def area_under_curve(ious: Sequence[float]) -> float:
  """Area under the share of sources that are found, over 21 thresholds 0, 0.05 .. 1; in 0..1."""
  # 0.05 times a whole number may lie a rounding above what it stands for.
  thresholds = np.round(_AUC_THRESHOLDS, 2)
  shares = np.mean(np.asarray(ious)[:, np.newaxis] >= thresholds, axis=0)
  return float(metrics.auc(thresholds, shares))


def detection(
  ious: Sequence[float], confidences: Sequence[float], visible: Sequence[bool]
) -> dict[str, float]:
  """How well visible sources are told from invisible ones and located, at all thresholds.

  As SLAVC counts, a source that is detected in the wrong place is no false negative, so that recall
  is of those that are not; `loc_ap` may be above the share of sources that are found.

  Where the confidence reaches the threshold, a picture with a source is a true positive if its
  consensus IoU is `FOUND_IOU` or more; otherwise, and where none is visible, a false positive. A
  source below the threshold is a false negative.

  Args:
    ious: `[N]`, consensus IoU; of pictures without a visible source of no consequence.
    confidences: `[N]`.
    visible: `[N]`, whether the source is in the picture.

  Returns:
    `max_f1`, the highest F1 score of any threshold, and `loc_ap`, the area under the precision,
    each the highest at that recall or a higher one, over recall; both in 0..1.
  """
  confidences, visible = np.asarray(confidences, np.float64), np.asarray(visible, bool)
  right = visible & (np.asarray(ious, np.float64) >= FOUND_IOU)
  order = np.argsort(-confidences, kind="stable")
  # A threshold lets all of equal confidence in.
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
    ious: `[N]`, consensus IoU of the pictures.
    confidences: `[N]`.
    visible: `[N]`, whether the source is in the picture; somewhere it is.

  Returns:
    `ap50`, the share of visible sources whose consensus IoU is `FOUND_IOU` or more, `auc` and
    `mean_ciou` of visible sources; `max_f1` and `loc_ap` of all pictures, if some are without a
    visible source; and how many there are.
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
