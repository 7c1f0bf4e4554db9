"""Optimisers a gin file can pick: each takes a learning rate or schedule first."""

import gin
import tensorflow as tf

from avssl_tf import addons
from avssl_tf.errors import UserError

gin.external_configurable(tf.keras.optimizers.AdamW, module="optimizers")
gin.external_configurable(tf.keras.optimizers.SGD, module="optimizers")
gin.external_configurable(addons.LAMB, module="optimizers")


@gin.register(module="optimizers")
class Adam(tf.keras.optimizers.Adam):
  """Adam with L2 regularisation coupled into the gradient.

  This is PyTorch's `Adam(weight_decay=...)`, with which the published models
  were trained; the penalty passes through the moments, unlike AdamW's.
  """

  def __init__(
    self, learning_rate=1e-3, l2: float = 0.0, torch_epsilon: bool = False, **kwargs
  ):
    """Creates the optimiser.

    Args:
      learning_rate: number or schedule.
      l2: adds `l2 * weight` to every gradient, biases and batch norm included.
      torch_epsilon: whether `epsilon` is added to the root of the corrected second moment, as in
        PyTorch. Keras adds it before the correction, so that in step t it counts 1 / sqrt(1 -
        beta_2^t) times as much: 32 times in the first one.
      **kwargs: of `tf.keras.optimizers.Adam`, whose `epsilon` is 1e-7 (PyTorch: 1e-8).

    Raises:
      UserError: `l2` is negative.
    """
    super().__init__(learning_rate=learning_rate, **kwargs)
    if l2 < 0:
      raise UserError(f"l2 must not be negative, got {l2}.")
    self.l2 = l2
    self.torch_epsilon = torch_epsilon

  def update_step(self, gradient, variable):
    """Adam's step on the regularised gradient."""
    if self.l2:
      gradient = gradient + tf.cast(self.l2, variable.dtype) * variable
    if not self.torch_epsilon:
      super().update_step(gradient, variable)
      return
    epsilon, dtype = self.epsilon, variable.dtype
    done = tf.cast(self.iterations + 1, dtype)
    # Keras reads its epsilon here and nowhere else.
    self.epsilon = epsilon * tf.sqrt(1 - tf.pow(tf.cast(self.beta_2, dtype), done))
    try:
      super().update_step(gradient, variable)
    finally:
      self.epsilon = epsilon

  def get_config(self):
    """Configuration for Keras serialisation."""
    return {**super().get_config(), "l2": self.l2, "torch_epsilon": self.torch_epsilon}
