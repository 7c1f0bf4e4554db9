"""What happens before an epoch: the task renews its state, probes measure, clips are drawn."""

from collections.abc import Mapping
from typing import Callable, Union

import numpy as np

from avssl_tf import stops
from avssl_tf.training.callbacks.step_counter import StepCounter
from avssl_tf.training.metrics import Metrics


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
