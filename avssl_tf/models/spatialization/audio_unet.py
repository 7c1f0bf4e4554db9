"""A U-Net over spectrograms: separation masks, and features over time.

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
  """U-Net that predicts a separation mask per track, and features of coarse time steps.

  Every level but the first halves the frequency resolution and, with a time stride of 2, the time
  resolution. On the coarsest level, a fully connected layer combines all frequencies of a time
  step. The decoder broadcasts its output over the frequencies, upsamples maps by repetition, and
  concatenates them with the encoder maps of the same size (skip connections).

  Source:
    After Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for
    360° Video", NeurIPS 2018, section 4. Number of tracks, widths, strides and kernels differ.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> outputs = models.AudioUNet(num_tracks=4)(tf.zeros([1, 40, 129]))
    >>> outputs["masks"].shape, outputs["features"].shape
    (TensorShape([1, 40, 129, 4]), TensorShape([1, 5, 128]))
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
      num_tracks: number of masks, 1 or more.
      widths: number of channels of each level, the finest first; two levels or more.
      time_strides: time stride of each level, 1 or 2; 1 for the first level.
      moment_dim: number of features per time step.
      activation: activation of the masks; None for unbounded weights.
      name: name of the layer.

    Raises:
      UserError: there is no track, there are fewer than two levels, or the strides do not match
        the levels.
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
    """Predicts masks and features of spectrograms.

    Args:
      level: float `[B, frames, bins]`, log magnitudes.
      context: float `[B, T, C]`, additional features of T equal time spans, such as visual
        features.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `"masks"`: float32 `[B, frames, bins, num_tracks]`, in 0..1 with a sigmoid; `"features"`:
      float32 `[B, ceil(frames / f), moment_dim]`, with f the product of `time_strides`.
    """
    shape = tf.shape(level)
    x = level
    # Pad to whole cells of the coarsest level by repeating the last frame and the last bin, so that
    # encoder and decoder maps have the same sizes.
    for axis, factor in zip((1, 2), self._factors):
      whole = shape[axis] + (-shape[axis]) % factor
      x = tf.gather(x, tf.minimum(tf.range(whole), shape[axis] - 1), axis=axis)
    x = self.input_norm(x[..., tf.newaxis], training=training)
    maps = []
    for block in self.down:
      x = block(x, training=training)
      maps.append(x)
    # One feature vector per time step of the coarsest level, from all of its frequencies.
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
