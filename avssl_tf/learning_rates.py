"""Step-wise decay of learning rates, for training and for classifiers in evaluation."""

from collections.abc import Iterable

import tensorflow as tf


def falling(
  learning_rate: float, factor: float, steps: Iterable[int]
) -> tf.keras.optimizers.schedules.LearningRateSchedule:
  """`learning_rate`, multiplied by `factor` at each of the steps.

  The lower rate applies from these steps on.

  Args:
    learning_rate: initial learning rate.
    factor: factor of each reduction.
    steps: step numbers, counted from 0, in any order; empty: the rate is constant.
  """
  # Keras includes a boundary in the interval before it, and requires at least one boundary: -1 is
  # before the first step.
  boundaries = [-1, *(step - 1 for step in sorted(steps))]
  values = [learning_rate, *(learning_rate * factor**i for i in range(len(boundaries)))]
  return tf.keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
