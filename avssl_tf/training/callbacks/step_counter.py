"""The base of callbacks: counting the steps of a run."""

import tensorflow as tf

from avssl_tf.training import checkpoints

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
