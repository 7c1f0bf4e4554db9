"""Optimisers for gin files; the first argument of each is a learning rate or schedule."""

import gin
import tensorflow as tf

from avssl_tf import addons
from avssl_tf.errors import UserError

gin.external_configurable(tf.keras.optimizers.AdamW, module="optimizers")
gin.external_configurable(tf.keras.optimizers.SGD, module="optimizers")
gin.external_configurable(addons.LAMB, module="optimizers")


@gin.register(module="optimizers")
class Adam(tf.keras.optimizers.Adam):
  """Adam with L2 regularisation added to the gradient.

  Same as PyTorch's `Adam(weight_decay=...)`, which trained the published models. Unlike in AdamW,
  the penalty enters the moments.
  """

  def __init__(
    self, learning_rate=1e-3, l2: float = 0.0, torch_epsilon: bool = False, **kwargs
  ):
    """Creates the optimiser.

    Args:
      learning_rate: number or schedule.
      l2: adds `l2 * weight` to every gradient, biases and batch normalisation included.
      torch_epsilon: add `epsilon` to the root of the bias-corrected second moment, as in PyTorch.
        Keras adds it before the correction, which increases its effect in step t by a factor of
        1 / sqrt(1 - beta_2^t): 32 in the first step.
      **kwargs: arguments of `tf.keras.optimizers.Adam`; its default `epsilon` is 1e-7 (PyTorch:
        1e-8).

    Raises:
      UserError: `l2` is negative.
    """
    super().__init__(learning_rate=learning_rate, **kwargs)
    if l2 < 0:
      raise UserError(f"l2 is {l2}; expected 0 or more.")
    self.l2 = l2
    self.torch_epsilon = torch_epsilon

  def update_step(self, gradient, variable):
    """Adam's update with the regularised gradient."""
    if self.l2:
      gradient = gradient + tf.cast(self.l2, variable.dtype) * variable
    if not self.torch_epsilon:
      super().update_step(gradient, variable)
      return
    epsilon, dtype = self.epsilon, variable.dtype
    done = tf.cast(self.iterations + 1, dtype)
    # Keras reads epsilon only in this update.
    self.epsilon = epsilon * tf.sqrt(1 - tf.pow(tf.cast(self.beta_2, dtype), done))
    try:
      super().update_step(gradient, variable)
    finally:
      self.epsilon = epsilon

  def get_config(self):
    """Configuration for Keras serialisation."""
    return {**super().get_config(), "l2": self.l2, "torch_epsilon": self.torch_epsilon}
