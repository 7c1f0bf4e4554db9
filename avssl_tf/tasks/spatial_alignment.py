"""Spatial alignment: a network of 360° clips, the loss over its viewpoints, and a train step."""

from typing import Optional

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
  """Trains a network to tell which sound belongs to which view, of a clip and of others.

  Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
  2020, section 3. The curriculum begins with correspondence of views to sounds of other clips, and
  goes on with alignment within the clip.

  Attributes:
    network: gives targets and predictions for the views of a batch.
    warmup_epochs: epochs of the curriculum's first part.
    in_warmup: variable, bool: whether the present epoch is one of these.
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
    **kwargs,
  ):
    """Makes the task.

    Args:
      network: the network.
      num_videos: not used: nothing is remembered of single videos.
      num_classes: not used: no labels are.
      seed: of what is dropped out, which follows from it and the number of the step.
      contrast: what a prediction is told from; see `avsa.choices`. With `"avc"`, the viewpoints
        of a clip are put together first, as published.
      warmup_contrast: the same for the first epochs; not `"avc"`.
      warmup_epochs: number of these; 0 for no curriculum.
      temperature: what cosines are divided by.
      **kwargs: of the Keras model.

    Raises:
      UserError: a setting is out of its range, or the network has no translation.
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
        "SpatialAlignment: the contrast 'avc' puts the viewpoints together, which cannot change "
        "within a run. For a curriculum take 'easy', or begin another run with train.init_from."
      )
    if not temperature > 0:
      raise UserError(f"SpatialAlignment.temperature is {temperature}; expected more than 0.")
    self.warmup_epochs = warmup_epochs
    self._contrast = contrast
    self._warmup_contrast = warmup_contrast
    self._temperature = temperature
    # A variable, since an epoch that was cut off goes on with what it began with.
    self.in_warmup = self.add_weight(
      "in_warmup",
      shape=[],
      dtype=tf.bool,
      initializer=tf.constant_initializer(warmup_epochs > 0),
      trainable=False,
      aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )

  def call(self, batch: Batch, training: bool = False) -> dict[str, dict[str, Tensor]]:
    """Targets and predictions of the views of a batch; see `AlignmentModel.call`."""
    seed = None
    if training:
      step = tf.stack([tf.constant(self.seed, tf.int64), self.optimizer.iterations])
      seed = tf.random.experimental.stateless_fold_in(step, replicas.replica_id())
    return self.network(batch, training=training, pool=self._contrast == "avc", seed=seed)

  def begin_epoch(
    self, epoch: int, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> dict[str, float]:
    """Goes over from the first part of the curriculum to the second when it is time."""
    del strategy, progress
    in_warmup = epoch < self.warmup_epochs
    self.in_warmup.assign(in_warmup)
    return {"in_warmup": float(in_warmup)} if self.warmup_epochs else {}

  def losses_of(self, batch: Batch) -> dict[str, Tensor]:
    """Losses of a replica's batch, and how often the right choice is nearest."""
    outputs = self(batch, training=True)
    count = outputs["target"][MODALITIES[0]].shape[1]
    # Which choices count is data: collectives of a strategy may not stand in a branch of a graph.
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
