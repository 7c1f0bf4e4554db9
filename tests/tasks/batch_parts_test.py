"""Tests of batches in parts; those of two replicas are in uneven_replicas_test."""

from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.losses import avid
from avssl_tf.tasks import batch_parts
from avssl_tf.tasks.instance_discrimination import InstanceDiscrimination
from tests import test_base, tiny_run


class BatchPartsTest(test_base.TestCase):

  def test_gradients_of_a_loss_that_compares_all_clips(self):
    weight, unused = tf.Variable([[1.0, 2.0], [0.5, -1.0]]), tf.Variable(3.0)
    batch = {
      "x": tf.constant(self.rng.normal(size=[6, 2]), tf.float32), "key": tf.constant(["a"] * 6)
    }  # fmt: skip
    sizes = []

    def outputs_of(part, number):
      self.assertEqual(set(part), {"x"})
      sizes.append(part["x"].shape[0])
      y = part["x"] @ weight
      return {"y": y, "spectrum": tf.complex(y, 2 * y), "number": y[:, 0] * 0 + float(number)}

    def loss_of(found):
      return tf.reduce_mean(tf.nn.softmax(found["y"] @ tf.transpose(found["y"]))[:, 0]) + (
        tf.reduce_sum(tf.abs(found["spectrum"][:3]))
      )

    with tf.GradientTape() as tape:
      y = batch["x"] @ weight
      loss = loss_of({"y": y, "spectrum": tf.complex(y, 2 * y)})
    expected = tape.gradient(loss, weight)

    parts = batch_parts.BatchParts(batch, 3)
    found = parts.outputs(lambda part, i: outputs_of(part, 0 if tf.is_symbolic_tensor(i) else i))
    self.assertAllEqual(found["number"], [0, 0, 1, 1, 2, 2])
    self.assertAllClose(found["y"], y)
    with tf.GradientTape() as tape:
      tape.watch(found)
      loss = loss_of(found)
    gradients = tape.gradient(loss, found, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    found, of_unused = parts.gradients(outputs_of, gradients, [weight, unused])
    self.assertAllClose(found, expected, rtol=1e-5)
    self.assertIsNone(of_unused)
    self.assertEqual(set(sizes), {2})

  def test_statistics_move_once_by_the_mean_of_the_parts(self):
    norm = tf.keras.layers.BatchNormalization(momentum=0.9)
    batch = {"x": tf.constant(self.rng.normal(size=[6, 2]), tf.float32)}
    norm(batch["x"])
    moving = [norm.moving_mean, norm.moving_variance]
    parts = batch_parts.BatchParts(batch, 2, moving)
    step = tf.function(lambda: parts.gradients(
      lambda part, i: norm(part["x"], training=True),
      parts.outputs(lambda part, i: norm(part["x"], training=True)),
      norm.trainable_variables,
    ))  # fmt: skip
    step()
    halves = batch["x"].numpy().reshape([2, 3, 2])
    self.assertAllClose(norm.moving_mean, 0.1 * halves.mean(axis=(0, 1)))
    self.assertAllClose(norm.moving_variance, 0.9 + 0.1 * halves.var(axis=1).mean(axis=0))


class StepInPartsTest(test_base.TestCase):

  def test_negatives_and_banks_are_those_of_one_step(self):
    batch = {
      keys.VIDEO: tf.constant(self.rng.integers(0, 256, (8, 2, 16, 16, 3)), tf.uint8),
      keys.AUDIO: tf.constant(self.rng.normal(0, 0.1, (8, 2400, 1)), tf.float32),
      # A video that occurs in both parts.
      keys.INDEX: tf.constant([5, 0, 2, 1, 5, 7, 3, 6], tf.int64),
    }
    drawn, tasks = [], []
    draw_negatives = avid.AVID.draw_negatives

    def spy(*args):
      drawn.append(draw_negatives(*args))
      return drawn[-1]

    with mock.patch.object(avid.AVID, "draw_negatives", spy):
      for accumulate_steps in (1, 2):
        tf.keras.utils.set_random_seed(0)
        task = InstanceDiscrimination(
          tiny_run.TinyNetwork(), lambda **a: avid.AVID(num_negatives=8, **a), num_videos=24
        )
        task(batch)
        task.compile(optimizer=tf.keras.optimizers.Adam(0.1))
        task.accumulate_steps = accumulate_steps
        before = task.objective.video_bank.rows.numpy()
        task.fill_step(batch)
        task.train_step(batch)
        self.assertEqual(
          np.flatnonzero((task.objective.video_bank.rows.numpy() != before).any(axis=1)).tolist(),
          [0, 1, 2, 3, 5, 6, 7],
        )
        tasks.append(task)
    self.assertEqual(drawn[0].shape, (8, 8))
    self.assertAllEqual(*drawn)
    for one, other in zip(tasks[0].variables, tasks[1].variables):
      self.assertAllClose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5, msg=one.name)


if __name__ == "__main__":
  tf.test.main()
