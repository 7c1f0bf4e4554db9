"""Instance discrimination: trains a two-tower network with a memory-bank objective."""

from typing import Any, Callable, Optional, Union

import gin
import numpy as np
import tensorflow as tf

from avssl_tf.keys import INDEX, MODALITIES, Batch, Tensor
from avssl_tf.losses import bank_objective
from avssl_tf.models.network import Network
from avssl_tf.progress import OnProgress
from avssl_tf.tasks.task import Task


@gin.register
class InstanceDiscrimination(Task):
  """Trains an audio-visual network with a contrastive objective: AVID, CMA or Robust xID.

  Attributes:
    network: returns `{"video": {"embedding": ...}, "audio": {"embedding": ...}}` for a batch.
    objective: `BankObjective` that maps `{"video", "audio", "index"}` to a dict of scalars with
      `"loss"`, and owns the memory banks.

  Source:
    `AVID`, `CMA`: Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with
    Cross-Modal Agreement", CVPR 2021, sections 3 and 4. `RobustXID`: Morgado, Misra, Vasconcelos,
    "Robust Audio-Visual Instance Discrimination", CVPR 2021.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses, models, tasks
    >>> network = models.audio_visual("r2plus1d_6", embedding_dim=16)
    >>> task = tasks.InstanceDiscrimination(network, losses.AVID, num_videos=100)
    >>> task.compile(optimizer="adam")  # Then task.fit(...) with batches as in `call`.
    >>> task.objective.video_bank.rows.shape
    TensorShape([100, 16])
  """

  def __init__(
    self,
    network: Network,
    objective: Callable[..., bank_objective.BankObjective],
    num_videos: int,
    num_classes: int = 0,
    seed: int = 0,
    **kwargs: Any,
  ):
    """Creates the objective for `network`.

    Args:
      network: the audio-visual network.
      objective: creates the objective; called with `num_rows`, `dim` and `seed`.
      num_videos: number of training videos; each is an instance.
      num_classes: unused, because labels are not used.
      seed: seed of the objective.
      **kwargs: keyword arguments of `tf.keras.Model`.
    """
    super().__init__(network, num_videos, num_classes, seed, **kwargs)
    self.objective = objective(num_rows=num_videos, dim=network.embedding_dim, seed=seed)

  def call(self, batch: Batch, training: bool = False) -> dict[str, dict[str, Tensor]]:
    """Computes features and embeddings of a batch.

    Args:
      batch: `"video"` and `"audio"`, as in `AudioVisualModel.call`; for training also `"index"`,
        int `[B]`, the number of the video in 0..num_videos-1.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      The result of `AudioVisualModel.call`.
    """
    return self.network(batch, training=training)

  def outputs_of(self, batch: Batch, part: Optional[Tensor] = None) -> dict[str, Tensor]:
    """Embeddings of both modalities; see `Task.outputs_of`."""
    del part
    outputs = self.network(batch, training=True)
    return {modality: outputs[modality]["embedding"] for modality in MODALITIES}

  def losses_of(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Losses of the objective; see `Task.losses_of`."""
    return self.objective({**outputs, INDEX: batch[INDEX]}, training=True)

  def begin_epoch(
    self, epoch: int, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> dict[str, Union[float, np.ndarray]]:
    """Updates the state of the objective; see `BankObjective.begin_epoch`."""
    return self.objective.begin_epoch(epoch, strategy, progress)

  def fill_step(self, batch: Batch) -> None:
    """Writes the batch of a replica into the memory banks, without training.

    Batch normalisation uses the statistics of the batch, as in training, because the moving
    averages are not meaningful before the first step.
    """
    self.objective.fill({**self.whole_outputs_of(batch), INDEX: batch[INDEX]})
