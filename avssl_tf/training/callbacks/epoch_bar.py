"""The progress bar of an epoch."""

import sys
import time
from typing import Optional

import tqdm

from avssl_tf.training.callbacks.step_counter import Logs, StepCounter


class Progress(StepCounter):
  """A progress bar per epoch; if the output is not a terminal, a line per minute and epoch."""

  _LINE_EVERY_SEC = 60.0
  _LOSS_EVERY_SEC = 0.5

  def __init__(self, steps_per_epoch: int, num_epochs: int, batch_size: int):
    """Creates a bar for `num_epochs` epochs of `steps_per_epoch` steps of `batch_size` clips."""
    super().__init__()
    self._steps_per_epoch = steps_per_epoch
    self._num_epochs = num_epochs
    self._batch_size = batch_size
    self._is_terminal = sys.stderr.isatty()
    self._bar: Optional[tqdm.tqdm] = None
    self._shown = 0.0

  def on_epoch_begin(self, epoch, logs=None):
    """Opens the bar, at the current step if the epoch was interrupted."""
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
    """Advances the bar; reads the loss only occasionally, since this waits for the device."""
    now = time.monotonic()
    if self._is_terminal and now - self._shown > self._LOSS_EVERY_SEC:
      self._show_loss(logs)
    elif not self._is_terminal and now - self._shown > self._LINE_EVERY_SEC:
      self._show_loss(logs)
      print(self._bar, flush=True)
    self._bar.update()

  def on_epoch_end(self, epoch, logs=None):
    """Closes the bar with the last loss of the epoch."""
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


# Format of a progress line where there is no bar.
_LINE = "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class _Nowhere:
  """A file that discards all output."""

  def write(self, text):
    pass

  def flush(self):
    pass
