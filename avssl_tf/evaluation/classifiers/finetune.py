"""Fine-tuning: action recognition by the video network, trained further with a classifier.

The protocol of Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with
Cross-Modal Agreement", CVPR 2021, section 5, on UCF-101 and HMDB-51.
"""

import dataclasses
from collections.abc import Sequence

import gin

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.errors import UserError
from avssl_tf.evaluation.classifiers.classifier_protocol import ClassifierProtocol
from avssl_tf.evaluation.classifiers.classifier_training import Phase
from avssl_tf.evaluation.classifiers.video_classifier import NetworkClassifier
from avssl_tf.evaluation.protocol import added_field
from avssl_tf.inference.encoder import Encoder


@gin.register
@dataclasses.dataclass(frozen=True)
class Finetune(ClassifierProtocol):
  """Trains the video network with dropout and a linear classifier on its pooled features.

  Each fold begins with the pretrained weights. First the classifier learns alone, on a network
  that works as in inference or, as in the authors' code, as in training; then all learns. The
  defaults are those for UCF-101 with 8 frames.

  Attributes, beside those of `ClassifierProtocol`:
    classifier_epochs: epochs in which the classifier learns alone, at `learning_rate`; they come
      before the `num_epochs` in which all learns.
    warmup_batch_norm: whether batch normalisation of the network runs as in training while the
      classifier learns alone, and its statistics follow the data.
    dropout: share of the features that a training step leaves out.
    from_scratch: whether the network begins with random weights instead, as a baseline. Then
      the classifier does not learn alone.
  """

  clips_per_video: int = 10
  milestone_epochs: Sequence[int] = (6, 10, 14)
  factor: float = 0.3
  classifier_epochs: int = 5
  dropout: float = 0.5
  from_scratch: bool = False
  warmup_batch_norm: bool = added_field(False)

  def __post_init__(self):
    super().__post_init__()
    self._require("classifier_epochs", self.classifier_epochs >= 0, "0 or more")
    self._require("dropout", 0 <= self.dropout < 1, "0 or more, and less than 1")

  def check(self, encoder: Encoder) -> None:
    """Raises a `UserError` for a network that cannot be trained."""
    if encoder.make_model is None:
      raise UserError(
        "Fine-tuning needs a network that can be trained, which a SavedModel cannot: name the "
        "folder of a run or of a converted checkpoint."
      )

  def make(self, encoder: Encoder, clip: ClipSpec, num_classes: int) -> NetworkClassifier:
    """A copy of the network with a classifier."""
    del clip
    network = encoder.make_model(trained=not self.from_scratch)
    return NetworkClassifier(network, num_classes, self.dropout, self.seed)

  def phases(self, model: NetworkClassifier, steps_per_epoch: int) -> list[Phase]:
    """First the classifier alone, then all."""
    warm_up = Phase(
      0 if self.from_scratch else self.classifier_epochs,
      self.optimizer(learning_rate=self.learning_rate),
      **(
        {"meanwhile": model.classifier_alone}
        if self.warmup_batch_norm
        else {"frozen": [model.video_net]}
      ),
    )
    return [warm_up, *super().phases(model, steps_per_epoch)]
