"""What every task shares: a network, the losses of its outputs, and one train step."""

import abc
from collections.abc import Sequence
from typing import ClassVar, Optional, Union

import numpy as np
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.keys import Batch, Tensor
from avssl_tf.losses.bank_objective import BankObjective
from avssl_tf.models.network import Network
from avssl_tf.progress import OnProgress


class Task(tf.keras.Model, abc.ABC):
  """Base of what is trained, which `train.task` names.

  A subclass defines the losses of a batch (`losses_of`), and may keep state that it renews between
  epochs (`begin_epoch`).

  Attributes:
    network: the network.
    objective: keeps memory banks of the training videos; None for a task that remembers nothing of
      single videos.
    warmup_epochs: epochs at the beginning in which the task learns otherwise than after them.
    uses_labels: whether it learns classes from labels, and no embeddings.
    generates: whether its network generates sound fields of 360° clips; else it embeds frames and
      sound.
    aligns_views: whether it compares the views of 360° clips.
  """

  uses_labels: ClassVar[bool] = False
  generates: ClassVar[bool] = False
  aligns_views: ClassVar[bool] = False

  def __init__(
    self, network: Network, num_videos: int, num_classes: int = 0, seed: int = 0, **kwargs
  ):
    """Creates the task.

    Args:
      network: the network.
      num_videos: number of training videos.
      num_classes: number of classes of the labels.
      seed: of what the task draws at random.
      **kwargs: of the Keras model.
    """
    super().__init__(**kwargs)
    # Results of a step are the same on all replicas already; Keras would add them up.
    self.distribute_reduction_method = "first"
    self.num_videos = num_videos
    self.num_classes = num_classes
    self.seed = seed
    self.network = network
    # No attributes of the class: Keras tracks none that its class has too, and checkpoints lack it.
    self.objective: Optional[BankObjective] = None
    self.warmup_epochs = 0

  @abc.abstractmethod
  def losses_of(self, batch: Batch) -> dict[str, Tensor]:
    """Losses of a replica's batch in training.

    Returns:
      Scalars, means over the batch: `"loss"`, whose gradient is followed, and what else is to be
      logged.
    """

  @property
  def trained_variables(self) -> Sequence[tf.Variable]:
    """The variables that the optimiser changes."""
    return self.network.trainable_variables

  def train_step(self, batch: Batch) -> dict[str, Tensor]:
    """One step of the optimiser on a replica's batch.

    Returns:
      What `losses_of` returns, in the mean over all replicas.
    """
    with tf.GradientTape() as tape:
      losses = self.losses_of(batch)
      # Gradients are summed over the replicas, losses are means over a batch.
      loss = losses["loss"] / tf.distribute.get_strategy().num_replicas_in_sync
    self.optimizer.minimize(loss, self.trained_variables, tape=tape)
    return {name: replicas.mean(value) for name, value in losses.items()}

  def begin_epoch(
    self, epoch: int, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> dict[str, Union[float, np.ndarray]]:
    """Renews what the task keeps from epoch to epoch; called outside of any replica.

    Args:
      epoch: number of the epoch that begins, from 0.
      strategy: the strategy that the task was made under.
      progress: called with how much is done and how much there is, where it takes long.

    Returns:
      What there is to log, by name: numbers, and arrays `[n]` of which a histogram is of use.
    """
    del epoch, strategy, progress
    return {}

  def fill_step(self, batch: Batch) -> None:
    """Writes a replica's batch into the memory of the objective, if there is one; no training."""

  def warmup_warning(self, num_epochs: int) -> Optional[str]:
    """Warns of a run of `num_epochs` that ends before the warm-up does; None where it does not."""
    owner = self if self.objective is None else self.objective
    if not owner.warmup_epochs or owner.warmup_epochs < num_epochs:
      return None
    return (
      f"WARNING: {type(owner).__name__}.warmup_epochs is {owner.warmup_epochs} and "
      f"train.num_epochs {num_epochs}: the run is all warm-up."
    )
