"""Resumable training of classifiers with Keras `fit`.

A checkpoint is saved after each epoch. Batches, augmentation and dropout depend only on the seed
and the step number: a resumed training ends with the same weights as an uninterrupted one.
"""

import contextlib
import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Optional

import tensorflow as tf
from absl import logging

from avssl_tf import checkpoint_files, keras_optimizers, keys, learning_rates, own_files
from avssl_tf.errors import NonFiniteError
from avssl_tf.files import whole_file
from avssl_tf.keys import Tensor
from avssl_tf.models import graph_rewriting
from avssl_tf.progress import Bar, on_terminal

_SETTINGS_FILE = "settings.json"
# Possible contents of the folder of a training.
TREE: own_files.Tree = {r"settings\.json": None, **checkpoint_files.TREE}
_REMEDY = "Move it away, or choose another --output_dir."


@dataclasses.dataclass(frozen=True)
class Phase:
  """A phase of a training.

  Attributes:
    num_epochs: number of epochs; 0 skips the phase.
    optimizer: a Keras optimiser, separate for each phase.
    frozen: layers that are not trained in this phase and run in inference mode.
    meanwhile: creates a context manager that is active during this phase, for example to change
      which weights are trained.
  """

  num_epochs: int
  optimizer: tf.keras.optimizers.Optimizer
  frozen: Sequence[tf.keras.layers.Layer] = ()
  meanwhile: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext


def step_decay(
  learning_rate: float, factor: float, milestone_epochs: Sequence[int], steps_per_epoch: int
) -> tf.keras.optimizers.schedules.LearningRateSchedule:
  """`learning_rate`, multiplied by `factor` at the start of each milestone epoch (from 0)."""
  steps = [epoch * steps_per_epoch for epoch in milestone_epochs]
  return learning_rates.falling(learning_rate, factor, steps)


def train(
  model: tf.keras.Model,
  batches_from: Callable[[int], tf.data.Dataset],
  steps_per_epoch: int,
  phases: Sequence[Phase],
  folder: str,
  settings: Mapping[str, Any],
  title: str,
  progress: bool = False,
  examples: Optional[Callable[[keys.Batch], tuple[Any, Tensor]]] = None,
) -> None:
  """Trains a model that returns the logits of one or several classifiers.

  All classifiers are trained jointly. The loss is the sum over the classifiers of the mean
  cross-entropy; records without a label (-1) are ignored. For labels of type bool `[B, C]`, all
  classes of each record, the loss is the mean of the binary cross-entropies of the classes.

  Args:
    model: maps frames to logits by classifier name, the keys of `model.classifiers`; its variables
      must be built.
    batches_from: returns the endless batches from a given step, like `pipeline.training_dataset`.
    steps_per_epoch: steps of an epoch.
    phases: the phases in order.
    folder: folder for checkpoints; training resumes from those with the same settings.
    settings: JSON-serialisable values that the training depends on, by name.
    title: title of the progress bar or lines.
    progress: whether to show a bar or, without a terminal, one line per epoch.
    examples: returns the model input and the labels of a batch; None uses the frames and the label
      of each clip. Logits `[..., classes]` correspond to labels `[...]`.

  Raises:
    FloatingPointError: a loss or a weight became NaN or infinite; that state is not saved.
    ForeignFilesError: `folder` contains files that do not belong to a training.
  """
  _claim(folder, settings)
  epochs_done = tf.Variable(0, dtype=tf.int64)
  optimizers = [_wrapped(phase.optimizer) for phase in phases]
  for phase, optimizer in zip(phases, optimizers):
    with _frozen(phase.frozen), phase.meanwhile():
      keras_optimizers.build(optimizer, model.trainable_variables)
  checkpoint = tf.train.Checkpoint(
    epochs_done=epochs_done, variables=list(model.variables), optimizers=optimizers
  )
  manager = checkpoint_files.manager(checkpoint, folder, max_to_keep=1)
  latest = checkpoint_files.latest(folder)
  if latest is not None:
    reason = checkpoint_files.damage(latest)
    if reason is None:
      checkpoint_files.restore(checkpoint, latest).assert_consumed()
    else:
      logging.warning(
        "The checkpoint %s is damaged (%s): this training restarts.", latest, reason
      )

  num_epochs = sum(phase.num_epochs for phase in phases)
  end = 0
  with contextlib.closing(_Watch(title, num_epochs, steps_per_epoch, progress)) as watch:
    for phase, optimizer in zip(phases, optimizers):
      first, end = int(epochs_done), end + phase.num_epochs
      if first >= end:
        continue
      with _frozen(phase.frozen), phase.meanwhile(), graph_rewriting.without_remapping():
        model.compile(optimizer=optimizer, loss=_cross_entropy)
        model.fit(
          _examples(
            batches_from(first * steps_per_epoch), list(model.classifiers), examples or _of_frames
          ),
          initial_epoch=first,
          epochs=end,
          steps_per_epoch=steps_per_epoch,
          callbacks=[watch, _Saver(manager, epochs_done, watch)],
          verbose=0,
        )


def delete(folder: str) -> None:
  """Deletes the folder of a training.

  Raises:
    ForeignFilesError: it contains other files; nothing was deleted.
  """
  own_files.delete(folder, TREE, _REMEDY)


