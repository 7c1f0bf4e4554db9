"""Linear classification of the maps of each stage of a frozen video network.

The protocol of Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with
Cross-Modal Agreement", CVPR 2021, section 5, on Kinetics-400. In the authors' code
the network's batch normalisation follows the data of the evaluation; here all of it is frozen.
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
  """Trains a batch-normalised linear classifier on the max-pooled map of each stage, all at once.

  Metrics are named after the stage: `conv5x_video_top1`. The defaults are the published ones, but
  for the augmentation, which was a crop of 224 x 224 of 256 x 256.

  Attributes, beside those of `ClassifierProtocol`:
    pools: by stage, the size `(T, H, W)` to which its map is pooled; a map that is smaller in a
      dimension stays as it is there.
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
    """Classifiers on the maps of the frozen network."""
    frames_shape = (clip.num_frames, clip.frame_size, clip.frame_size, 3)
    return StageClassifiers(encoder.video_maps, self.pools, frames_shape, num_classes)
