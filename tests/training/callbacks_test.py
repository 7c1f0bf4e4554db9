"""Tests of callbacks; runs with all of them are in trainer_test."""

import contextlib
import io
from unittest import mock

import tensorflow as tf

from avssl_tf import addons, errors, keras_optimizers
from avssl_tf.training.callbacks import checkpointing
from avssl_tf.training.callbacks.checkpointing import Checkpointer
from avssl_tf.training.callbacks.epoch_bar import Progress
from avssl_tf.training.callbacks.epoch_start import BatchPictures, EpochProbe
from avssl_tf.training.callbacks.loss_log import LossLog
from avssl_tf.training.callbacks.step_counter import StepCounter
from avssl_tf.training.optimization import optimizers
from tests import test_base

_CALLBACKS = (
  LossLog(None, 1, 1),
  Checkpointer(None, 1, None),
  EpochProbe(None, 1, 1),
  BatchPictures(None, 1, None, 1),
  Progress(1, 1, 1),
)


def _model(optimizer):
  model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
  model.compile(optimizer=optimizer, loss="mse")
  return model


class StepCounterTest(test_base.TestCase):

  def fit(self, model, callback, epochs, steps):
    data = tf.data.Dataset.from_tensors((tf.ones([2, 3]), tf.ones([2, 1]))).repeat()
    model.fit(data, epochs=epochs, steps_per_epoch=steps, callbacks=[callback], verbose=0)

  def test_counts_over_several_fits(self):
    steps = []

    class Spy(StepCounter):

      def on_step_end(self, logs):
        steps.append(self.step)

    model = _model("sgd")
    self.fit(model, Spy(), epochs=1, steps=2)
    self.fit(model, Spy(), epochs=2, steps=2)
    self.assertEqual(steps, [1, 2, 3, 4, 5, 6])

  def test_logs_are_not_waited_for(self):
    seen = []

    class Spy(StepCounter):

      def on_step_end(self, logs):
        seen.append(logs["loss"])

    self.fit(_model("sgd"), Spy(), epochs=1, steps=1)
    self.assertIsInstance(seen[0], tf.Tensor)
    for callback in _CALLBACKS:
      self.assertTrue(callback._supports_tf_logs, type(callback))


class LearningRateTest(test_base.TestCase):

  def test_with_any_optimizer_and_wrapper(self):
    schedule = tf.keras.optimizers.schedules.PolynomialDecay(1.0, 4, 0.0)
    for kind in (optimizers.Adam, tf.keras.optimizers.AdamW, addons.LAMB):
      for policy in ("float32", "mixed_float16"):
        with self.subTest(f"{kind.__name__} {policy}"):
          self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")
          tf.keras.mixed_precision.set_global_policy(policy)
          self.assertAllClose(keras_optimizers.learning_rate(_model(kind(0.25)).optimizer), 0.25)
          optimizer = _model(kind(schedule)).optimizer
          self.assertAllClose(keras_optimizers.learning_rate(optimizer), 1.0)
          optimizer.iterations.assign(3)
          self.assertAllClose(keras_optimizers.learning_rate(optimizer), 0.25)


class LossLogTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.metrics = mock.Mock()
    self.log = LossLog(self.metrics, every_steps=2, batch_size=10)
    self.log.set_model(_model(tf.keras.optimizers.SGD(0.5)))
    self.log.on_train_begin()
    self.log.on_epoch_begin(0)

  def step(self, loss):
    self.log.on_train_batch_end(0, {"loss": tf.constant(loss), "loss/a": tf.constant(2 * loss)})

  def logged(self):
    return [(c.args[0], c.args[1]["loss"]) for c in self.metrics.add.call_args_list]

  def test_means_and_the_rest_at_the_end_of_an_epoch(self):
    for loss in (1.0, 2.0, 4.0):
      self.step(loss)
    self.assertEqual(self.logged(), [(2, 1.5)])
    self.log.on_epoch_end(0, {"loss": 4.0})
    self.assertEqual(self.logged(), [(2, 1.5), (3, 4.0)])
    self.log.on_epoch_end(1)
    self.assertEqual(self.logged(), [(2, 1.5), (3, 4.0)])
    values = self.metrics.add.call_args.args[1]
    self.assertEqual(values["loss/a"], 8.0)
    self.assertAllClose(values["learning_rate"], 0.5)
    self.assertGreater(values["clips_per_sec"], 0)

  def test_nan_is_an_error(self):
    self.step(float("inf"))
    with self.assertRaisesRegex(errors.NonFiniteError, r"^loss, loss/a .* steps 1\.\.1"):
      self.log.check()
    with self.assertRaisesRegex(errors.NonFiniteError, r"steps 1\.\.2"):
      self.step(1.0)
    self.metrics.add.assert_not_called()


class CheckpointerTest(test_base.TestCase):

  def saved_steps(self, minutes_of_a_step, num_steps=6, **settings):
    """Steps that are saved if each step takes some minutes."""
    saved, log = mock.Mock(), mock.Mock()
    model = _model("sgd")
    now = 0.0
    with mock.patch.object(checkpointing.time, "monotonic", lambda: now):
      callback = Checkpointer(saved, loss_log=log, **settings)
      callback.set_model(model)
      callback.on_train_begin()
      for _ in range(num_steps):
        now += 60 * minutes_of_a_step
        callback.on_train_batch_end(0)
    self.assertEqual(log.check.call_count, saved.save.call_count)
    return [call.args[0] for call in saved.save.call_args_list]

  def test_by_steps_by_time_and_by_both(self):
    self.assertEqual(self.saved_steps(100, every_steps=4), [4])
    self.assertEqual(self.saved_steps(1, every_steps=None, every_minutes=2.5), [3, 6])
    self.assertEqual(self.saved_steps(1, every_steps=4, every_minutes=3), [3, 4])

  def test_a_cluster_agrees_now_and_then(self):
    asked = []

    def agree(is_time):
      asked.append(is_time)
      return len(asked) == 1  # The clock of another worker is ahead.

    steps = self.saved_steps(
      1, every_steps=None, every_minutes=3.5, agree=agree, agree_every_steps=2
    )
    self.assertEqual(asked, [False, False, True])
    self.assertEqual(steps, [2])


class ProgressTest(test_base.TestCase):

  def epoch(self, progress):
    progress.set_model(_model("sgd"))
    progress.model.optimizer.iterations.assign(5)
    progress.on_train_begin()
    progress.on_epoch_begin(1)
    for _ in range(3):
      progress.on_train_batch_end(0, {"loss": tf.constant(1.25)})
    progress.on_epoch_end(1, {"loss": 1.25})

  def test_line_for_an_epoch(self):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
      self.epoch(Progress(steps_per_epoch=4, num_epochs=10, batch_size=8))
    self.assertRegex(
      output.getvalue(),
      r"^Epoch  2/10: 4/4 \[.*step.*, \d+ clips/s, loss 1\.250, run \d\d:\d\d left\]\n$",
    )
    self.assertEqual(errors.getvalue(), "")

  def test_bar_on_a_terminal(self):
    output, errors = io.StringIO(), io.StringIO()
    errors.isatty = lambda: True
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
      self.epoch(Progress(steps_per_epoch=4, num_epochs=10, batch_size=8))
    self.assertIn("100%", errors.getvalue())
    self.assertIn("1/4", errors.getvalue())  # An interrupted epoch resumes at its step.
    self.assertEqual(output.getvalue(), "")


if __name__ == "__main__":
  tf.test.main()
