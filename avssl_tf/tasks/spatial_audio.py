"""Spatial audio generation: a network that places sound, the loss of its spectra, a train step."""

import gin
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, CHANNELS, Batch, Tensor
from avssl_tf.losses import stft
from avssl_tf.models.spatial_unet import SpatialUNet

_DB = 10.0 / 2.302585092994046


@gin.register
class SpatialAudio(tf.keras.Model):
  """Trains a network to give W its Y, Z and X.

  Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
  Video", NeurIPS 2018, section 4.

  Attributes:
    network: gives what the spectra of W are multiplied by.
  """

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
    super().__init__(**kwargs)
    del num_videos, num_classes, seed
    # Results of a step are the same on all replicas already; Keras would add them up.
    self.distribute_reduction_method = "first"
    if not isinstance(network, SpatialUNet):
      raise UserError(
        f"SpatialAudio trains a SpatialUNet, got {type(network).__name__}: set "
        "train.network = @SpatialUNet."
      )
    if loss not in stft.KINDS:
      raise UserError(
        f"SpatialAudio.loss is {loss!r}; expected one of {', '.join(stft.KINDS)}."
      )
    self.network = network
    self._loss = loss

  def call(self, batch: Batch, training: bool = False) -> Tensor:
    """Spectra of Y, Z and X: complex64 `[B, 3, frames, bins]`; see `SpatialUNet.placed`."""
    return self.network.placed(batch, training=training)

  def train_step(self, batch: Batch) -> dict[str, Tensor]:
    """One step on a replica's batch, whose `AUDIO` is W Y Z X.

    What `CHANNELS` says a clip lacks has no part in its loss.

    Returns:
      `"loss"`, and `"error_db"`: the mean of the relative errors of the clips, in dB; 0 dB for
      silence.
    """
    target = self.network.spectra(batch[AUDIO][..., 1:4])
    with tf.GradientTape() as tape:
      loss, relative = stft.stft_loss(
        self(batch, training=True), target, self._loss, batch[CHANNELS][:, 1:4]
      )
      # Gradients are summed over the replicas, losses are means over a batch.
      scaled = loss / tf.distribute.get_strategy().num_replicas_in_sync
    self.optimizer.minimize(scaled, self.network.trainable_variables, tape=tape)
    mean = replicas.mean_of_counted(relative, tf.math.is_finite(relative))
    results = {name: replicas.mean(value) for name, value in (("loss", loss), ("error_db", mean))}
    results["error_db"] = _DB * tf.math.log(tf.maximum(results["error_db"], 1e-12))
    return results
