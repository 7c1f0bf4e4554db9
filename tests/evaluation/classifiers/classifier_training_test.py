"""Tests of the training of classifiers: phases, schedule, resuming, NaN."""

import os

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf import addons, keys
from avssl_tf.evaluation.classifiers import classifier_training
from avssl_tf.evaluation.classifiers.classifier_training import Phase
from tests import test_base


class _Classifier(tf.keras.Model):
  """Two linear classifiers on a linear layer on the mean colour."""

  def __init__(self):
    super().__init__()
    self.layer = tf.keras.layers.Dense(4)
    self.classifiers = {name: tf.keras.layers.Dense(3) for name in ("a", "b")}

  def call(self, frames):
    x = self.layer(tf.reduce_mean(tf.cast(frames, tf.float32), axis=[1, 2, 3]) / 255)
    return {name: classifier(x) for name, classifier in self.classifiers.items()}


class StepDecayTest(test_base.TestCase):

  def test_falls_where_an_epoch_begins(self):
    schedule = classifier_training.step_decay(0.1, 0.3, (1, 3), steps_per_epoch=10)
    rates = [float(schedule(tf.constant(step, tf.int64))) for step in (0, 9, 10, 29, 30, 99)]
    self.assertAllClose(rates, [0.1, 0.1, 0.03, 0.03, 0.009, 0.009])

  def test_constant_without_milestones(self):
    schedule = classifier_training.step_decay(0.1, 0.3, (), steps_per_epoch=10)
    self.assertAllClose([schedule(0), schedule(1000)], [0.1, 0.1])


class TrainTest(test_base.TestCase, parameterized.TestCase):
  SETTINGS = {"a": 1}

  def setUp(self):
    super().setUp()
    self.frames = self.rng.integers(0, 256, (12, 2, 4, 4, 3))
    self.labels = self.rng.integers(0, 3, 12)
    self.folder = os.path.join(self.get_temp_dir(), "fold1")
    self.first_steps = []

  def batches(self, first_step):
    """Three steps per epoch, the same in each."""
    self.first_steps.append(first_step)
    dataset = tf.data.Dataset.from_tensor_slices(
      {keys.VIDEO: self.frames.astype(np.uint8), keys.LABEL: self.labels}
    )
    return dataset.batch(4).repeat().skip(first_step % 3)

  def train(
    self,
    num_epochs=(2, 3),
    settings=None,
    learning_rate=0.1,
    stop_after=None,
    optimizer=tf.keras.optimizers.Adam,
  ):
    """Trains a new model, first only its classifiers; returns its weights."""
    tf.keras.utils.set_random_seed(1)
    model = _Classifier()
    model(self.frames[:1])
    batches = self.batches
    if stop_after is not None:
      batches = _stopped(self.batches, stop_after)
    schedule = classifier_training.step_decay(learning_rate, 0.3, (1,), 3)
    classifier_training.train(
      model,
      batches,
      3,
      [
        Phase(num_epochs[0], optimizer(learning_rate), frozen=[model.layer]),
        Phase(num_epochs[1], optimizer(schedule)),
      ],
      self.folder,
      settings or self.SETTINGS,
      "fold1",
    )
    return [v.numpy() for v in model.variables]

  def test_phases(self):
    start, *_ = self.train((0, 0))
    frozen = self.train((1, 0), {"a": 2})
    self.assertAllEqual(frozen[0], start)
    self.assertNotAllEqual(self.train((1, 1), {"a": 3})[0], start)
    self.assertEqual(self.first_steps, [0, 0, 3])

  def test_against_a_loop(self):
    found = self.train((0, 2))
    tf.keras.utils.set_random_seed(1)
    model = _Classifier()
    model(self.frames[:1])
    optimizer = tf.keras.optimizers.Adam(0.1)
    for step in range(6):
      optimizer.learning_rate = 0.1 if step < 3 else 0.03
      rows = slice(step % 3 * 4, step % 3 * 4 + 4)
      with tf.GradientTape() as tape:
        losses = [
          tf.nn.sparse_softmax_cross_entropy_with_logits(self.labels[rows], logits)
          for logits in model(self.frames[rows]).values()
        ]
        loss = tf.reduce_mean(tf.add_n(losses))
      optimizer.minimize(loss, model.trainable_variables, tape=tape)
    for value, variable in zip(found, model.variables):
      self.assertAllClose(value, variable, atol=1e-4)

  @parameterized.parameters(
    (1, tf.keras.optimizers.Adam), (3, tf.keras.optimizers.Adam), (3, addons.LAMB)
  )
  def test_goes_on_to_the_same_weights(self, epochs, optimizer):
    whole = self.train(optimizer=optimizer)
    self.folder += "_stopped"
    with self.assertRaises(tf.errors.InvalidArgumentError):
      self.train(stop_after=epochs, optimizer=optimizer)
    self.first_steps.clear()
    gone_on = self.train(optimizer=optimizer)
    self.assertEqual(self.first_steps[0], 3 * epochs)
    for a, b in zip(whole, gone_on):
      self.assertAllEqual(a, b)

  def test_other_settings_begin_anew(self):
    self.train()
    self.first_steps.clear()
    with self.assertLogs("absl", "INFO") as logs:
      self.train(settings={"a": 2})
    self.assertRegex(logs.output[0], "other settings")
    self.assertEqual(self.first_steps, [0, 6])

  def test_done_already(self):
    whole = self.train()
    self.first_steps.clear()
    for a, b in zip(whole, self.train()):
      self.assertAllEqual(a, b)
    self.assertEqual(self.first_steps, [])

  def test_records_without_a_label_have_no_part(self):
    self.labels[:4] = -1
    known = self.train((0, 1))
    self.frames[:4] = 255 - self.frames[:4]
    for a, b in zip(known, self.train((0, 1), {"a": 2})):
      self.assertTrue(np.isfinite(a).all())
      self.assertAllEqual(a, b)

  def test_stops_at_nan_and_keeps_what_was_good(self):
    self.train((1, 0))
    with self.assertRaisesRegex(FloatingPointError, "fold1: a loss or a weight became NaN"):
      self.train((1, 3), learning_rate=float("nan"))
    latest = tf.train.latest_checkpoint(self.folder)
    self.assertEndsWith(latest, "-1")


def _stopped(batches_from, num_epochs):
  """Batches that fail in the middle of the epoch after `num_epochs`."""

  end = tf.constant(3 * num_epochs + 1, tf.int64)

  def check(number, batch):
    with tf.control_dependencies([tf.debugging.assert_less(number, end)]):
      return tf.nest.map_structure(tf.identity, batch)

  return lambda first: batches_from(first).enumerate(first).map(check)


if __name__ == "__main__":
  tf.test.main()