def _claim(folder: str, settings: Mapping[str, Any]) -> None:
  """Creates the folder, or deletes the checkpoints of other settings in it."""
  path = os.path.join(folder, _SETTINGS_FILE)
  text = json.dumps(dict(settings), indent=1, sort_keys=True)
  if os.path.exists(path):
    with open(path, encoding="utf-8") as f:
      if f.read() == text:
        return
    logging.info("%s contains a training with other settings: it restarts.", folder)
  delete(folder)
  os.makedirs(folder)
  with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
    f.write(text)


def _wrapped(optimizer: tf.keras.optimizers.Optimizer) -> tf.keras.optimizers.Optimizer:
  """Adds loss scaling to the optimiser if the precision requires it, as `compile` would do."""
  if tf.keras.mixed_precision.global_policy().name == "mixed_float16":
    return tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
  return optimizer


@contextlib.contextmanager
def _frozen(layers: Sequence[tf.keras.layers.Layer]) -> Iterator[None]:
  """Makes the layers non-trainable within the context."""
  for layer in layers:
    layer.trainable = False
  try:
    yield
  finally:
    for layer in layers:
      layer.trainable = True


def _of_frames(batch: keys.Batch) -> tuple[Tensor, Tensor]:
  return batch[keys.VIDEO], batch[keys.LABEL]


def _examples(
  batches: tf.data.Dataset,
  names: Sequence[str],
  examples: Callable[[keys.Batch], tuple[Any, Tensor]],
) -> tf.data.Dataset:
  """Pairs of model input and labels for each classifier."""

  @tf.autograph.experimental.do_not_convert
  def pair(batch: keys.Batch):
    inputs, labels = examples(batch)
    # Flattened, since Keras would apply its own reduction over further axes.
    rows = labels if labels.dtype == tf.bool else tf.reshape(labels, [-1])
    return inputs, {name: rows for name in names}

  return batches.map(pair)


def _cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
  """Cross-entropy per row, scaled so that the mean over all rows is that over labelled rows."""
  logits = tf.reshape(logits, [-1, logits.shape[-1]])
  if labels.dtype == tf.bool:
    known = tf.cast(tf.reduce_any(labels, axis=-1), tf.float32)
    each = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, tf.float32), logits)
    losses = tf.reduce_mean(each, axis=-1)
  else:
    labels = tf.reshape(labels, [-1])  # Keras adds an axis.
    known = tf.cast(labels >= 0, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
  return losses * tf.math.divide_no_nan(known, tf.reduce_mean(known))


class _Saver(tf.keras.callbacks.Callback):
  """Saves a checkpoint after each epoch if all weights are finite."""

  def __init__(
    self, manager: tf.train.CheckpointManager, epochs_done: tf.Variable, watch: "_Watch"
  ):
    super().__init__()
    self._supports_tf_logs = True
    self._manager = manager
    self._epochs_done = epochs_done
    self._watch = watch

  def on_epoch_end(self, epoch, logs=None):
    floating = [v for v in self.model.variables if v.dtype.is_floating]
    self._watch.check([float(tf.reduce_sum(tf.abs(v))) for v in floating])
    self._epochs_done.assign(epoch + 1)
    self._manager.save(checkpoint_number=epoch + 1)


class _Watch(tf.keras.callbacks.Callback):
  """Shows the progress of a training and stops it if the loss is not finite."""

  _LOOK_EVERY_SEC = 0.5

  def __init__(self, title: str, num_epochs: int, steps_per_epoch: int, progress: bool):
    super().__init__()
    # Losses stay on the device until they are read, so no step waits for the previous one.
    self._supports_tf_logs = True
    self._title = title
    self._num_epochs = num_epochs
    self._steps_per_epoch = steps_per_epoch
    self._prints = progress and not on_terminal()
    self._shows = progress
    self._bar: Optional[Bar] = None
    self._looked = self._began = time.monotonic()

  def close(self) -> None:
    """Closes the progress bar."""
    if self._bar is not None:
      self._bar.close()

  def check(self, values: Sequence[float]) -> None:
    """Raises an error if a value is not finite."""
    if not all(map(math.isfinite, values)):
      raise NonFiniteError(
        f"{self._title}: a loss or a weight became NaN or infinite. The previous epoch is saved. "
        "Lower the learning rate, or train in float32."
      )

  def on_epoch_begin(self, epoch, logs=None):
    self._began = time.monotonic()
    if self._bar is None:
      self._bar = Bar(
        self._title,
        self._num_epochs * self._steps_per_epoch,
        done=epoch * self._steps_per_epoch,
        shown=self._shows,
        logged=False,
      )

  def on_train_batch_end(self, batch, logs=None):
    self._bar.update()
    if time.monotonic() - self._looked > self._LOOK_EVERY_SEC:
      self._look(logs)

  def on_epoch_end(self, epoch, logs=None):
    loss = self._look(logs)
    if self._prints:
      sec = time.monotonic() - self._began
      left = Bar.format_interval(sec * (self._num_epochs - epoch - 1))
      print(
        f"{self._title}: epoch {epoch + 1}/{self._num_epochs}, loss {loss:.3f}, "
        f"{self._steps_per_epoch / sec:.1f} steps/s, {left} left",
        flush=True,
      )

  def _look(self, logs) -> float:
    loss = float(logs["loss"])
    self._looked = time.monotonic()
    self.check([loss])
    self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
    return loss
