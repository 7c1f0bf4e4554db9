"""Base of the callbacks: counts the steps of a run."""

import tensorflow as tf

from avssl_tf.training import checkpoints

# Losses by name: scalars that the device may still be computing.
Logs = dict[str, tf.Tensor]


class StepCounter(tf.keras.callbacks.Callback):
  """Base of callbacks that count the steps of the run rather than those of an epoch.

  Keras numbers batches from 0 in each epoch and each `fit`, which is not the step of the epoch if a
  run resumes in the middle of one. The step counter of the optimiser is checkpointed and continues.

  Attributes:
    step: number of steps since the start of the run.
  """

  def __init__(self):
    super().__init__()
    # Logs stay on the device until they are read: a step does not wait for the previous one.
    self._supports_tf_logs = True
    self.step = 0

  def on_train_begin(self, logs=None):
    """Reads the step counter of the optimiser."""
    self.step = checkpoints.steps_done(self.model)

  def on_train_batch_end(self, batch, logs=None):
    """Counts the step and calls `on_step_end`."""
    self.step += 1
    self.on_step_end(logs or {})

  def on_step_end(self, logs: Logs) -> None:
    """Called after each step."""
