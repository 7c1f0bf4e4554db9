"""Callbacks that log losses, detect NaN, and end a run on a signal."""

import math
import time

import tensorflow as tf

from avssl_tf import keras_optimizers, stops
from avssl_tf.errors import NonFiniteError
from avssl_tf.training.callbacks.step_counter import Logs, StepCounter
from avssl_tf.training.metrics import Metrics


class LossLog(StepCounter):
  """Logs means over the last steps, and raises an error if a loss is NaN or infinite."""

  def __init__(self, metrics: Metrics, every_steps: int, batch_size: int):
    """Logs every `every_steps` steps, and at the end of an epoch, to `metrics`.

    Args:
      metrics: the log of the run.
      every_steps: number of steps averaged by one line.
      batch_size: clips per step over all replicas, for `clips_per_sec`.
    """
    super().__init__()
    self._metrics = metrics
    self._every_steps = every_steps
    self._batch_size = batch_size
    self._pending: list[Logs] = []
    self._since = time.monotonic()

  def on_epoch_begin(self, epoch, logs=None):
    """Starts an interval, to exclude the time between two epochs from `clips_per_sec`."""
    self._start_interval()

  def on_step_end(self, logs):
    """Collects the losses; averages and logs them when due."""
    self._pending.append(logs)
    if self.step % self._every_steps == 0:
      self.flush()

  def on_epoch_end(self, epoch, logs=None):
    """Logs the remaining losses."""
    self.flush()

  def check(self) -> dict[str, float]:
    """Means of the losses since the last line.

    Raises:
      NonFiniteError: one of them is NaN or infinite.
    """
    names = self._pending[0] if self._pending else ()
    means = {
      name: float(tf.reduce_mean(tf.stack([logs[name] for logs in self._pending])))
      for name in names
    }
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if bad:
      raise NonFiniteError(
        f"{', '.join(bad)} became NaN or infinite within steps "
        f"{self.step - len(self._pending) + 1}..{self.step}."
      )
    return means

  def flush(self) -> None:
    """Logs the means since the last line, if there was a step since."""
    means = self.check()
    if means:
      clips = len(self._pending) * self._batch_size
      self._metrics.add(
        self.step,
        {
          **means,
          "learning_rate": keras_optimizers.learning_rate(self.model.optimizer),
          "clips_per_sec": clips / (time.monotonic() - self._since),
        },
      )
      self._start_interval()

  def _start_interval(self) -> None:
    self._pending = []
    self._since = time.monotonic()


class StopPoint(StepCounter):
  """Ends `fit` after a step if a signal has requested a stop; must be the last callback.

  `fit` runs in `stops.held`, which prevents a stop in the middle of a step.
  """

  def __init__(self, loss_log: LossLog):
    """Creates the callback; `loss_log` is flushed before the stop."""
    super().__init__()
    self._loss_log = loss_log

  def on_step_end(self, logs):
    """Stops if requested."""
    if stops.requested():
      self._loss_log.flush()
      stops.check()
