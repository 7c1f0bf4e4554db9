"""Spatial alignment: trains a network on the viewpoints of 360° clips."""

from typing import Any, Optional

import gin
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import MODALITIES, Batch, Tensor
from avssl_tf.losses import avsa
from avssl_tf.models.alignment_model import AlignmentModel
from avssl_tf.progress import OnProgress
from avssl_tf.tasks.task import Task


@gin.register
class SpatialAlignment(Task):
  """Audio-visual spatial alignment (AVSA): matches audio and video of the same viewpoint.

  Predictions of the features of each viewpoint are contrasted with the targets of other viewpoints
  and of other clips (`alignment_loss`). In the curriculum, the first epochs train audio-visual
  correspondence between clips (`warmup_contrast`), the others spatial alignment (`contrast`).

  Attributes:
    network: returns targets and predictions for the viewpoints of a batch.
    warmup_epochs: number of epochs of the first part of the curriculum.
    in_warmup: bool variable, whether the current epoch is one of these.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, section 3. The published curriculum consists of two runs: `contrast="avc"`, then
    `"easy+hard"`, initialised from the backbones of the first. A curriculum within a run, with
    `"easy"`: this project.
  """

  aligns_views = True

  def __init__(
    self,
    network: AlignmentModel,
    num_videos: int,
    num_classes: int = 0,
    seed: int = 0,
    contrast: str = "easy+hard",
    warmup_contrast: str = "easy",
    warmup_epochs: int = 0,
    temperature: float = 0.07,
    **kwargs: Any,
  ):
    """Creates the task.

    Args:
      network: the network.
      num_videos: unused, because there is no state per video.
      num_classes: unused, because labels are not used.
      seed: seed of dropout, together with the number of the step.
      contrast: candidate targets of a prediction, `"easy+hard"`, `"hard"`, `"easy"` or `"avc"`; see
        `choices`. With `"avc"`, the viewpoints of a clip are max-pooled first, as published.
      warmup_contrast: the same for the warm-up epochs; with a warm-up neither may be `"avc"`.
      warmup_epochs: number of warm-up epochs; 0 for no curriculum.
      temperature: positive divisor of the cosines.
      **kwargs: keyword arguments of `tf.keras.Model`.

    Raises:
      UserError: an argument is out of range, or the network has no feature translation.
    """
    super().__init__(network, num_videos, num_classes, seed, **kwargs)
    if network.translate is None:
      raise UserError(
        f"SpatialAlignment trains an AlignmentModel, got {type(network).__name__}: set "
        "train.network = @AlignmentModel, as gin/base/demo360.gin does."
      )
    for name, value in (("contrast", contrast), ("warmup_contrast", warmup_contrast)):
      if value not in avsa.CONTRASTS:
        raise UserError(
          f"SpatialAlignment.{name} is {value!r}; expected one of {', '.join(avsa.CONTRASTS)}."
        )
    if warmup_epochs < 0:
      raise UserError(
        f"SpatialAlignment.warmup_epochs is {warmup_epochs}; expected 0 or more."
      )
    if warmup_epochs and "avc" in (contrast, warmup_contrast):
      raise UserError(
        "SpatialAlignment: the contrast 'avc' pools the viewpoints, which cannot change within a "
        "run. For a curriculum use 'easy', or start another run with train.init_from."
      )
    if not temperature > 0:
      raise UserError(f"SpatialAlignment.temperature is {temperature}; expected more than 0.")
    self.warmup_epochs = warmup_epochs
    self._contrast = contrast
    self._warmup_contrast = warmup_contrast
    self._temperature = temperature
    # A variable, so that an interrupted epoch resumes with the same value.
    self.in_warmup = self.add_weight(
      "in_warmup",
      shape=[],
      dtype=tf.bool,
      initializer=tf.constant_initializer(warmup_epochs > 0),
      trainable=False,
      aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )

  def call(self, batch: Batch, training: bool = False) -> dict[str, dict[str, Tensor]]:
    """Computes targets and predictions for the viewpoints of a batch.

    Args:
      batch: `"video"`, uint8 `[B, K, T, H, W, 3]`, and `"audio"`, float32 `[B, K, samples, C]`.
      training: whether batch normalisation uses the statistics of the batch, and dropout is active.

    Returns:
      The result of `AlignmentModel.call`.
    """
    if training:
      return self.outputs_of(batch)
    return self.network(batch, training=False, pool=self._contrast == "avc", seed=None)

  def outputs_of(
    self, batch: Batch, part: Optional[Tensor] = None
  ) -> dict[str, dict[str, Tensor]]:
    """Targets and predictions in training; see `Task.outputs_of`."""
    step = tf.stack([tf.constant(self.seed, tf.int64), self.optimizer.iterations])
    seed = tf.random.experimental.stateless_fold_in(step, replicas.replica_id())
    if part is not None:  # Clips of different parts get different dropout.
      seed = tf.random.experimental.stateless_fold_in(seed, part)
    return self.network(batch, training=True, pool=self._contrast == "avc", seed=seed)

  def begin_epoch(
    self, epoch: int, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> dict[str, float]:
    """Sets `in_warmup` for the epoch; see `Task.begin_epoch`."""
    del strategy, progress
    in_warmup = epoch < self.warmup_epochs
    self.in_warmup.assign(in_warmup)
    return {"in_warmup": float(in_warmup)} if self.warmup_epochs else {}

  def losses_of(
    self, outputs: dict[str, dict[str, Tensor]], batch: Batch
  ) -> dict[str, Tensor]:
    """Losses and accuracies on the batch of a replica; see `Task.losses_of`."""
    del batch
    count = outputs["target"][MODALITIES[0]].shape[1]
    # The mask is data, because collective operations are not allowed in a branch of a graph.
    chosen = tf.where(
      self.in_warmup,
      avsa.choices(self._warmup_contrast, count),
      avsa.choices(self._contrast, count),
    )
    losses, accuracies = {}, {}
    for modality in MODALITIES:
      own, others = avsa.similarities(
        outputs["prediction"][modality], outputs["target"][modality], self._temperature
      )
      losses[f"loss/{modality}"], accuracies[modality] = avsa.alignment_loss(own, others, chosen)
    return {
      "loss": tf.add_n(list(losses.values())) / len(losses),
      **losses,
      **{
        name: tf.reduce_mean([accuracies[modality][name] for modality in MODALITIES])
        for name in accuracies[MODALITIES[0]]
      },
    }
