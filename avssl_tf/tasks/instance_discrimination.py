"""Instance discrimination: two networks, an objective, and a train step."""

from typing import Callable, Optional, Union

import gin
import numpy as np
import tensorflow as tf

from avssl_tf.keys import AUDIO, INDEX, VIDEO, Batch, Tensor
from avssl_tf.losses import bank_objective
from avssl_tf.models.network import Network
from avssl_tf.progress import OnProgress
from avssl_tf.tasks.task import Task


@gin.register
class InstanceDiscrimination(Task):
  """Trains an audio-visual network on a contrastive objective.

  Attributes:
    network: gives `{"video": {"embedding": ...}, "audio": {"embedding": ...}}`
      for a batch.
    objective: gives a dict of scalars with `"loss"` for
      `{"video", "audio", "index"}`, and keeps its memory to itself.
  """

  def __init__(
    self,
    network: Network,
    objective: Callable[..., bank_objective.BankObjective],
    num_videos: int,
    num_classes: int = 0,
    seed: int = 0,
    **kwargs,
  ):
    """Makes the objective for `network` and joins the two.

    Args:
      network: the audio-visual network.
      objective: makes the objective; called with `num_rows`, `dim`, `seed`.
      num_videos: number of training videos, each of them an instance.
      num_classes: not used: no labels are.
      seed: of everything random in the objective.
      **kwargs: of the Keras model.
    """
    super().__init__(network, num_videos, num_classes, seed, **kwargs)
    self.objective = objective(num_rows=num_videos, dim=network.embedding_dim, seed=seed)

  def call(self, batch: Batch, training: bool = False) -> dict[str, dict[str, Tensor]]:
    """Features and embeddings of a batch."""
    return self.network(batch, training=training)

  def _embeddings(self, batch: Batch) -> dict[str, Tensor]:
    outputs = self.network(batch, training=True)
    return {
      VIDEO: outputs[VIDEO]["embedding"],
      AUDIO: outputs[AUDIO]["embedding"],
      INDEX: batch[INDEX],
    }

  def losses_of(self, batch: Batch) -> dict[str, Tensor]:
    """Those of the objective."""
    return self.objective(self._embeddings(batch), training=True)

  def begin_epoch(
    self, epoch: int, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> dict[str, Union[float, np.ndarray]]:
    """Lets the objective renew its state; see `BankObjective.begin_epoch`."""
    return self.objective.begin_epoch(epoch, strategy, progress)

  def fill_step(self, batch: Batch) -> None:
    """Writes a replica's batch into the objective's memory; no training.

    Runs as in training, with batch statistics: the moving ones mean nothing
    before the first step.
    """
    self.objective.fill(self._embeddings(batch))
