"""The audio network of AVID-CMA (Morgado, Vasconcelos, Misra, CVPR 2021) over spectrograms."""

from collections.abc import Sequence
from typing import Union

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.models import convolution

_NUM_STAGES = 4


class ConvBlock(tf.keras.layers.Layer):
  """Two 3x3 convolutions, each with batch normalisation and ReLU; the first has the strides.

  Maps `[B, T, F, C]` to `[B, ceil(T / st), ceil(F / sf), filters]`.
  """

  def __init__(self, filters: int, strides: Sequence[int] = (1, 1), name=None):
    super().__init__(name=name)
    self.conv1 = convolution.Conv2D(filters, (3, 3), strides, name="conv1")
    self.bn1 = convolution.BatchNorm("bn1")
    self.conv2 = convolution.Conv2D(filters, (3, 3), name="conv2")
    self.bn2 = convolution.BatchNorm("bn2")

  def call(self, x, training=False):
    x = tf.nn.relu(self.bn1(self.conv1(x), training=training))
    return tf.nn.relu(self.bn2(self.conv2(x), training=training))


@gin.register
class AudioNet(tf.keras.layers.Layer):
  """Audio network of the paper (Conv2D-10): a 7x7 stem and four blocks of two 3x3 convolutions.

  The defaults are the network of AVID-CMA, with 4,725,696 parameters. The network of AVSA has
  `stage_strides=(1, 2, 2, 1)` and four input channels; the number of input channels is inferred
  from the input.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 3 and appendix.
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> maps = models.AudioNet(width_multiplier=0.125)(tf.zeros([1, 200, 257, 1]))
    >>> maps["conv5x"].shape, maps["pooled"].shape
    (TensorShape([1, 13, 17, 64]), TensorShape([1, 64]))
  """

  def __init__(
    self,
    width_multiplier: float = 1.0,
    stem_kernel: Sequence[int] = (7, 7),
    stem_strides: Sequence[int] = (2, 2),
    stage_widths: Sequence[int] = (64, 128, 256, 512),
    stage_strides: Sequence[Union[int, Sequence[int]]] = (2, 2, 2, 1),
    name: str = "audio_net",
  ):
    """Creates the network.

    Args:
      width_multiplier: factor applied to all widths.
      stem_kernel: kernel size (time, frequency) of the stem, odd.
      stem_strides: strides (time, frequency) of the stem.
      stage_widths: number of channels of the four blocks; the stem has as many as the first.
      stage_strides: stride of each block, or strides (time, frequency).
      name: name of the layer.

    Raises:
      UserError: the number of stages is not four, or the kernel size is even.
    """
    super().__init__(name=name)
    if len(stage_widths) != _NUM_STAGES or len(stage_strides) != _NUM_STAGES:
      raise UserError(
        f"AudioNet has {_NUM_STAGES} stages; got {len(stage_widths)} stage_widths and "
        f"{len(stage_strides)} stage_strides."
      )
    widths = [convolution.scaled_width(w, width_multiplier) for w in stage_widths]
    strides = [(s, s) if isinstance(s, int) else tuple(s) for s in stage_strides]
    self.conv1 = convolution.Conv2D(widths[0], stem_kernel, stem_strides, name="conv1")
    self.bn1 = convolution.BatchNorm("bn1")
    self.conv2x = ConvBlock(widths[0], strides[0], name="conv2x")
    self.conv3x = ConvBlock(widths[1], strides[1], name="conv3x")
    self.conv4x = ConvBlock(widths[2], strides[2], name="conv4x")
    self.conv5x = ConvBlock(widths[3], strides[3], name="conv5x")

  def call(self, spectrogram: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Encodes normalised spectrograms.

    Args:
      spectrogram: float `[B, frames, bins, C]`.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `"conv1"`, `"conv2x"` ... `"conv5x"`: maps `[B, t, f, c]` in the compute dtype;
      `"pooled"`: float32 `[B, D]`, the maximum over `"conv5x"`.
    """
    x = tf.nn.relu(self.bn1(self.conv1(spectrogram), training=training))
    maps = {"conv1": x}
    for name in ("conv2x", "conv3x", "conv4x", "conv5x"):
      x = getattr(self, name)(x, training=training)
      maps[name] = x
    maps["pooled"] = convolution.global_max_pool(x)
    return maps
