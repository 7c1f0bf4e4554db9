"""Callbacks of Keras `fit` that save checkpoints."""

import time
from collections.abc import Sequence
from typing import Callable, Optional

from avssl_tf.training import checkpoints
from avssl_tf.training.callbacks.loss_log import LossLog
from avssl_tf.training.callbacks.step_counter import StepCounter


class Checkpointer(StepCounter):
  """Saves after a number of steps, after a time, and at the end of `fit`, if values are finite."""

  def __init__(
    self,
    run_checkpoints: checkpoints.RunCheckpoints,
    every_steps: Optional[int],
    loss_log: LossLog,
    every_minutes: Optional[float] = None,
    agree: Callable[[bool], bool] = bool,
    agree_every_steps: int = 1,
  ):
    """Creates the callback.

    Args:
      run_checkpoints: the checkpoints of the run.
      every_steps: number of steps between checkpoints; None: steps are not counted.
      loss_log: nothing is saved unless its losses are finite.
      every_minutes: time between checkpoints, from the end of one to the start of the next; None:
        the time is not measured.
      agree: called with whether it is time for a checkpoint; returns the same on all workers of a
        cluster, whose clocks differ.
      agree_every_steps: number of steps between two calls of `agree`.
    """
    super().__init__()
    self._checkpoints = run_checkpoints
    self._every_steps = every_steps
    self._loss_log = loss_log
    self._every_minutes = every_minutes
    self._agree = agree
    self._agree_every_steps = agree_every_steps
    self._since_sec = time.monotonic()

  def on_train_begin(self, logs=None):
    """Starts to measure the time."""
    super().on_train_begin(logs)
    self._since_sec = time.monotonic()

  def on_step_end(self, logs):
    """Saves when due."""
    by_steps = self._every_steps is not None and self.step % self._every_steps == 0
    if by_steps or self._is_time():
      self._loss_log.check()
      self._checkpoints.save(self.step)
      self._since_sec = time.monotonic()

  def _is_time(self) -> bool:
    if self._every_minutes is None or self.step % self._agree_every_steps:
      return False
    return self._agree(time.monotonic() - self._since_sec >= 60 * self._every_minutes)

  def on_train_end(self, logs=None):
    """Saves the last step."""
    self._checkpoints.save(self.step)


class EpochKeeper(StepCounter):
  """Keeps the checkpoints of selected epochs; must precede `Checkpointer` in the callbacks.

  With this order, a run that was killed between the two callbacks resumes before the end of the
  epoch, and keeps its checkpoint then.
  """

  def __init__(
    self,
    run_checkpoints: checkpoints.RunCheckpoints,
    epochs: Sequence[int],
    steps_per_epoch: int,
    loss_log: LossLog,
  ):
    """Keeps a checkpoint after each of `epochs` if the losses of `loss_log` are finite."""
    super().__init__()
    self._checkpoints = run_checkpoints
    self._epochs = epochs
    self._steps_per_epoch = steps_per_epoch
    self._loss_log = loss_log

  def on_train_begin(self, logs=None):
    """Keeps the checkpoint of the epoch just completed, if it was not in `epochs` before."""
    super().on_train_begin(logs)
    epoch, inside = divmod(self.step, self._steps_per_epoch)
    if epoch in self._epochs and not inside and epoch not in self._checkpoints.kept_epochs():
      self._checkpoints.keep(epoch)

  def on_step_end(self, logs):
    """Keeps a checkpoint when due."""
    epoch, inside = divmod(self.step, self._steps_per_epoch)
    if not inside and epoch in self._epochs:
      self._loss_log.check()
      self._checkpoints.keep(epoch)
