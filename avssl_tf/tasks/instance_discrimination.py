"""Instance discrimination: two networks, an objective, and a train step."""

from typing import Dict

import tensorflow as tf

from avssl_tf.types import AUDIO, INDEX, VIDEO, Batch, Tensor


class InstanceDiscrimination(tf.keras.Model):
  """Trains an audio-visual network on a contrastive objective.

  Attributes:
    network: gives `{"video": {"embedding": ...}, "audio": {"embedding": ...}}`
      for a batch.
    objective: gives a dict of scalars with `"loss"` for
      `{"video", "audio", "index"}`, and keeps its memory to itself.
  """

  def __init__(self, network: tf.keras.Model, objective: tf.keras.layers.Layer, **kwargs):
    """Joins `network` and `objective`; `kwargs` are of the Keras model."""
    super().__init__(**kwargs)
    self.network = network
    self.objective = objective

  def call(self, batch: Batch, training: bool = False) -> Dict[str, Dict[str, Tensor]]:
    """Features and embeddings of a batch."""
    return self.network(batch, training=training)

  def _embeddings(self, batch: Batch) -> Dict[str, Tensor]:
    outputs = self.network(batch, training=True)
    return {
      VIDEO: outputs[VIDEO]["embedding"],
      AUDIO: outputs[AUDIO]["embedding"],
      INDEX: batch[INDEX],
    }

  def train_step(self, batch: Batch) -> Dict[str, Tensor]:
    """One step of the optimiser on a replica's batch; returns the losses."""
    with tf.GradientTape() as tape:
      losses = self.objective(self._embeddings(batch))
      # Gradients are summed over the replicas, losses are means over a batch.
      loss = losses["loss"] / tf.distribute.get_strategy().num_replicas_in_sync
    self.optimizer.minimize(loss, self.network.trainable_variables, tape=tape)
    return losses

  def fill_step(self, batch: Batch) -> None:
    """Writes a replica's batch into the objective's memory; no training.

    Runs as in training, with batch statistics: the moving ones mean nothing
    before the first step.
    """
    self.objective.fill(self._embeddings(batch))
