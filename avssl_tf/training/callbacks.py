"""What happens around the steps of Keras `fit`: loss log, checkpoints, probes, progress."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Callable, Optional, Union

import numpy as np
import tensorflow as tf
import tqdm

from avssl_tf import stops
from avssl_tf.errors import NonFiniteError
from avssl_tf.training import checkpoints
from avssl_tf.training.metrics import Metrics

# Losses by name, scalars that may still be on their way from the device.
Logs = dict[str, tf.Tensor]


class StepCounter(tf.keras.callbacks.Callback):
  """Base of callbacks that count in steps of the run rather than of an epoch.

  Keras numbers batches from 0 in each epoch and each `fit`; after a resume in
  the middle of an epoch its number means little. The optimiser's own count is
  checkpointed and goes on.

  Attributes:
    step: steps done since the run began.
  """

  def __init__(self):
    super().__init__()
    # Logs stay on the device until somebody looks at them: no step waits for the one before.
    self._supports_tf_logs = True
    self.step = 0

  def on_train_begin(self, logs=None):
    """Reads the count, once."""
    self.step = checkpoints.steps_done(self.model)

  def on_train_batch_end(self, batch, logs=None):
    """Counts, and hands over to `on_step_end`."""
    self.step += 1
    self.on_step_end(logs or {})

  def on_step_end(self, logs: Logs) -> None:
    """Called after each step."""


class LossLog(StepCounter):
  """Logs means over the last steps; also the NaN guard, since it is what looks at the losses."""

  def __init__(self, metrics: Metrics, every_steps: int, batch_size: int):
    """Logs every `every_steps` steps, and at the end of an epoch, to `metrics`.

    Args:
      metrics: the run's log.
      every_steps: steps that one line averages.
      batch_size: clips per step over all replicas, for the rate.
    """
    super().__init__()
    self._metrics = metrics
    self._every_steps = every_steps
    self._batch_size = batch_size
    self._pending: list[Logs] = []
    self._since = time.monotonic()

  def on_epoch_begin(self, epoch, logs=None):
    """Starts an interval: what came between two epochs takes no part in the rate."""
    self._start_interval()

  def on_step_end(self, logs):
    """Collects; averages and logs when due."""
    self._pending.append(logs)
    if self.step % self._every_steps == 0:
      self.flush()

  def on_epoch_end(self, epoch, logs=None):
    """Logs what is left, so that no loss goes unread."""
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
    """Logs the means since the last line, if there is any step since."""
    means = self.check()
    if means:
      clips = len(self._pending) * self._batch_size
      self._metrics.add(
        self.step,
        {
          **means,
          "learning_rate": learning_rate(self.model.optimizer),
          "clips_per_sec": clips / (time.monotonic() - self._since),
        },
      )
      self._start_interval()

  def _start_interval(self) -> None:
    self._pending = []
    self._since = time.monotonic()


class Checkpointer(StepCounter):
  """Saves every `every_steps` steps and at the end of `fit`, if all is finite."""

  def __init__(
    self, run_checkpoints: checkpoints.RunCheckpoints, every_steps: int, loss_log: LossLog
  ):
    """Saves to `run_checkpoints` what `loss_log` finds good."""
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
  """Keeps the checkpoints of chosen epochs; before `Checkpointer` among the callbacks.

  So a run that was killed between the two resumes before the epoch's end and keeps it then.
  """

  def __init__(
    self,
    run_checkpoints: checkpoints.RunCheckpoints,
    epochs: Sequence[int],
    steps_per_epoch: int,
    loss_log: LossLog,
  ):
    """Keeps in `run_checkpoints` what `loss_log` finds good after each of `epochs`."""
    super().__init__()
    self._checkpoints = run_checkpoints
    self._epochs = epochs
    self._steps_per_epoch = steps_per_epoch
    self._loss_log = loss_log

  def on_train_begin(self, logs=None):
    """Keeps the present epoch if that is asked for only now."""
    super().on_train_begin(logs)
    epoch, inside = divmod(self.step, self._steps_per_epoch)
    if epoch in self._epochs and not inside and epoch not in self._checkpoints.kept_epochs():
      self._checkpoints.keep(epoch)

  def on_step_end(self, logs):
    """Keeps when due."""
    epoch, inside = divmod(self.step, self._steps_per_epoch)
    if not inside and epoch in self._epochs:
      self._loss_log.check()
      self._checkpoints.keep(epoch)


class StopPoint(StepCounter):
  """Ends `fit` after a step if a signal asked for a stop meanwhile; the last of the callbacks.

  `fit` runs in `stops.held`, so that no step is broken off and none is lost.
  """

  def __init__(self, loss_log: LossLog):
    """Logs what is left in `loss_log` before."""
    super().__init__()
    self._loss_log = loss_log

  def on_step_end(self, logs):
    """Stops if asked to."""
    if stops.requested():
      self._loss_log.flush()
      stops.check()


class EpochProbe(StepCounter):
  """Calls `probe(step)` after every n epochs, the last one left out.

  Between two epochs, before the next one begins: a run that was killed while it probed does
  so when it goes on.
  """

  def __init__(self, probe: Callable[[int], None], every_epochs: int, steps_per_epoch: int):
    """Probes every `every_epochs` epochs; 0: never."""
    super().__init__()
    self._probe = probe
    self._every_epochs = every_epochs
    self._steps_per_epoch = steps_per_epoch

  def on_epoch_begin(self, epoch, logs=None):
    """Probes when due."""
    is_boundary = self.step == epoch * self._steps_per_epoch
    if self._every_epochs and epoch and epoch % self._every_epochs == 0 and is_boundary:
      with stops.allowed():
        self._probe(self.step)


class EpochStart(StepCounter):
  """Calls `begin(epoch)` before each epoch, and logs what it returns.

  An epoch that was cut off goes on without: what was begun then is in the checkpoint.
  """

  def __init__(
    self,
    begin: Callable[[int], Mapping[str, Union[float, np.ndarray]]],
    metrics: Metrics,
    steps_per_epoch: int,
  ):
    """Logs numbers and histograms to `metrics`."""
    super().__init__()
    self._begin = begin
    self._metrics = metrics
    self._steps_per_epoch = steps_per_epoch

  def on_epoch_begin(self, epoch, logs=None):
    """Begins the epoch."""
    if self.step == epoch * self._steps_per_epoch:
      with stops.allowed():
        values = self._begin(epoch)
      if values:
        self._metrics.add(self.step, values)


class BatchPictures(StepCounter):
  """Draws a batch at the start of each of the first epochs."""

  def __init__(
    self,
    draw: Callable[[int], np.ndarray],
    num_epochs: int,
    metrics: Metrics,
    steps_per_epoch: int,
  ):
    """Draws by `draw(step)`, uint8 `[H, W, 3]`, at the starts of `num_epochs` epochs."""
    super().__init__()
    self._draw = draw
    self._num_epochs = num_epochs
    self._metrics = metrics
    self._steps_per_epoch = steps_per_epoch

  def on_epoch_begin(self, epoch, logs=None):
    """Draws when due: an epoch that was cut off was drawn when it began."""
    if epoch < self._num_epochs and self.step == epoch * self._steps_per_epoch:
      with stops.allowed():
        picture = self._draw(self.step)
      self._metrics.add_picture(self.step, "batch/clips", picture)


class Progress(StepCounter):
  """A progress bar for each epoch; a line for each where the output is no terminal."""

  _LINE_EVERY_SEC = 60.0
  _LOSS_EVERY_SEC = 0.5

  def __init__(self, steps_per_epoch: int, num_epochs: int, batch_size: int):
    """Shows `num_epochs` epochs of `steps_per_epoch` steps of `batch_size` clips."""
    super().__init__()
    self._steps_per_epoch = steps_per_epoch
    self._num_epochs = num_epochs
    self._batch_size = batch_size
    self._is_terminal = sys.stderr.isatty()
    self._bar: Optional[tqdm.tqdm] = None
    self._shown = 0.0

  def on_epoch_begin(self, epoch, logs=None):
    """Opens the bar, where an interrupted epoch had come to."""
    self._bar = tqdm.tqdm(
      desc=f"Epoch {epoch + 1:{len(str(self._num_epochs))}}/{self._num_epochs}",
      total=self._steps_per_epoch,
      initial=self.step - epoch * self._steps_per_epoch,
      unit="step",
      dynamic_ncols=True,
      file=sys.stderr if self._is_terminal else _Nowhere(),
      bar_format=None if self._is_terminal else _LINE,
    )
    self._shown = time.monotonic()

  def on_step_end(self, logs):
    """Moves the bar; looks at the loss now and then, since looking waits for the device."""
    now = time.monotonic()
    if self._is_terminal and now - self._shown > self._LOSS_EVERY_SEC:
      self._show_loss(logs)
    elif not self._is_terminal and now - self._shown > self._LINE_EVERY_SEC:
      self._show_loss(logs)
      print(self._bar, flush=True)
    self._bar.update()

  def on_epoch_end(self, epoch, logs=None):
    """Leaves the bar with the epoch's last loss."""
    self._show_loss(logs or {})
    self._bar.close()
    if not self._is_terminal:
      print(self._bar, flush=True)

  def _show_loss(self, logs: Logs) -> None:
    self._shown = time.monotonic()
    steps = self._bar.n - self._bar.initial
    notes = [f"loss {float(logs['loss']):.3f}"] if "loss" in logs else []
    if steps:
      sec_per_step = self._bar.format_dict["elapsed"] / steps
      left = (self._steps_per_epoch * self._num_epochs - self.step) * sec_per_step
      notes.insert(0, f"{self._batch_size / max(sec_per_step, 1e-9):.0f} clips/s")
      notes.append(f"run {tqdm.tqdm.format_interval(left)} left")
    self._bar.set_postfix_str(", ".join(notes), refresh=False)


# A line of the progress where there is no bar.
_LINE = "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class _Nowhere:
  """A file that keeps nothing."""

  def write(self, text):
    pass

  def flush(self):
    pass


def learning_rate(optimizer) -> float:
  """Learning rate of the next step, of any Keras optimiser and with any wrapper around it."""
  optimizer = getattr(optimizer, "inner_optimizer", optimizer)
  # New optimisers keep a schedule to themselves and show its last value.
  rate = getattr(optimizer, "_learning_rate", None)
  rate = optimizer.learning_rate if rate is None else rate
  if isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule):
    rate = rate(optimizer.iterations)
  return float(tf.convert_to_tensor(rate))
