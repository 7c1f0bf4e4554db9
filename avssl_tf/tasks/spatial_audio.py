"""Spatial audio generation: trains a network with an STFT loss."""

from typing import Any

import gin
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, CHANNELS, Batch, Tensor
from avssl_tf.losses import stft
from avssl_tf.models.spatialization.spatial_unet import SpatialUNet
from avssl_tf.tasks.task import Task

# Name of the relative error in the results of a step.
_ERROR = "error_db"
_DB = 10.0 / 2.302585092994046


@gin.register
class SpatialAudio(Task):
  """Spatial audio generation: trains a network to generate Y, Z and X from W and 360° frames.

  Attributes:
    network: `SpatialUNet` that predicts the weights of the spectrum of W.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
    Video", NeurIPS 2018, section 4. `loss="relative"`: this project.
  """

  generates = True

  def __init__(
    self,
    network: SpatialUNet,
    num_videos: int,
    num_classes: int = 0,
    seed: int = 0,
    loss: str = "relative",
    **kwargs: Any,
  ):
    """Creates the task.

    Args:
      network: the network.
      num_videos: unused, because there is no state per video.
      num_classes: unused, because labels are not used.
      seed: unused, because a step is deterministic.
      loss: `"squared"` (as published) or `"relative"`; see `stft_loss`.
      **kwargs: keyword arguments of `tf.keras.Model`.

    Raises:
      UserError: the loss is unknown, or the network does not generate sound fields.
    """
    super().__init__(network, num_videos, num_classes, seed, **kwargs)
    if not network.generates:
      raise UserError(
        f"SpatialAudio trains a SpatialUNet, got {type(network).__name__}: set "
        "train.network = @SpatialUNet."
      )
    if loss not in stft.KINDS:
      raise UserError(
        f"SpatialAudio.loss is {loss!r}; expected one of {', '.join(stft.KINDS)}."
      )
    self._loss = loss

  def call(self, batch: Batch, training: bool = False) -> Tensor:
    """Predicts the spectra of Y, Z and X.

    Args:
      batch: as in `SpatialUNet.call`.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      complex64 `[B, 3, frames, bins]`.
    """
    return self.network.placed(batch, training=training)

  def losses_of(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Loss and mean relative error of the batch of a replica; see `Task.losses_of`.

    `AUDIO` is W Y Z X. Channels that a clip lacks according to `CHANNELS` are excluded from its
    loss. Silent clips are excluded from the loss and from the error.
    """
    target = self.network.spectra(batch[AUDIO][..., 1:4])
    loss, relative = stft.stft_loss(
      outputs, target, self._loss, batch[CHANNELS][:, 1:4]
    )
    mean = replicas.mean_of_counted(relative, tf.math.is_finite(relative))
    return {"loss": loss, _ERROR: mean}

  def train_step(self, batch: Batch) -> dict[str, Tensor]:
    """See `Task.train_step`.

    Returns:
      `"loss"`, and `"error_db"`: mean relative error of the clips, in dB; 0 dB for a silent
      prediction.
    """
    results = super().train_step(batch)
    results[_ERROR] = _DB * tf.math.log(tf.maximum(results[_ERROR], 1e-12))
    return results
