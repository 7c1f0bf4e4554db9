"""Optimisers of Keras: new ones, and those of the old kind as in TensorFlow Addons, alike."""

from collections.abc import Sequence

import tensorflow as tf


def build(optimizer, trained: Sequence[tf.Variable]) -> None:
  """Creates the variables of an optimiser, which a checkpoint has to find in place.

  Args:
    optimizer: any optimiser of Keras.
    trained: the variables that it will change.
  """
  if hasattr(optimizer, "build"):
    optimizer.build(trained)
  else:
    # Those of the old kind have no public method for it.
    optimizer.iterations  # noqa: B018
    optimizer._create_all_weights(trained)  # pylint: disable=protected-access


def variables(optimizer) -> Sequence[tf.Variable]:
  """Variables of any optimiser of Keras: a method of old ones, a property of new ones."""
  found = optimizer.variables
  return found() if callable(found) else found


def learning_rate(optimizer) -> float:
  """Learning rate of the next step, of any Keras optimiser and with any wrapper around it."""
  optimizer = getattr(optimizer, "inner_optimizer", optimizer)
  # New optimisers keep a schedule to themselves and show its last value.
  rate = getattr(optimizer, "_learning_rate", None)
  rate = optimizer.learning_rate if rate is None else rate
  if isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule):
    rate = rate(optimizer.iterations)
  return float(tf.convert_to_tensor(rate))
