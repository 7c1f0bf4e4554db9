"""Callbacks of Keras `fit` that save checkpoints."""

from collections.abc import Sequence

from avssl_tf.training import checkpoints
from avssl_tf.training.callbacks.loss_log import LossLog
from avssl_tf.training.callbacks.step_counter import StepCounter


class Checkpointer(StepCounter):
  """Saves every `every_steps` steps and at the end of `fit`, if all values are finite."""

  def __init__(
    self, run_checkpoints: checkpoints.RunCheckpoints, every_steps: int, loss_log: LossLog
  ):
    """Saves to `run_checkpoints` if the losses of `loss_log` are finite."""
    super().__init__()
    self._checkpoints = run_checkpoints
    self._every_steps = every_steps
    self._loss_log = loss_log

  def on_step_end(self, logs):
    """Saves when due."""
    if self.step % self._every_steps == 0:
      self._loss_log.check()
      self._checkpoints.save(self.step)

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
