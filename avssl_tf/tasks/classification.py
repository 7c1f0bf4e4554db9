"""Supervised classification: what the same networks learn when they are told the classes."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import LABEL, MODALITIES, Batch, Tensor
from avssl_tf.models.network import Network
from avssl_tf.tasks.task import Task


@gin.register
class Classification(Task):
  """Trains each tower with a linear classifier on its pooled features.

  The upper bound beside self-supervised results: the towers share nothing, the
  labels come from the records, and the projection heads stay as they are.

  Attributes:
    network: gives `{modality: {"features": [B, D], ...}}` for a batch.
  """

  uses_labels = True

  def __init__(
    self, network: Network, num_videos: int, num_classes: int, seed: int = 0, **kwargs
  ):
    """Puts classifiers on `network`.

    Args:
      network: the audio-visual network.
      num_videos: not used: nothing is remembered of single videos.
      num_classes: number of classes of the labels.
      seed: not used: what is random here is the classifiers' start, which
        follows the global seed.
      **kwargs: of the Keras model.

    Raises:
      UserError: the data has fewer than 2 classes.
    """
    super().__init__(network, num_videos, num_classes, seed, **kwargs)
    if num_classes < 2:
      raise UserError(
        f"Supervised training needs records with at least 2 labels, the data has {num_classes}. "
        "Build them from class folders or from a CSV with a label column."
      )
    self.classifiers = {
      modality: tf.keras.layers.Dense(num_classes, dtype="float32", name=f"{modality}_classifier")
      for modality in MODALITIES
    }

  def call(self, batch: Batch, training: bool = False) -> dict[str, Tensor]:
    """Logits by modality, float32 `[B, num_classes]`."""
    outputs = self.network(batch, training=training)
    return {m: self.classifiers[m](outputs[m]["features"]) for m in MODALITIES}

  @property
  def trained_variables(self) -> Sequence[tf.Variable]:
    """Those of the towers and classifiers: the projection heads have no part in this."""
    parts = (self.network.video_net, self.network.audio_net, *self.classifiers.values())
    return [variable for part in parts for variable in part.trainable_variables]

  def losses_of(self, batch: Batch) -> dict[str, Tensor]:
    """Losses and accuracies on a replica's batch."""
    labels = batch[LABEL]
    logits = self(batch, training=True)
    # A label of -1 is unknown: such clips have no part in the loss.
    known = labels >= 0
    losses = {
      m: replicas.mean_of_counted(
        tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits[m]), known
      )
      for m in MODALITIES
    }
    results = {"loss": tf.add_n(list(losses.values()))}
    for m in MODALITIES:
      right = tf.cast(tf.argmax(logits[m], axis=1) == labels, tf.float32)
      results[f"loss/{m}"] = losses[m]
      results[f"accuracy/{m}"] = replicas.mean_of_counted(right, known)
    return results
