"""Linear classification of the maps of each stage of a frozen video network.

The protocol of Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal
Agreement", CVPR 2021, section 5, on Kinetics-400. In the authors' code the network's batch
normalisation adapts to the evaluation data; here the whole network is frozen.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Optional

import gin

from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.evaluation.classifiers.classifier_protocol import ClassifierProtocol
from avssl_tf.evaluation.classifiers.video_classifier import StageClassifiers
from avssl_tf.inference.encoder import Encoder


@gin.register
@dataclasses.dataclass(frozen=True)
class KineticsLinear(ClassifierProtocol):
  """Trains a batch-normalised linear classifier on the max-pooled map of each stage, all jointly.

  Metrics are prefixed by the stage, as in `conv5x_video_top1`. The defaults are the published
  settings except for the augmentation, which was a 224 x 224 crop of 256 x 256 frames. For further
  settings and the metrics see `ClassifierProtocol`.

  Attributes:
    pools: by stage, the size `(T, H, W)` to which its map is pooled; a dimension in which a map is
      smaller is not pooled.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 5.

  Examples:
    >>> from avssl_tf.evaluation import KineticsLinear
    >>> KineticsLinear().pools["conv5x"]
    (1, 4, 4)
  """

  augmentation: Optional[Augmentation] = Augmentation(crop_area=(0.5, 0.8), crop_aspect=(1.0, 1.0))
  batch_size: int = 128
  num_epochs: int = 12
  milestone_epochs: Sequence[int] = (6, 9)
  pools: Mapping[str, Sequence[int]] = dataclasses.field(
    default_factory=lambda: {
      "conv2x": (1, 12, 12),
      "conv3x": (1, 8, 8),
      "conv4x": (1, 6, 6),
      "conv5x": (1, 4, 4),
    }
  )

  def make(self, encoder: Encoder, clip: ClipSpec, num_classes: int) -> StageClassifiers:
    """Creates classifiers on the maps of the frozen network."""
    frames_shape = (clip.num_frames, clip.frame_size, clip.frame_size, 3)
    return StageClassifiers(encoder.video_maps, self.pools, frames_shape, num_classes)
