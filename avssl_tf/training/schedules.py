"""Learning-rate schedules, in steps or epochs of the run they are built for."""

from collections.abc import Sequence

import gin
import tensorflow as tf

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

  Milestones are in epochs or in steps.
  """
  milestones = [*(epoch * steps_per_epoch for epoch in milestone_epochs), *milestone_steps]
  boundaries = sorted(milestones) or [total_steps]
  values = [learning_rate * factor**i for i in range(len(milestones) + 1)]
  if not milestones:
    values = [learning_rate, learning_rate]
  decay = tf.keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
  return WarmUp(decay, warmup_steps)
