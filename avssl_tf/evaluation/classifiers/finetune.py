"""Fine-tuning of the video network for action recognition.

The protocol of Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal
Agreement", CVPR 2021, section 5, on UCF-101 and HMDB-51.
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
  """Fine-tunes the video network with dropout and a linear classifier on its pooled features.

  Each fold starts from the pretrained weights. First only the classifier is trained, on a network
  that runs in inference mode or, as in the authors' code, in training mode. Then all weights are
  trained. The defaults are those for UCF-101 with 8 frames. For further settings and the metrics
  see `ClassifierProtocol`.

  Attributes:
    classifier_epochs: warm-up epochs in which only the classifier is trained, at `learning_rate`,
      before the `num_epochs` in which all weights are trained.
    warmup_batch_norm: whether batch normalisation of the network runs in training mode during the
      warm-up and updates its statistics.
    dropout: dropout rate of the features.
    from_scratch: whether the network starts from random weights instead, as a baseline, without
      warm-up.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 5.

  Examples:
    >>> from avssl_tf.evaluation import Finetune
    >>> protocol = Finetune(num_frames=32, clips_per_video=5, batch_size=32)
    >>> protocol.milestone_epochs, protocol.factor, protocol.num_epochs
    ((6, 10, 14), 0.3, 16)
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
        "A SavedModel cannot be fine-tuned: pass the folder of a run or of a converted checkpoint."
      )

  def make(self, encoder: Encoder, clip: ClipSpec, num_classes: int) -> NetworkClassifier:
    """Creates a copy of the network with a classifier."""
    del clip
    network = encoder.make_model(trained=not self.from_scratch)
    return NetworkClassifier(network, num_classes, self.dropout, self.seed)

  def phases(self, model: NetworkClassifier, steps_per_epoch: int) -> list[Phase]:
    """The warm-up of the classifier, then training of all weights."""
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
