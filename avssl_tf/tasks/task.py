"""Base class of training tasks: a network, the losses of its outputs, and a train step."""

import abc
import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, Optional, Union

import numpy as np
import tensorflow as tf

from avssl_tf import keras_optimizers, replicas
from avssl_tf.keys import Batch, Tensor
from avssl_tf.losses.bank_objective import BankObjective
from avssl_tf.models.network import Network
from avssl_tf.progress import OnProgress
from avssl_tf.tasks import batch_parts


class Task(tf.keras.Model, abc.ABC):
  """Base class of training tasks, which can be bound to `train.task`.

  A subclass defines the losses of a batch (`losses_of`), and, if the network is not simply called
  with the batch, the outputs that they depend on (`outputs_of`). It may have state that it updates
  between epochs (`begin_epoch`). A task is a Keras model: `compile` it with an optimiser and call
  `fit`.

  Attributes:
    network: the network.
    objective: `BankObjective` with the memory banks of the training videos; None for tasks without
      state per video.
    warmup_epochs: number of epochs at the start that train differently from the later ones.
    accumulate_steps: number of parts of a replica's batch that are computed one after another, to
      save memory; 1 computes the whole batch at once. The update is that of the whole batch, but
      batch normalisation uses the statistics of each part.
    uses_labels: whether the task trains classifiers on labels instead of embeddings.
    generates: whether the network generates sound fields of 360° clips. Otherwise it embeds video
      and audio.
    aligns_views: whether the task contrasts viewpoints of 360° clips.

  Source:
    This project.
  """

  uses_labels: ClassVar[bool] = False
  generates: ClassVar[bool] = False
  aligns_views: ClassVar[bool] = False

  def __init__(
    self, network: Network, num_videos: int, num_classes: int = 0, seed: int = 0, **kwargs: Any
  ):
    """Creates the task.

    Args:
      network: the network.
      num_videos: number of training videos.
      num_classes: number of classes of the labels.
      seed: seed of the random operations of the task.
      **kwargs: keyword arguments of `tf.keras.Model`.
    """
    super().__init__(**kwargs)
    # The results of a step are already equal on all replicas; by default Keras would sum them.
    self.distribute_reduction_method = "first"
    self.num_videos = num_videos
    self.num_classes = num_classes
    self.seed = seed
    self.network = network
    # Not class attributes: Keras does not track attributes that the class also has, so checkpoints
    # would not contain them.
    self.objective: Optional[BankObjective] = None
    self.warmup_epochs = 0
    self.accumulate_steps = 1

  def __init_subclass__(cls, **kwargs: Any):
    """Refuses tasks written for earlier versions, whose `losses_of` took the batch alone."""
    super().__init_subclass__(**kwargs)
    signature = inspect.signature(cls.losses_of)
    try:
      signature.bind("self", "outputs", "batch")
    except TypeError as error:
      raise TypeError(
        f"{cls.__name__}.losses_of takes {signature}; expected (self, outputs, batch). Define it "
        "as a function of the outputs of the network (`outputs_of`) and the batch."
      ) from error

  def outputs_of(self, batch: Batch, part: Optional[Tensor] = None) -> Any:
    """Outputs in training that the losses depend on; by default those of `call`.

    With `accumulate_steps`, this function is called twice for each part of a batch and must return
    the same both times: random operations must be stateless. The trained variables contribute to
    the losses through its results only.

    Args:
      batch: tensors by name, as the task requires; see its `call`.
      part: number of the part of the batch, an int32 scalar; None if `batch` is the whole batch.

    Returns:
      Nested float tensors `[B, ...]`.
    """
    del part
    return self(batch, training=True)

  @abc.abstractmethod
  def losses_of(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
    """Losses on the batch of a replica in training.

    Args:
      outputs: the result of `outputs_of` for the whole batch of the replica.
      batch: tensors by name, as the task requires; see its `call`.

    Returns:
      float32 scalars, means over the batch: `"loss"`, which is minimised, and further values to
      log.
    """

  @property
  def trained_variables(self) -> Sequence[tf.Variable]:
    """The variables that the optimiser updates."""
    return self.network.trainable_variables

  def train_step(self, batch: Batch) -> dict[str, Tensor]:
    """Performs one optimiser step on the batch of a replica.

    Args:
      batch: tensors by name; the number of clips is a multiple of `accumulate_steps`.

    Returns:
      The results of `losses_of`, averaged over all replicas.
    """
    if self.accumulate_steps > 1:
      losses = self._step_in_parts(batch)
    else:
      with tf.GradientTape() as tape:
        losses = self.losses_of(self.outputs_of(batch), batch)
        loss = self._share_of_replica(losses)
      self.optimizer.minimize(loss, self.trained_variables, tape=tape)
    return {name: replicas.mean(value) for name, value in losses.items()}

  def _step_in_parts(self, batch: Batch) -> dict[str, Tensor]:
    """Performs the optimiser step with a batch in parts; returns the losses of this replica."""
    parts = self._parts_of(batch)
    outputs = parts.outputs(self.outputs_of)
    with tf.GradientTape() as tape:
      tape.watch(outputs)
      losses = self.losses_of(outputs, batch)
      loss = keras_optimizers.scaled_loss(self.optimizer, self._share_of_replica(losses))
    output_gradients = tape.gradient(
      loss, outputs, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    variables = self.trained_variables
    gradients = parts.gradients(self.outputs_of, output_gradients, variables)
    gradients = keras_optimizers.unscaled_gradients(self.optimizer, gradients)
    self.optimizer.apply_gradients(zip(gradients, variables))
    return losses

  def _parts_of(self, batch: Batch) -> batch_parts.BatchParts:
    statistics = [
      variable
      for variable in self.network.non_trainable_variables
      # Such as those of batch normalisation: each replica has its own.
      if variable.synchronization == tf.VariableSynchronization.ON_READ
    ]
    return batch_parts.BatchParts(batch, self.accumulate_steps, statistics)

  def _share_of_replica(self, losses: dict[str, Tensor]) -> Tensor:
    # Gradients are summed over the replicas, losses are means over a batch.
    return losses["loss"] / tf.distribute.get_strategy().num_replicas_in_sync

  def whole_outputs_of(self, batch: Batch) -> Any:
    """Computes `outputs_of` for the whole batch of a replica, in `accumulate_steps` parts.

    Args:
      batch: as in `train_step`.

    Returns:
      The result of `outputs_of`, as for the whole batch at once.
    """
    if self.accumulate_steps > 1:
      return self._parts_of(batch).outputs(self.outputs_of)
    return self.outputs_of(batch)

  def begin_epoch(
    self, epoch: int, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> dict[str, Union[float, np.ndarray]]:
    """Updates the state of the task between epochs; called in cross-replica context.

    Args:
      epoch: number of the epoch that begins, from 0.
      strategy: the distribution strategy under which the task was created.
      progress: called with the amount of work done and the total, if the update takes long.

    Returns:
      Values to log, by name: numbers, and arrays `[n]` to log as histograms.
    """
    del epoch, strategy, progress
    return {}

  def fill_step(self, batch: Batch) -> None:
    """Writes the batch of a replica into the memory banks, if there are any, without training.

    Args:
      batch: as in `train_step`.
    """

  def warmup_warning(self, num_epochs: int) -> Optional[str]:
    """Warning for runs that are not longer than the warm-up.

    Args:
      num_epochs: number of epochs of the run.

    Returns:
      The warning; None if the run is longer than the warm-up, or there is no warm-up.
    """
    owner = self if self.objective is None else self.objective
    if not owner.warmup_epochs or owner.warmup_epochs < num_epochs:
      return None
    return (
      f"WARNING: {type(owner).__name__}.warmup_epochs is {owner.warmup_epochs} and "
      f"train.num_epochs is {num_epochs}: the whole run is warm-up."
    )
