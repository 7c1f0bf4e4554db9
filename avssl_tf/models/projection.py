"""Projection heads."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.models import convolution


@gin.register
class MLPHead(tf.keras.layers.Layer):
  """Projection head: multi-layer perceptron with ReLU between the layers, but not after the last.

  The head computes in float32 under every mixed-precision policy: its cost is negligible compared
  with the encoders, and the contrastive loss divides its output by a small temperature.

  Attributes:
    embedding_dim: dimension E of the output.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 3 and appendix.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> head = models.MLPHead(widths=(32, 16))
    >>> head(tf.zeros([4, 512])).shape, head.embedding_dim
    (TensorShape([4, 16]), 16)
  """

  def __init__(
    self,
    widths: Sequence[int] = (512, 512, 128),
    batch_norm: bool = False,
    name: str = "mlp_head",
  ):
    """Creates the head.

    Args:
      widths: number of units of each layer; the last is the dimension of the embedding.
      batch_norm: whether batch normalisation precedes each ReLU.
      name: name of the layer.

    Raises:
      UserError: there is no layer, or a layer has no units.
    """
    super().__init__(name=name, dtype="float32")
    if not widths or min(widths) < 1:
      # oneDNN aborts the process for layers without units.
      raise UserError(
        f"MLPHead.widths is {tuple(widths)}; expected at least one layer, each with 1 or more "
        "units."
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
    """Projects features.

    Args:
      x: float `[B, D]`.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      float32 `[B, E]`, not normalised.
    """
    for i, dense in enumerate(self.dense):
      x = dense(x)
      if i < len(self.dense) - 1:
        if self.norms:
          x = self.norms[i](x, training=training)
        x = tf.nn.relu(x)
    return x
