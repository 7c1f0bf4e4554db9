"""Callbacks at the start of an epoch: updates of the task, probes, images of clips."""

from collections.abc import Mapping
from typing import Callable, Union

import numpy as np

from avssl_tf import stops
from avssl_tf.training.callbacks.step_counter import StepCounter
from avssl_tf.training.metrics import Metrics


class EpochProbe(StepCounter):
  """Calls `probe(step)` after every n epochs, except the last.

  The probe runs at the start of the next epoch. A run that is killed during the probe repeats it
  when it resumes.
  """

  def __init__(self, probe: Callable[[int], None], every_epochs: int, steps_per_epoch: int):
    """Probes every `every_epochs` epochs; 0 disables it."""
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
  """Calls `begin(epoch)` before each epoch, and logs the returned values.

  It is not called when a run resumes in the middle of an epoch: the checkpoint contains the state.
  """

  def __init__(
    self,
    begin: Callable[[int], Mapping[str, Union[float, np.ndarray]]],
    metrics: Metrics,
    steps_per_epoch: int,
  ):
    """Creates the callback; numbers and histograms are logged to `metrics`."""
    super().__init__()
    self._begin = begin
    self._metrics = metrics
    self._steps_per_epoch = steps_per_epoch

  def on_epoch_begin(self, epoch, logs=None):
    """Calls `begin` and logs its values, if the epoch is not resumed."""
    if self.step == epoch * self._steps_per_epoch:
      with stops.allowed():
        values = self._begin(epoch)
      if values:
        self._metrics.add(self.step, values)


class BatchPictures(StepCounter):
  """Draws clips of the batch at the start of each of the first epochs."""

  def __init__(
    self,
    draw: Callable[[int], np.ndarray],
    num_epochs: int,
    metrics: Metrics,
    steps_per_epoch: int,
  ):
    """Draws `draw(step)`, uint8 `[H, W, 3]`, at the start of the first `num_epochs` epochs."""
    super().__init__()
    self._draw = draw
    self._num_epochs = num_epochs
    self._metrics = metrics
    self._steps_per_epoch = steps_per_epoch

  def on_epoch_begin(self, epoch, logs=None):
    """Draws when due; not when a run resumes in the middle of an epoch."""
    if epoch < self._num_epochs and self.step == epoch * self._steps_per_epoch:
      with stops.allowed():
        picture = self._draw(self.step)
      self._metrics.add_picture(self.step, "batch/clips", picture)
