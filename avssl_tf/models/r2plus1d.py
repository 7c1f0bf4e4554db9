"""R(2+1)D video networks.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR 2018), in
the variant of AVID-CMA (Morgado, Vasconcelos, Misra, CVPR 2021): a full 3-D stem, the same width
before and after the spatial convolution, and one batch normalisation after the residual addition.
"""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.models import convolution

# Depth -> (blocks in each of the four stages, pairs of convolutions per block). Depth 6, for small
# frames, is not in the papers.
_ARCHITECTURES = {
  6: ((1, 1, 1, 1), 1),
  10: ((1, 1, 1, 1), 2),
  18: ((2, 2, 2, 2), 2),
  34: ((3, 4, 6, 3), 2),
}
_STEMS = ("avid", "avsa")


class SpatialTemporalConv(tf.keras.layers.Layer):
  """1x3x3 convolution, batch normalisation, ReLU, 3x1x1 convolution.

  Maps `[B, T, H, W, C]` to `[B, ceil(T / st), ceil(H / sh), ceil(W / sw), filters]`.
  """

  def __init__(self, filters: int, strides: Sequence[int] = (1, 1, 1), name=None):
    super().__init__(name=name)
    temporal, height, width = strides
    self.spatial_conv = convolution.Conv3D(
      filters, (1, 3, 3), (1, height, width), name="spatial_conv"
    )
    self.spatial_bn = convolution.BatchNorm("spatial_bn")
    self.temporal_conv = convolution.Conv3D(
      filters, (3, 1, 1), (temporal, 1, 1), name="temporal_conv"
    )

  def call(self, x, training=False):
    x = tf.nn.relu(self.spatial_bn(self.spatial_conv(x), training=training))
    return self.temporal_conv(x)


class ResidualBlock(tf.keras.layers.Layer):
  """Residual block of pairs of spatial and temporal convolutions.

  If the shape changes, the shortcut is a 1x1x1 convolution without normalisation. The last batch
  normalisation follows the addition. The first pair has the strides.
  """

  def __init__(
    self, filters: int, strides: Sequence[int] = (1, 1, 1), num_pairs: int = 2, name=None
  ):
    super().__init__(name=name)
    self._filters = filters
    self._strides = tuple(strides)
    self.pairs = [
      SpatialTemporalConv(filters, strides if i == 0 else (1, 1, 1), name=f"pair_{i}")
      for i in range(num_pairs)
    ]
    self.norms = [convolution.BatchNorm(f"bn_{i}") for i in range(num_pairs)]
    self.shortcut = None

  def build(self, input_shape):
    if input_shape[-1] != self._filters or self._strides != (1, 1, 1):
      self.shortcut = convolution.Conv3D(
        self._filters, (1, 1, 1), self._strides, name="shortcut"
      )
    super().build(input_shape)

  def call(self, x, training=False):
    residual = x if self.shortcut is None else self.shortcut(x)
    for pair, norm in zip(self.pairs, self.norms):
      x = pair(x, training=training)
      if pair is self.pairs[-1]:
        x = x + residual
      x = tf.nn.relu(norm(x, training=training))
    return x


@gin.register
class R2Plus1D(tf.keras.layers.Layer):
  """R(2+1)D video network: residual network with factorised 3-D convolutions.

  The defaults are the network of AVID-CMA, with 15,379,136 parameters. `stem="avsa"` gives the
  network of AVSA, which has no max pooling in the stem.

  Source:
    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018,
    in the variants of Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with
    Cross-Modal Agreement", CVPR 2021, and Morgado, Li, Vasconcelos, "Learning Representations from
    Audio-Visual Spatial Alignment", NeurIPS 2020. Depth 6: this project.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> maps = models.R2Plus1D(depth=6, width_multiplier=0.125)(tf.zeros([1, 8, 64, 64, 3]))
    >>> maps["conv5x"].shape, maps["pooled"].shape
    (TensorShape([1, 1, 2, 2, 64]), TensorShape([1, 64]))
  """

  def __init__(
    self,
    depth: int = 18,
    width_multiplier: float = 1.0,
    stem: str = "avid",
    stem_kernel: Sequence[int] = (3, 7, 7),
    stem_strides: Sequence[int] = (1, 2, 2),
    stage_widths: Sequence[int] = (64, 128, 256, 512),
    stage_strides: Sequence[Sequence[int]] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
    name: str = "r2plus1d",
  ):
    """Creates the network.

    Args:
      depth: 6, 10, 18 or 34; 6 has a single pair of convolutions per stage.
      width_multiplier: factor applied to all widths.
      stem: `"avid"` ends the stem with a 1x3x3 max pool of stride (1, 2, 2), `"avsa"` does not.
      stem_kernel: kernel size (T, H, W) of the stem, odd.
      stem_strides: strides (T, H, W) of the stem.
      stage_widths: number of channels of the four stages; the stem has as many as the first.
      stage_strides: strides (T, H, W) of the first block of each stage.
      name: name of the layer.

    Raises:
      UserError: the depth or the stem is unknown, the number of stages is not four, or the kernel
        size is even.
    """
    super().__init__(name=name)
    if depth not in _ARCHITECTURES:
      raise UserError(f"R2Plus1D.depth is {depth}; expected one of {sorted(_ARCHITECTURES)}.")
    if stem not in _STEMS:
      raise UserError(f"R2Plus1D.stem is {stem!r}; expected one of {_STEMS}.")
    num_blocks, num_pairs = _ARCHITECTURES[depth]
    if len(stage_widths) != len(num_blocks) or len(stage_strides) != len(num_blocks):
      raise UserError(
        f"R2Plus1D has {len(num_blocks)} stages; got {len(stage_widths)} stage_widths and "
        f"{len(stage_strides)} stage_strides."
      )
    widths = [convolution.scaled_width(w, width_multiplier) for w in stage_widths]
    self._pool_stem = stem == "avid"
    self.conv1 = convolution.Conv3D(widths[0], stem_kernel, stem_strides, name="conv1")
    self.bn1 = convolution.BatchNorm("bn1")

    def stage(i: int) -> list:
      return [
        ResidualBlock(
          widths[i],
          stage_strides[i] if j == 0 else (1, 1, 1),
          num_pairs,
          name=f"conv{i + 2}x_{j}",
        )
        for j in range(num_blocks[i])
      ]

    self.conv2x = stage(0)
    self.conv3x = stage(1)
    self.conv4x = stage(2)
    self.conv5x = stage(3)

  def call(self, frames: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Encodes normalised frames.

    Args:
      frames: float `[B, T, H, W, C]`.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `"conv1"`, `"conv2x"` ... `"conv5x"`: maps `[B, t, h, w, c]` in the compute dtype;
      `"pooled"`: float32 `[B, D]`, the maximum over `"conv5x"`.
    """
    x = tf.nn.relu(self.bn1(self.conv1(frames), training=training))
    if self._pool_stem:
      x = _max_pool_after_relu(x)
    maps = {"conv1": x}
    for name in ("conv2x", "conv3x", "conv4x", "conv5x"):
      for block in getattr(self, name):
        x = block(x, training=training)
      maps[name] = x
    maps["pooled"] = convolution.global_max_pool(x)
    return maps


def _max_pool_after_relu(x: tf.Tensor) -> tf.Tensor:
  """1x3x3 max pool with stride (1, 2, 2) and symmetric padding, of a non-negative map."""
  # For non-negative values, padding with zeros is equivalent to padding with minus infinity.
  x = tf.pad(x, convolution.symmetric_padding((1, 3, 3)))
  return tf.nn.max_pool3d(x, (1, 3, 3), (1, 2, 2), "VALID")
