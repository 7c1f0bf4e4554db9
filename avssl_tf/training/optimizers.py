"""Optimisers a gin file can pick: each takes a learning rate or schedule first."""

import gin
import tensorflow as tf

from avssl_tf import addons

gin.external_configurable(tf.keras.optimizers.AdamW, module="optimizers")
gin.external_configurable(tf.keras.optimizers.SGD, module="optimizers")
gin.external_configurable(addons.LAMB, module="optimizers")


@gin.register(module="optimizers")
class Adam(tf.keras.optimizers.Adam):
  """Adam with L2 regularisation coupled into the gradient.

  This is PyTorch's `Adam(weight_decay=...)`, with which the published models
  were trained; the penalty passes through the moments, unlike AdamW's.
  """

  def __init__(self, learning_rate=1e-3, l2: float = 0.0, **kwargs):
    """Creates the optimiser.

    Args:
      learning_rate: number or schedule.
      l2: adds `l2 * weight` to every gradient, biases and batch norm included.
      **kwargs: of `tf.keras.optimizers.Adam`.

    Raises:
      ValueError: `l2` is negative.
    """
    super().__init__(learning_rate=learning_rate, **kwargs)
    if l2 < 0:
      raise ValueError(f"l2 must not be negative, got {l2}.")
    self.l2 = l2

  def update_step(self, gradient, variable):
    """Adam's step on the regularised gradient."""
    if self.l2:
      gradient = gradient + tf.cast(self.l2, variable.dtype) * variable
    super().update_step(gradient, variable)

  def get_config(self):
    """Configuration for Keras serialisation."""
    return {**super().get_config(), "l2": self.l2}
