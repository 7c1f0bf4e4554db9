"""Projection heads."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.models import convolution


@gin.register
class MLPHead(tf.keras.layers.Layer):
  """Multi-layer perceptron with ReLU between its layers and none after the last.

  Computes in float32 under every mixed-precision policy: it costs nothing beside the
  encoders, and the contrastive loss divides its output by a small temperature.

  Attributes:
    embedding_dim: dimension of the output.
  """

  def __init__(
    self,
    widths: Sequence[int] = (512, 512, 128),
    batch_norm: bool = False,
    name: str = "mlp_head",
  ):
    """Creates the head.

    Args:
      widths: units of each layer; the last is the dimension of the embedding.
      batch_norm: whether batch normalisation precedes each ReLU.
      name: name of the layer.

    Raises:
      UserError: no layers, or layers without units.
    """
    super().__init__(name=name, dtype="float32")
    if not widths or min(widths) < 1:
      # oneDNN aborts the process for layers without units.
      raise UserError(
        f"MLPHead.widths is {tuple(widths)}; expected the units of at least one layer, each 1 or "
        "more."
      )
    self.embedding_dim = widths[-1]
    self.dense = [
      tf.keras.layers.Dense(
        width, kernel_initializer="he_normal", dtype="float32", name=f"dense_{i}"
      )
      for i, width in enumerate(widths)
    ]
    self.norms = [
      convolution.BatchNorm(f"bn_{i}", dtype="float32")
      for i in range(len(widths) - 1 if batch_norm else 0)
    ]

  def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Maps `[B, D]` to float32 `[B, widths[-1]]`."""
    for i, dense in enumerate(self.dense):
      x = dense(x)
      if i < len(self.dense) - 1:
        if self.norms:
          x = self.norms[i](x, training=training)
        x = tf.nn.relu(x)
    return x
