"""Supervised classification with the same networks, as an upper bound."""

from collections.abc import Sequence
from typing import Any

import gin
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import LABEL, MODALITIES, Batch, Tensor
from avssl_tf.models.network import Network
from avssl_tf.tasks.task import Task


@gin.register
class Classification(Task):
  """Supervised training: a linear classifier on the pooled features of each tower.

  An upper bound to compare with self-supervised results. The towers share no parameters, the labels
  come from the records, and the projection heads are not trained. The loss is the sum of the
  cross-entropies of both modalities; clips with the label -1 (unknown) are excluded.

  Attributes:
    network: returns `{modality: {"features": [B, D], ...}}` for a batch.
    classifiers: linear classifiers by modality.

  Source:
    This project.
  """

  uses_labels = True

  def __init__(
    self, network: Network, num_videos: int, num_classes: int, seed: int = 0, **kwargs: Any
  ):
    """Adds classifiers to `network`.

    Args:
      network: the audio-visual network.
      num_videos: unused, because there is no state per video.
      num_classes: number of classes of the labels, 2 or more.
      seed: unused; the initial weights of the classifiers depend on the global seed.
      **kwargs: keyword arguments of `tf.keras.Model`.

    Raises:
      UserError: there are fewer than 2 classes.
    """
    super().__init__(network, num_videos, num_classes, seed, **kwargs)
    if num_classes < 2:
      raise UserError(
        f"Supervised training requires records with at least 2 labels, the data has {num_classes}. "
        "Build the records from class folders or from a CSV with a label column."
      )
    self.classifiers = {
      modality: tf.keras.layers.Dense(num_classes, dtype="float32", name=f"{modality}_classifier")
      for modality in MODALITIES
    }

  def call(self, batch: Batch, training: bool = False) -> dict[str, Tensor]:
    """Computes the logits of both modalities.

    Args:
      batch: `"video"` and `"audio"`, as in `AudioVisualModel.call`.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      Logits by modality, float32 `[B, num_classes]`.
    """
    outputs = self.network(batch, training=training)
    return {m: self.classifiers[m](outputs[m]["features"]) for m in MODALITIES}

  @property
  def trained_variables(self) -> Sequence[tf.Variable]:
    """Variables of the towers and the classifiers, without the projection heads."""
    parts = (self.network.video_net, self.network.audio_net, *self.classifiers.values())
    return [variable for part in parts for variable in part.trainable_variables]

  def losses_of(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Losses and accuracies of logits on the batch of a replica; see `Task.losses_of`."""
    labels, logits = batch[LABEL], outputs
    # The label -1 means unknown; these clips are excluded from the loss.
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
