"""A clip with its sound source localisation map."""

import dataclasses
from typing import Optional

import numpy as np

from avssl_tf.evaluation.localization import localization_metrics


@dataclasses.dataclass(frozen=True)
class LocalizedClip:
  """A clip with its sound source localisation map.

  Attributes:
    name: id of the clip.
    frame: uint8 `[H, W, 3]`, the middle input frame.
    heat: float32 `[H, W]`, the map scaled to 0..1.
    positive: bool `[H, W]`, the predicted source.
    boxes: float32 `[N, 4]`, ymin, xmin, ymax, xmax in 0..1, the ground truth; N is 0 if unknown.
    ciou: consensus IoU of the map; None without ground truth.
  """

  name: str
  frame: np.ndarray
  heat: np.ndarray
  positive: np.ndarray
  boxes: np.ndarray
  ciou: Optional[float]

  @property
  def is_found(self) -> bool:
    """Whether the source counts as found."""
    return self.ciou is not None and self.ciou >= localization_metrics.FOUND_IOU
