"""A U-Net over spectrograms: masks that take a mixture apart, and features of its moments.

After Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
Video", NeurIPS 2018, section 4.
"""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.models import convolution
from avssl_tf.types import Tensor


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

  Each level but the first halves time and frequency; on the way back, maps are enlarged by
  repetition and joined to those of the same size.
  """

  def __init__(
    self, num_tracks: int = 8, widths: Sequence[int] = (8, 16, 32, 48), name: str = "audio_unet"
  ):
    """Creates the network.

    Args:
      num_tracks: number of masks.
      widths: channels of the levels, the finest first.
      name: name of the layer.

    Raises:
      ValueError: no track, or fewer than two levels.
    """
    super().__init__(name=name)
    if num_tracks < 1 or len(widths) < 2:
      raise ValueError(
        f"AudioUNet has {num_tracks} tracks and {len(widths)} levels; expected 1 or more, and 2 or "
        "more."
      )
    self._num_tracks = num_tracks
    self._factor = 2 ** (len(widths) - 1)
    self.input_norm = convolution.BatchNorm("input_norm")
    self.down = [
      _ConvNorm(width, (1, 1) if i == 0 else (2, 2), name=f"down_{i}")
      for i, width in enumerate(widths)
    ]
    self.up = [_ConvNorm(width, name=f"up_{i}") for i, width in enumerate(widths[:-1])]
    self.mask_conv = tf.keras.layers.Conv2D(num_tracks, 1, name="masks")

  @property
  def time_factor(self) -> int:
    """Frames of the spectrogram in a coarse step of time."""
    return self._factor

  def call(self, level: Tensor, training: bool = False) -> dict[str, Tensor]:
    """Looks at spectrograms.

    Args:
      level: float `[B, frames, bins]`, logarithms of magnitudes.
      training: whether batch normalisation uses, and learns from, the batch.

    Returns:
      `"masks"`: float32 `[B, frames, bins, num_tracks]` in 0..1; `"features"`: float32
      `[B, ceil(frames / time_factor), D]`, mean and maximum over the frequencies.
    """
    shape = tf.shape(level)
    x = level
    # Whole cells on the coarsest level, so that maps of a level meet again in their size: the last
    # frame and the last bin are repeated.
    for axis in (1, 2):
      whole = shape[axis] + (-shape[axis]) % self._factor
      x = tf.gather(x, tf.minimum(tf.range(whole), shape[axis] - 1), axis=axis)
    x = self.input_norm(x[..., tf.newaxis], training=training)
    maps = []
    for block in self.down:
      x = block(x, training=training)
      maps.append(x)
    features = tf.concat([tf.reduce_mean(x, axis=2), tf.reduce_max(x, axis=2)], axis=-1)
    for block, fine in zip(reversed(self.up), reversed(maps[:-1])):
      x = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
      x = block(tf.concat([x, fine], axis=-1), training=training)
    masks = tf.cast(self.mask_conv(x), tf.float32)[:, : shape[1], : shape[2]]
    masks = tf.ensure_shape(tf.sigmoid(masks), [None, *level.shape[1:], self._num_tracks])
    return {"masks": masks, "features": tf.cast(features, tf.float32)}
