"""Spatial audio generation: a network that places sound, the loss of its spectra, a train step."""

import gin
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, CHANNELS, Batch, Tensor
from avssl_tf.losses import stft
from avssl_tf.models.spatialization.spatial_unet import SpatialUNet
from avssl_tf.tasks.task import Task

# Name of the error among the results of a step.
_ERROR = "error_db"
_DB = 10.0 / 2.302585092994046


@gin.register
class SpatialAudio(Task):
  """Trains a network to give W its Y, Z and X.

  Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
  Video", NeurIPS 2018, section 4.

  Attributes:
    network: gives what the spectra of W are multiplied by.
  """

  generates = True

  def __init__(
    self,
    network: SpatialUNet,
    num_videos: int,
    num_classes: int = 0,
    seed: int = 0,
    loss: str = "relative",
    **kwargs,
  ):
    """Makes the task.

    Args:
      network: the network.
      num_videos: not used: nothing is remembered of single videos.
      num_classes: not used: no labels are.
      seed: not used: nothing is drawn in a step.
      loss: kind of the loss; see `stft.stft_loss`.
      **kwargs: of the Keras model.

    Raises:
      UserError: an unknown loss, or a network that does not generate sound fields.
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
    """Spectra of Y, Z and X: complex64 `[B, 3, frames, bins]`; see `SpatialUNet.placed`."""
    return self.network.placed(batch, training=training)

  def losses_of(self, batch: Batch) -> dict[str, Tensor]:
    """The loss of a replica's batch, whose `AUDIO` is W Y Z X, and the mean relative error.

    What `CHANNELS` says a clip lacks has no part in its loss, and silent clips none in the error.
    """
    target = self.network.spectra(batch[AUDIO][..., 1:4])
    loss, relative = stft.stft_loss(
      self(batch, training=True), target, self._loss, batch[CHANNELS][:, 1:4]
    )
    mean = replicas.mean_of_counted(relative, tf.math.is_finite(relative))
    return {"loss": loss, _ERROR: mean}

  def train_step(self, batch: Batch) -> dict[str, Tensor]:
    """As of `Task`.

    Returns:
      `"loss"`, and `"error_db"`: the mean of the relative errors of the clips, in dB; 0 dB for
      silence.
    """
    results = super().train_step(batch)
    results[_ERROR] = _DB * tf.math.log(tf.maximum(results[_ERROR], 1e-12))
    return results
