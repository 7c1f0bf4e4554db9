"""A uniform interface to new Keras optimisers and legacy ones, such as TensorFlow Addons'."""

from collections.abc import Sequence
from typing import Optional

import tensorflow as tf


def build(optimizer, trained: Sequence[tf.Variable]) -> None:
  """Creates the variables of an optimiser, as required to restore a checkpoint.

  Args:
    optimizer: any Keras optimiser.
    trained: the variables to train.
  """
  if hasattr(optimizer, "build"):
    optimizer.build(trained)
  else:
    # Legacy optimisers have no public method for it.
    optimizer.iterations  # noqa: B018
    optimizer._create_all_weights(trained)  # pylint: disable=protected-access


def variables(optimizer) -> Sequence[tf.Variable]:
  """Variables of any Keras optimiser: a method of legacy ones, a property of new ones."""
  found = optimizer.variables
  return found() if callable(found) else found


def scaled_loss(optimizer, loss: tf.Tensor) -> tf.Tensor:
  """The loss to differentiate: scaled if the optimiser scales losses, as for float16."""
  scale = getattr(optimizer, "get_scaled_loss", None)
  return loss if scale is None else scale(loss)


def unscaled_gradients(
  optimizer, gradients: Sequence[Optional[tf.Tensor]]
) -> Sequence[Optional[tf.Tensor]]:
  """The gradients of the loss from those of `scaled_loss`."""
  unscale = getattr(optimizer, "get_unscaled_gradients", None)
  return gradients if unscale is None else unscale(gradients)


def learning_rate(optimizer) -> float:
  """Learning rate of the next step of any Keras optimiser, wrapped or not."""
  optimizer = getattr(optimizer, "inner_optimizer", optimizer)
  # The public attribute of new optimisers is the last value of the schedule, not the schedule.
  rate = getattr(optimizer, "_learning_rate", None)
  rate = optimizer.learning_rate if rate is None else rate
  if isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule):
    rate = rate(optimizer.iterations)
  return float(tf.convert_to_tensor(rate))
