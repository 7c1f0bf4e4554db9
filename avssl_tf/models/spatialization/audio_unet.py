"""A U-Net over spectrograms: masks that take a mixture apart, and features of its moments.

After Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
Video", NeurIPS 2018, section 4.
"""

import math
from collections.abc import Sequence
from typing import Optional

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.models import convolution
from avssl_tf.models.spatialization import time_steps


class _ConvNorm(tf.keras.layers.Layer):
  """3x3 convolution, batch normalisation and ReLU."""

  def __init__(self, filters: int, strides: Sequence[int] = (1, 1), name=None):
    super().__init__(name=name)
    self.conv = convolution.Conv2D(filters, (3, 3), strides, name="conv")
    self.norm = convolution.BatchNorm("norm")

  def call(self, x: Tensor, training: bool = False) -> Tensor:
    return tf.nn.relu(self.norm(self.conv(x), training=training))


@gin.register
class AudioUNet(tf.keras.layers.Layer):
  """Masks for each of a number of tracks, and features of coarse steps of time.

  Each level but the first halves the frequency, and the time as well where it is told to. On the
  coarsest one, a fully connected layer sees all frequencies of a moment: which of them sound
  together tells sources apart. On the way back, what it sees is spread over the frequencies again,
  and maps are enlarged by repetition and joined to those of the same size.
  """

  def __init__(
    self,
    num_tracks: int = 8,
    widths: Sequence[int] = (8, 16, 32, 48, 48),
    time_strides: Sequence[int] = (1, 2, 2, 2, 1),
    moment_dim: int = 128,
    activation: Optional[str] = "sigmoid",
    name: str = "audio_unet",
  ):
    """Creates the network.

    Args:
      num_tracks: number of masks.
      widths: channels of the levels, the finest first.
      time_strides: how much coarser than the one before each level is in time, 1 or 2; the first
        is as fine as the spectrogram, 1.
      moment_dim: features of a moment.
      activation: of the masks; None where they are weights without bounds.
      name: name of the layer.

    Raises:
      UserError: no track, fewer than two levels, or strides that do not suit them.
    """
    super().__init__(name=name)
    if num_tracks < 1 or len(widths) < 2:
      raise UserError(
        f"AudioUNet has {num_tracks} tracks and {len(widths)} levels; expected 1 or more, and 2 or "
        "more."
      )
    if len(time_strides) != len(widths) or time_strides[0] != 1 or not {*time_strides} <= {1, 2}:
      raise UserError(
        f"AudioUNet.time_strides is {tuple(time_strides)}; expected 1 and then 1 or 2 for each of "
        f"the other {len(widths) - 1} levels."
      )
    self._num_tracks = num_tracks
    self._time_strides = tuple(time_strides)
    self._factors = (math.prod(time_strides), 2 ** (len(widths) - 1))
    self._activation = tf.keras.activations.get(activation)
    self.input_norm = convolution.BatchNorm("input_norm")
    self.down = [
      _ConvNorm(width, (stride, 1 if i == 0 else 2), name=f"down_{i}")
      for i, (width, stride) in enumerate(zip(widths, time_strides))
    ]
    self.moment = tf.keras.layers.Dense(moment_dim, activation="relu", name="moment")
    self.up = [_ConvNorm(width, name=f"up_{i}") for i, width in enumerate(widths[:-1])]
    self.mask_conv = tf.keras.layers.Conv2D(num_tracks, 1, name="masks")

  def call(
    self, level: Tensor, context: Optional[Tensor] = None, training: bool = False
  ) -> dict[str, Tensor]:
    """Looks at spectrograms.

    Args:
      level: float `[B, frames, bins]`, logarithms of magnitudes.
      context: float `[B, T, C]`, what else is known of T even parts of the time, such as what is
        seen.
      training: whether batch normalisation uses, and learns from, the batch.

    Returns:
      `"masks"`: float32 `[B, frames, bins, num_tracks]`, in 0..1 if by a sigmoid; `"features"`:
      float32 `[B, ceil(frames / f), moment_dim]`, f the product of `time_strides`.
    """
    shape = tf.shape(level)
    x = level
    # Whole cells on the coarsest level, so that maps of a level meet again in their size: the last
    # frame and the last bin are repeated.
    for axis, factor in zip((1, 2), self._factors):
      whole = shape[axis] + (-shape[axis]) % factor
      x = tf.gather(x, tf.minimum(tf.range(whole), shape[axis] - 1), axis=axis)
    x = self.input_norm(x[..., tf.newaxis], training=training)
    maps = []
    for block in self.down:
      x = block(x, training=training)
      maps.append(x)
    # Moments, as long as the coarsest level has steps, see all of its frequencies.
    num_bins = -(-level.shape[2] // self._factors[1])
    flat = tf.reshape(x, [shape[0], -1, num_bins * x.shape[-1]])
    features = self.moment(flat)
    spread = features
    if context is not None:
      context = tf.cast(time_steps.resample(context, tf.shape(flat)[1]), features.dtype)
      spread = tf.concat([features, context], axis=-1)
    x = tf.concat([x, tf.repeat(spread[:, :, tf.newaxis], num_bins, axis=2)], axis=-1)
    strides = reversed(self._time_strides[1:])
    for block, fine, stride in zip(reversed(self.up), reversed(maps[:-1]), strides):
      x = tf.repeat(tf.repeat(x, stride, axis=1), 2, axis=2)
      x = block(tf.concat([x, fine], axis=-1), training=training)
    masks = tf.cast(self.mask_conv(x), tf.float32)[:, : shape[1], : shape[2]]
    masks = tf.ensure_shape(self._activation(masks), [None, *level.shape[1:], self._num_tracks])
    return {"masks": masks, "features": tf.cast(features, tf.float32)}
