"""Learning-rate schedules, in steps or epochs of the run they are built for."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf import learning_rates

Schedule = tf.keras.optimizers.schedules.LearningRateSchedule


class WarmUp(Schedule):
  """Rises linearly from 0 to `after`'s value within `num_steps`, then follows it."""

  def __init__(self, after: Schedule, num_steps: int):
    """Puts a warm-up of `num_steps` steps in front of `after`."""
    self.after = after
    self.num_steps = num_steps

  def __call__(self, step):
    """Learning rate at `step`, a float32 scalar."""
    # The first step already moves.
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
  """Half a cosine from `learning_rate` to `final_share` of it over the run.

  Loshchilov, Hutter, "SGDR", ICLR 2017, without restarts.
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
  """`learning_rate`, multiplied by `factor` at each milestone; constant without.

  As PyTorch's `MultiStepLR`: epochs and steps are counted from 0, and the first step of the epoch
  that a milestone names, or the step that it names, already has the lower rate.

  Args:
    total_steps: not used.
    steps_per_epoch: steps of an epoch.
    learning_rate: rate of the first steps.
    warmup_steps: steps of a linear rise before that.
    milestone_epochs: epochs at whose beginning the rate falls.
    factor: by which it is multiplied.
    milestone_steps: steps at which the rate falls.
  """
  del total_steps
  milestones = [*(epoch * steps_per_epoch for epoch in milestone_epochs), *milestone_steps]
  return WarmUp(learning_rates.falling(learning_rate, factor, milestones), warmup_steps)
