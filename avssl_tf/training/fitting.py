"""Runs Keras `fit` from any step on, and handles early stops."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Callable

import tensorflow as tf

from avssl_tf import stops
from avssl_tf.models import graph_rewriting
from avssl_tf.tasks.task import Task
from avssl_tf.training import checkpoints, strategies
from avssl_tf.training.training_data import TrainingData


def fit(
  trained: Task,
  batches_from: Callable[[int], Iterable],
  data: TrainingData,
  num_epochs: int,
  around: Sequence[tf.keras.callbacks.Callback],
) -> None:
  """Runs Keras `fit` from the current step to the end of the last epoch.

  Args:
    trained: the compiled task.
    batches_from: returns the batches starting at a step.
    data: the training data.
    num_epochs: total number of epochs.
    around: callbacks of `fit`.
  """
  epoch, done = divmod(checkpoints.steps_done(trained), data.steps_per_epoch)
  # An interrupted epoch is finished first, by a separate `fit`: Keras starts epochs at batch 0.
  legs = [(epoch, epoch + 1, data.steps_per_epoch - done)] if done else []
  legs.append((epoch + len(legs), num_epochs, data.steps_per_epoch))
  for first, end, steps in legs:
    if first < end:
      with graph_rewriting.without_remapping():
        trained.fit(
          batches_from(checkpoints.steps_done(trained)),
          initial_epoch=first,
          epochs=end,
          steps_per_epoch=steps,
          callbacks=around,
          verbose=0,
        )


@contextlib.contextmanager
def saved_at_a_stop(trained: Task, saved: checkpoints.RunCheckpoints) -> Iterator[None]:
  """Delays a stop by a signal to the end of the step, and saves a checkpoint of that step.

  With several workers, training stops at once and nothing is saved: saving requires all workers,
  and the signal may have reached only one of them.
  """
  if strategies.count_workers() > 1:
    yield
    return
  with stops.held():
    try:
      yield
    except stops.Stopped as stop:
      if stop.at_once:
        raise
      step = checkpoints.steps_done(trained)
      saved.save(step)
      print(f"Saved step {step}.", flush=True)
      raise


def advice(error: Exception, model_dir: str) -> str:
  """The message of an error that ended a run, with remedies."""
  path = checkpoints.latest(model_dir)
  kept = f"the last good checkpoint is {path}" if path else "there is no checkpoint yet"
  return (
    f"{error} Training stopped; {kept}. Lower the learning rate, lengthen the warm-up, or train in "
    "float32."
  )
