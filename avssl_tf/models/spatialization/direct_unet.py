"""Sound fields from a U-Net alone, without separation and localisation.

The U-Net ablation of Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial
Audio for 360° Video", NeurIPS 2018, section 5.
"""

import functools
from collections.abc import Sequence
from typing import Callable, Optional

import gin
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.keys import Tensor
from avssl_tf.models.spatialization import localizers
from avssl_tf.models.spatialization.audio_unet import AudioUNet
from avssl_tf.models.spatialization.spatial_unet import SpatialUNet, sound_level

_CHANNELS = 3


class _PictureFeatures(tf.keras.layers.Layer):
  """Fully connected features of whole visual maps, as in the localiser of the paper."""

  def __init__(self, num_tracks: int, picture_dims: Sequence[int], name: str = "picture_features"):
    super().__init__(name=name, dtype="float32")
    del num_tracks
    reduced, flat = picture_dims
    self.reduce = tf.keras.layers.Dense(reduced, "relu", dtype="float32", name="reduce")
    self.flat = tf.keras.layers.Dense(flat, "relu", dtype="float32", name="flat")

  def call(self, maps: Tensor) -> Tensor:
    """Maps `[B, T, h, 2h, C]` to `[B, T, D]`."""
    return self.flat(localizers.flattened(self.reduce(maps)))


@gin.register
class DirectUNet(SpatialUNet):
  """Ablation without localisation: a U-Net predicts Y, Z and X directly.

  The U-Net, conditioned on visual features, predicts a complex weight of W for each time-frequency
  bin of Y, Z and X.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
    Video", NeurIPS 2018, section 5 (ablation).
  """

  def __init__(
    self,
    frame_front_end: tf.keras.layers.Layer,
    frame_net: Optional[tf.keras.layers.Layer],
    sample_rate_hz: int,
    audio_net: Callable[..., AudioUNet] = AudioUNet,
    flow_net: Optional[tf.keras.layers.Layer] = None,
    picture_dims: Sequence[int] = (128, 512),
    frame_length: int = 256,
    hop_length: int = 128,
    name: str = "direct_unet",
  ):
    """Creates the network.

    Args:
      frame_front_end: layer that normalises frames and optical-flow images.
      frame_net: layer that computes maps of frames, such as `PanoramaNet`; None disables it.
      sample_rate_hz: sample rate of the audio, in Hz.
      audio_net: creates the U-Net; called with `num_tracks` and `activation`.
      flow_net: layer that computes maps of the optical flow; None disables it.
      picture_dims: number of channels to which visual maps are reduced, and number of features of
        the flattened maps.
      frame_length: window length of the STFT, in samples, even.
      hop_length: hop length of the STFT, in samples, at most half of the window.
      name: name of the model.

    Raises:
      UserError: the windows overlap by less than half.
    """
    super().__init__(
      frame_front_end,
      frame_net,
      functools.partial(_PictureFeatures, picture_dims=picture_dims),
      sample_rate_hz,
      functools.partial(audio_net, activation=None),
      flow_net,
      # The real and the imaginary part of each channel.
      num_tracks=2 * _CHANNELS,
      frame_length=frame_length,
      hop_length=hop_length,
      name=name,
    )

  def call(self, batch: keys.Batch, training: bool = False) -> Tensor:
    """See `SpatialUNet.call`; the weights are complex."""
    mixture = self.spectra(batch[keys.AUDIO][..., :1])[:, 0]
    maps = self.maps(batch, training=training)
    visual = None if maps is None else self.localizer(maps)
    parts = self.audio_net(sound_level(mixture), visual, training=training)["masks"]
    weights = tf.complex(parts[..., :_CHANNELS], parts[..., _CHANNELS:])
    return tf.transpose(weights, [0, 3, 1, 2])
