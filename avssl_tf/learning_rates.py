"""Learning rates that fall in steps, for training and for the classifiers of evaluations."""

from collections.abc import Iterable

import tensorflow as tf


def falling(
  learning_rate: float, factor: float, steps: Iterable[int]
) -> tf.keras.optimizers.schedules.LearningRateSchedule:
  """`learning_rate`, multiplied by `factor` at each of the steps.

  These steps already have the lower rate.

  Args:
    learning_rate: rate of the first steps.
    factor: by which it is multiplied.
    steps: numbers of steps, from 0, in any order; none: the rate is constant.
  """
  # A value of Keras holds up to and including its boundary. The first one is reached before any
  # step: there has to be one.
  boundaries = [-1, *(step - 1 for step in sorted(steps))]
  values = [learning_rate, *(learning_rate * factor**i for i in range(len(boundaries)))]
  return tf.keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
