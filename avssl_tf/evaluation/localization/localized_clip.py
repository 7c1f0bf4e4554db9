"""A clip with the map of where a network takes its sound to come from."""

import dataclasses
from typing import Optional

import numpy as np

from avssl_tf.evaluation.localization import localization_metrics


@dataclasses.dataclass(frozen=True)
class LocalizedClip:
  """A clip with the map of where its sound comes from.

  Attributes:
    name: id of the clip.
    frame: uint8 `[H, W, 3]`, the middle frame that the network saw.
    heat: float32 `[H, W]` in 0..1, the map, scaled.
    positive: bool `[H, W]`, where the map says that the source is.
    boxes: float32 `[N, 4]`, ymin, xmin, ymax, xmax in 0..1 of what sounds, of the truth; none
      where nothing is known.
    ciou: consensus IoU of the map; None where nothing is known.
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
