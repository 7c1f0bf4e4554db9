"""What happens around the steps: NaN guard, checkpoints, logs, probes."""

import json
import math
import os
import time
from typing import Callable, Dict, List, Optional

import tensorflow as tf

METRICS_FILE = "metrics.jsonl"


class NonFiniteError(FloatingPointError):
  """Training produced NaN or infinity; the last good checkpoint is untouched."""


class StepCounter(tf.keras.callbacks.Callback):
  """Base of callbacks that work in steps of the run rather than of an epoch.

  Keras numbers batches from 0 in each epoch and each `fit`; after a resume in
  the middle of an epoch its number means little. The optimiser's own count is
  checkpointed and goes on.

  Attributes:
    step: steps done since the run began.
  """

  # Logs stay on the device until somebody looks at them.
  _supports_tf_logs = True

  def on_train_begin(self, logs=None):
    """Reads the count after a restore."""
    self.step = int(self.model.optimizer.iterations)

  def on_train_batch_end(self, batch, logs=None):
    """Counts, and hands over to `on_step_end`."""
    self.step += 1
    self.on_step_end(logs or {})

  def on_step_end(self, logs: Dict[str, tf.Tensor]) -> None:
    """Called after each step."""


class MetricsLog(StepCounter):
  """Writes means over the last steps to `metrics.jsonl` and TensorBoard.

  Also the NaN guard, since it is what looks at the losses.
  """

  def __init__(self, model_dir: str, every_steps: int, batch_size: int, write: bool = True):
    """Logs every `every_steps` steps of `batch_size` clips into `model_dir`.

    Args:
      model_dir: the run's folder.
      every_steps: steps that one line of the log averages.
      batch_size: clips per step over all replicas, for the rate.
      write: False on machines that do not write the run's files.
    """
    super().__init__()
    self._path = os.path.join(model_dir, METRICS_FILE)
    self._every_steps = every_steps
    self._batch_size = batch_size
    self._write = write
    self._writer = (
      tf.summary.create_file_writer(os.path.join(model_dir, "tensorboard")) if write else None
    )
    self._pending: List[Dict[str, tf.Tensor]] = []
    self._since = time.monotonic()

  def on_train_begin(self, logs=None):
    """Drops lines of steps that a killed run did after its last checkpoint."""
    super().on_train_begin(logs)
    if self._write:
      truncate(self._path, self.step)
    self._restart_interval()

  def on_epoch_begin(self, epoch, logs=None):
    """Leaves the time of a probe between epochs out of the rate."""
    self._restart_interval()

  def on_step_end(self, logs):
    """Collects; averages and writes when due."""
    self._pending.append(logs)
    if self.step % self._every_steps == 0:
      self._flush()

  def on_epoch_end(self, epoch, logs=None):
    """Writes what is left, so that no loss goes unread."""
    self._flush()

  def _restart_interval(self) -> None:
    self._pending = []
    self._since = time.monotonic()

  def _flush(self) -> None:
    if not self._pending:
      return
    count = len(self._pending)
    means = {
      name: sum(float(logs[name]) for logs in self._pending) / count for name in self._pending[0]
    }
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    if bad:
      raise NonFiniteError(
        f"{', '.join(bad)} became NaN or infinite within steps {self.step - count + 1}.."
        f"{self.step}. Training stops; the last good checkpoint is kept. Lower the learning rate, "
        "lengthen the warm-up, or train in float32."
      )
    means["learning_rate"] = float(learning_rate(self.model.optimizer))
    means["clips_per_sec"] = count * self._batch_size / (time.monotonic() - self._since)
    self.log(self.step, means)
    self._restart_interval()

  def log(self, step: int, values: Dict[str, float]) -> None:
    """Adds one line to the log and its values to TensorBoard."""
    if not self._write:
      return
    with open(self._path, "a", encoding="utf-8") as f:
      f.write(json.dumps({"step": step, **values}) + "\n")
    with self._writer.as_default(step=step):
      for name, value in values.items():
        tf.summary.scalar(name, value)
    self._writer.flush()


class Checkpointer(StepCounter):
  """Saves every `every_steps` steps and at the end of `fit`."""

  def __init__(self, manager: tf.train.CheckpointManager, every_steps: int):
    """Saves through `manager`."""
    super().__init__()
    self._manager = manager
    self._every_steps = every_steps

  def on_step_end(self, logs):
    """Saves when due."""
    if self.step % self._every_steps == 0:
      self._save(logs)

  def on_train_end(self, logs=None):
    """Saves the last step."""
    self._save(logs or {})

  def _save(self, logs) -> None:
    broken = [
      variable.name
      for variable in self.model.trainable_variables
      if not bool(tf.reduce_all(tf.math.is_finite(variable)))
    ]
    bad = [name for name, value in logs.items() if not math.isfinite(float(value))]
    if broken or bad:
      raise NonFiniteError(
        f"At step {self.step} {', '.join(bad + broken[:3])} held NaN or infinity. Nothing was "
        f"saved; the last good checkpoint is {self._manager.latest_checkpoint}. Lower the "
        "learning rate, lengthen the warm-up, or train in float32."
      )
    self._manager.save(checkpoint_number=self.step)


class PeriodicProbe(tf.keras.callbacks.Callback):
  """Calls `probe(epoch, step)` every n epochs, except after the last."""

  def __init__(self, probe: Callable[[int], None], every_epochs: int, num_epochs: int):
    """Probes every `every_epochs` of `num_epochs` epochs; 0: never."""
    super().__init__()
    self._probe = probe
    self._every_epochs = every_epochs
    self._num_epochs = num_epochs

  def on_epoch_end(self, epoch, logs=None):
    """Probes when due."""
    done = epoch + 1
    if self._every_epochs and done % self._every_epochs == 0 and done < self._num_epochs:
      self._probe(int(self.model.optimizer.iterations))


def learning_rate(optimizer) -> tf.Tensor:
  """Present learning rate of any Keras optimiser, schedule or not."""
  rate = getattr(optimizer, "_learning_rate", None)
  if rate is None:
    rate = optimizer.learning_rate
  if isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule):
    return rate(optimizer.iterations)
  return tf.convert_to_tensor(optimizer.learning_rate)


def read_metrics(path: str) -> List[Dict[str, float]]:
  """Lines of a `metrics.jsonl`; a last line cut off by a kill is left out."""
  if not os.path.exists(path):
    return []
  lines = []
  with open(path, encoding="utf-8") as f:
    for line in f:
      if line.endswith("\n"):
        lines.append(json.loads(line))
  return lines


def truncate(path: str, last_step: Optional[int]) -> None:
  """Keeps the lines of a `metrics.jsonl` up to `last_step`, atomically."""
  lines = [line for line in read_metrics(path) if line["step"] <= last_step]
  if not lines:
    if os.path.exists(path):
      os.remove(path)
    return
  with open(f"{path}.tmp", "w", encoding="utf-8") as f:
    f.writelines(json.dumps(line) + "\n" for line in lines)
  os.replace(f"{path}.tmp", path)
