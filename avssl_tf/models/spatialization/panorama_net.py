"""A convolutional network over equirectangular frames, without a seam."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.models import convolution


class PanoramaConv(tf.keras.layers.Layer):
  """3x3 convolution, batch normalisation and ReLU of an equirectangular map.

  Left and right edge of the map meet; beyond a pole lies the row next to it, half of the circle
  away. Maps `[B, H, 2H, C]` to `[B, ceil(H / s), ceil(2H / s), filters]`.
  """

  def __init__(self, filters: int, stride: int = 1, name=None):
    super().__init__(name=name)
    self.conv = tf.keras.layers.Conv2D(
      filters, 3, stride, use_bias=False, kernel_initializer="he_normal", name="conv"
    )
    self.norm = convolution.BatchNorm("norm")

  def call(self, x: Tensor, training: bool = False) -> Tensor:
    """Maps as above; `training` as of batch normalisation."""
    return tf.nn.relu(self.norm(self.conv(wrap(x)), training=training))


def wrap(x: Tensor) -> Tensor:
  """An equirectangular map `[B, H, W, C]` with what lies a pixel beyond each of its edges."""
  half = tf.shape(x)[2] // 2
  poles = [tf.roll(row, half, axis=2) for row in (x[:, :1], x[:, -1:])]
  x = tf.concat([poles[0], x, poles[1]], axis=1)
  return tf.concat([x[:, :, -1:], x, x[:, :, :1]], axis=2)


@gin.register
class PanoramaNet(tf.keras.layers.Layer):
  """Convolutions over the frames of a 360° clip, one by one.

  A channel of the input tells the elevation; none tells the azimuth, so that turned frames give
  turned maps (by multiples of the total stride).
  """

  def __init__(
    self,
    widths: Sequence[int] = (16, 32, 32),
    strides: Sequence[int] = (2, 2, 1),
    name: str = "panorama_net",
  ):
    """Creates the network.

    Args:
      widths: channels of the convolutions.
      strides: strides of the convolutions.
      name: name of the layer.

    Raises:
      UserError: not a stride for each.
    """
    super().__init__(name=name)
    if not widths or len(widths) != len(strides):
      raise UserError(
        f"PanoramaNet has {len(widths)} widths and {len(strides)} strides; expected as many, and "
        "one or more."
      )
    self.convs = [
      PanoramaConv(width, stride, name=f"conv_{i}")
      for i, (width, stride) in enumerate(zip(widths, strides))
    ]

  def call(self, frames: Tensor, training: bool = False) -> Tensor:
    """Maps normalised frames, float `[B, T, H, 2H, C]`, to float32 `[B, T, h, 2h, D]`."""
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
