"""Learning-rate schedules, in steps or epochs of a run."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf import learning_rates

Schedule = tf.keras.optimizers.schedules.LearningRateSchedule


class WarmUp(Schedule):
  """Multiplies `after` by a factor that rises linearly to 1 over the first `num_steps` steps."""

  def __init__(self, after: Schedule, num_steps: int):
    """Adds a warm-up of `num_steps` steps to `after`."""
    self.after = after
    self.num_steps = num_steps

  def __call__(self, step):
    """Learning rate at `step`, a float32 scalar."""
    # The rate of the first step is not 0.
    share = (tf.cast(step, tf.float32) + 1.0) / max(1, self.num_steps)
    return self.after(step) * tf.minimum(share, 1.0)

  def get_config(self):
    """Configuration for Keras serialisation."""
    return {"after": self.after, "num_steps": self.num_steps}


@gin.register(module="schedules")
def cosine(
  total_steps: int,
  steps_per_epoch: int,
  learning_rate: float = 1e-3,
  warmup_steps: int = 0,
  final_share: float = 0.0,
) -> Schedule:
  """Cosine decay over the run, from `learning_rate` to `final_share * learning_rate`.

  Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, without
  restarts.
  """
  del steps_per_epoch
  decay = tf.keras.optimizers.schedules.CosineDecay(learning_rate, total_steps, alpha=final_share)
  return WarmUp(decay, warmup_steps)


@gin.register(module="schedules")
def step_decay(
  total_steps: int,
  steps_per_epoch: int,
  learning_rate: float = 1e-3,
  warmup_steps: int = 0,
  milestone_epochs: Sequence[int] = (),
  factor: float = 0.1,
  milestone_steps: Sequence[int] = (),
) -> Schedule:
  """`learning_rate`, multiplied by `factor` at each milestone; constant without milestones.

  As in PyTorch's `MultiStepLR`, epochs and steps are counted from 0. The lower rate applies from
  the first step of a milestone epoch, or from a milestone step, on.

  Args:
    total_steps: not used.
    steps_per_epoch: number of steps per epoch.
    learning_rate: initial learning rate.
    warmup_steps: number of steps of the linear warm-up.
    milestone_epochs: epochs at the start of which the rate is reduced.
    factor: factor of each reduction.
    milestone_steps: steps at which the rate is reduced.
  """
  del total_steps
  milestones = [*(epoch * steps_per_epoch for epoch in milestone_epochs), *milestone_steps]
  return WarmUp(learning_rates.falling(learning_rate, factor, milestones), warmup_steps)
