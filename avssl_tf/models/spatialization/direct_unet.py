"""Sound fields by a U-Net alone: what the separation into tracks and directions is worth.

The ablation of Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio
for 360° Video", NeurIPS 2018, section 5, without a localisation of its own.
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
  """Features of whole maps of pictures: fully connected, as those of the paper's localiser."""

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
  """Y, Z and X as complex weights of W, straight from a U-Net that is told what is seen."""

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
      frame_front_end: as of `SpatialUNet`, and likewise
      frame_net:
      sample_rate_hz:
      audio_net:
      flow_net:
      picture_dims: channels that maps of pictures are reduced to, and features of the flattened
        maps.
      frame_length: as of `SpatialUNet`.
      hop_length: likewise.
      name: name of the model.
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
    """As of `SpatialUNet`; weights are complex."""
    mixture = self.spectra(batch[keys.AUDIO][..., :1])[:, 0]
    maps = self.maps(batch, training=training)
    seen = None if maps is None else self.localizer(maps)
    parts = self.audio_net(sound_level(mixture), seen, training=training)["masks"]
    weights = tf.complex(parts[..., :_CHANNELS], parts[..., _CHANNELS:])
    return tf.transpose(weights, [0, 3, 1, 2])
