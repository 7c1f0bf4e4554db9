"""Feature pyramid network on the stages of a video network, for semantic segmentation.

Kirillov, Girshick, He, Dollár, "Panoptic Feature Pyramid Networks", CVPR 2019, section 3, with
learned pooling over time, as in Morgado, Li, Vasconcelos, "Learning Representations from
Audio-Visual Spatial Alignment", NeurIPS 2020, section 5.3.
"""

from collections.abc import Mapping, Sequence
from typing import Optional

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

STAGES = ("conv2x", "conv3x", "conv4x", "conv5x")


class TimePool(tf.keras.layers.Layer):
  """A learned weighted sum over time, initialised to the mean."""

  def build(self, input_shape):
    length = input_shape[1]
    self.weight = self.add_weight(
      "weight", [length, 1, 1, 1], initializer=tf.constant_initializer(1.0 / length)
    )
    super().build(input_shape)

  def call(self, x: Tensor) -> Tensor:
    """Maps `[B, T, H, W, C]` to `[B, H, W, C]`."""
    return tf.reduce_sum(x * tf.cast(self.weight, x.dtype), axis=1)


@gin.register
class FeaturePyramid(tf.keras.layers.Layer):
  """Semantic segmentation from the maps of all stages, at the resolution of the finest stage.

  Top-down pathway: the map of each stage is upsampled to the size of the next finer stage and
  added to it. Then every stage is upsampled to the finest resolution in steps of two, with a
  convolution before each step, and the results are summed.

  Source:
    Kirillov, Girshick, He, Dollár, "Panoptic Feature Pyramid Networks", CVPR 2019, section 3.
    Time pooling and condition: Morgado, Li, Vasconcelos, "Learning Representations from
    Audio-Visual Spatial Alignment", NeurIPS 2020, section 5.3.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> sizes = {"conv2x": 16, "conv3x": 8, "conv4x": 4, "conv5x": 2}
    >>> maps = {stage: tf.zeros([1, 2, size, size, 8]) for stage, size in sizes.items()}
    >>> models.FeaturePyramid(num_classes=5, pyramid_dim=16, head_dim=32)(maps).shape
    TensorShape([1, 16, 16, 5])
  """

  def __init__(
    self,
    num_classes: int,
    pyramid_dim: int = 256,
    head_dim: int = 128,
    num_groups: int = 32,
    stages: Sequence[str] = STAGES,
    name: str = "feature_pyramid",
  ):
    """Creates the layer.

    Args:
      num_classes: number of classes, 2 or more.
      pyramid_dim: number of channels of the pyramid.
      head_dim: number of channels of the branches that are summed.
      num_groups: number of groups of the group normalisation in the branches; divides `head_dim`.
      stages: names of the maps, the finest first.
      name: name of the layer.

    Raises:
      UserError: there are fewer than two classes, or `num_groups` does not divide `head_dim`.
    """
    super().__init__(name=name, dtype="float32")
    if num_classes < 2 or head_dim % num_groups:
      raise UserError(
        f"FeaturePyramid has {num_classes} classes and {head_dim} channels in {num_groups} groups; "
        "expected two classes or more, and a number of channels divisible by the number of groups."
      )
    self._stages = tuple(stages)
    self._head_dim = head_dim
    self._num_groups = num_groups

    def conv(filters: int, size: int, name: str) -> tf.keras.layers.Conv2D:
      return tf.keras.layers.Conv2D(
        filters, size, padding="same", kernel_initializer="he_normal", dtype="float32", name=name
      )

    self.time_pools = {s: TimePool(dtype="float32", name=f"{s}_time_pool") for s in self._stages}
    self.laterals = {s: conv(pyramid_dim, 1, f"{s}_lateral") for s in self._stages}
    self.outputs = {s: conv(pyramid_dim, 3, f"{s}_output") for s in self._stages}
    self.branches: dict[str, list[tuple[tf.keras.layers.Layer, tf.keras.layers.Layer]]] = {}
    # Small, so that all classes have about the same probability at first.
    self.predictor = tf.keras.layers.Conv2D(
      num_classes,
      1,
      kernel_initializer=tf.keras.initializers.RandomNormal(stddev=1e-3),
      dtype="float32",
      name="predictor",
    )

  def build(self, input_shape):
    heights = {stage: input_shape[stage][2] for stage in self._stages}
    for stage in self._stages:
      height, steps = heights[stage], 0
      while height < heights[self._stages[0]]:
        height, steps = 2 * height, steps + 1
      self.branches[stage] = [
        (
          tf.keras.layers.Conv2D(
            self._head_dim,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype="float32",
            name=f"{stage}_branch_{i}",
          ),
          tf.keras.layers.GroupNormalization(
            self._num_groups, dtype="float32", name=f"{stage}_norm_{i}"
          ),
        )
        for i in range(max(1, steps))
      ]
    super().build(input_shape)

  def call(self, maps: Mapping[str, Tensor], condition: Optional[Tensor] = None) -> Tensor:
    """Computes the logits of the classes.

    Args:
      maps: by stage, float `[B, T, H, W, C]`; finer stages are at least as large as coarser ones.
      condition: float `[B, D]`, additional features of each clip, such as audio features. They are
        concatenated to the coarsest map at every position.

    Returns:
      float32 `[B, H, W, num_classes]`, with H and W of the first stage.
    """
    pooled = {s: self.time_pools[s](tf.cast(maps[s], tf.float32)) for s in self._stages}
    coarsest = self._stages[-1]
    if condition is not None:
      shape = tf.shape(pooled[coarsest])
      tiled = tf.broadcast_to(
        condition[:, tf.newaxis, tf.newaxis],
        tf.stack([shape[0], shape[1], shape[2], tf.shape(condition)[1]]),
      )
      tiled = tf.ensure_shape(tiled, [None, None, None, condition.shape[1]])
      pooled[coarsest] = tf.concat([pooled[coarsest], tiled], axis=-1)
    inner = {}
    above = None
    for stage in reversed(self._stages):
      inner[stage] = self.laterals[stage](pooled[stage])
      if above is not None:
        inner[stage] += _resize(above, inner[stage], "nearest")
      above = inner[stage]
    finest = inner[self._stages[0]]
    total = 0.0
    for stage in self._stages:
      x = self.outputs[stage](inner[stage])
      for i, (conv, norm) in enumerate(self.branches[stage]):
        x = tf.nn.relu(norm(conv(x)))
        if i < len(self.branches[stage]) - 1:
          x = tf.image.resize(x, 2 * tf.shape(x)[1:3])
      total += _resize(x, finest, "bilinear")
    return self.predictor(total)


def _resize(x: Tensor, like: Tensor, method: str) -> Tensor:
  if x.shape[1:3].is_fully_defined() and x.shape[1:3] == like.shape[1:3]:
    return x
  return tf.image.resize(x, tf.shape(like)[1:3], method=method)
