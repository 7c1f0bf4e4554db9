"""R(2+1)D video networks.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR
2018), in the form of AVID-CMA (Morgado, Vasconcelos, Misra, CVPR 2021): a full 3-D stem, no
adjustment of the width between the spatial and the temporal convolution, and one batch
normalisation after the residual addition.
"""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.models import convolution

# Depth -> (blocks in each of the four stages, pairs of convolutions in a block). Depth 6 is
# not in the papers: it is for small frames.
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
  """Pairs of spatial and temporal convolutions around a shortcut.

  The shortcut is a bare 1x1x1 convolution where the shape changes; the last batch
  normalisation comes after the addition. The first pair carries the strides.
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
  """R(2+1)D video network.

  The defaults are the network of AVID-CMA; with `stem="avsa"` it is the one of "Learning
  Representations from Audio-Visual Spatial Alignment" (NeurIPS 2020), which has no max pool in the
  stem.
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
      depth: 10, 18 or 34; 6 has a single pair of convolutions a stage.
      width_multiplier: factor of all widths.
      stem: `"avid"` ends the stem with a 1x3x3 max pool of stride 2, `"avsa"` does not.
      stem_kernel: size (T, H, W) of the stem's convolution, odd.
      stem_strides: its strides.
      stage_widths: channels of the four stages; the stem has those of the first.
      stage_strides: strides (T, H, W) of the first block of each stage.
      name: name of the layer.

    Raises:
      UserError: unknown depth or stem, or not four stages.
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
      training: whether batch normalisation uses, and learns from, the batch.

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
  """1x3x3 max pool with stride (1, 2, 2) and symmetric padding of a map without negatives."""
  # Zeros pad as well as minus infinity where nothing is negative.
  x = tf.pad(x, convolution.symmetric_padding((1, 3, 3)))
  return tf.nn.max_pool3d(x, (1, 3, 3), (1, 2, 2), "VALID")
