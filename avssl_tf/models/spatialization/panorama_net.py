"""A convolutional network over equirectangular frames, with spherical padding."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.models import convolution


class PanoramaConv(tf.keras.layers.Layer):
  """3x3 convolution, batch normalisation and ReLU of an equirectangular map.

  Padding is circular between the left and the right edge. Beyond a pole, the map continues with the
  adjacent row, rotated by half a turn. Maps `[B, H, 2H, C]` to
  `[B, ceil(H / s), ceil(2H / s), filters]`.
  """

  def __init__(self, filters: int, stride: int = 1, name=None):
    super().__init__(name=name)
    self.conv = tf.keras.layers.Conv2D(
      filters, 3, stride, use_bias=False, kernel_initializer="he_normal", name="conv"
    )
    self.norm = convolution.BatchNorm("norm")

  def call(self, x: Tensor, training: bool = False) -> Tensor:
    """Maps as above; `training` as in batch normalisation."""
    return tf.nn.relu(self.norm(self.conv(wrap(x)), training=training))


def wrap(x: Tensor) -> Tensor:
  """Pads an equirectangular map `[B, H, W, C]` by one pixel on each side, as on a sphere."""
  half = tf.shape(x)[2] // 2
  poles = [tf.roll(row, half, axis=2) for row in (x[:, :1], x[:, -1:])]
  x = tf.concat([poles[0], x, poles[1]], axis=1)
  return tf.concat([x[:, :, -1:], x, x[:, :, :1]], axis=2)


@gin.register
class PanoramaNet(tf.keras.layers.Layer):
  """Convolutional network that processes each frame of a 360° clip separately.

  An additional input channel contains the elevation, scaled to -1..1. There is no azimuth
  channel, so the network is equivariant to yaw rotation by multiples of the total stride.

  Source:
    This project.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> models.PanoramaNet()(tf.zeros([1, 5, 32, 64, 3])).shape
    TensorShape([1, 5, 8, 16, 32])
  """

  def __init__(
    self,
    widths: Sequence[int] = (16, 32, 32),
    strides: Sequence[int] = (2, 2, 1),
    name: str = "panorama_net",
  ):
    """Creates the network.

    Args:
      widths: number of channels of each convolution.
      strides: stride of each convolution.
      name: name of the layer.

    Raises:
      UserError: there is no convolution, or not one stride per convolution.
    """
    super().__init__(name=name)
    if not widths or len(widths) != len(strides):
      raise UserError(
        f"PanoramaNet has {len(widths)} widths and {len(strides)} strides; expected the same "
        "number, one or more."
      )
    self.convs = [
      PanoramaConv(width, stride, name=f"conv_{i}")
      for i, (width, stride) in enumerate(zip(widths, strides))
    ]

  def call(self, frames: Tensor, training: bool = False) -> Tensor:
    """Computes feature maps.

    Args:
      frames: float `[B, T, H, 2H, C]`, normalised equirectangular frames.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      float32 `[B, T, h, 2h, D]`.
    """
    shape = tf.shape(frames)
    x = tf.reshape(frames, tf.concat([[-1], shape[2:]], axis=0))
    x = tf.ensure_shape(x, [None, *frames.shape[2:]])
    elevation = tf.linspace(1.0, -1.0, shape[2])[:, tf.newaxis, tf.newaxis]
    elevation = tf.broadcast_to(tf.cast(elevation, x.dtype), [*tf.unstack(tf.shape(x))[:3], 1])
    x = tf.concat([x, elevation], axis=-1)
    for conv in self.convs:
      x = conv(x, training=training)
    maps = tf.reshape(x, tf.concat([shape[:2], tf.shape(x)[1:]], axis=0))
    return tf.cast(tf.ensure_shape(maps, [None, frames.shape[1], *x.shape[1:]]), tf.float32)
