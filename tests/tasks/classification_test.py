"""Tests of supervised training."""

import unittest

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.tasks import classification
from tests import test_base, tiny_run


class ClassificationTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    network = tiny_run.TinyNetwork()
    network.video_head = tf.keras.layers.Dense(3)  # Has no part in this.
    network.video_head.build((None, 4))
    self.task = classification.Classification(network, num_videos=9, num_classes=3)
    self.batch = {
      keys.VIDEO: tf.constant(self.rng.integers(0, 256, (4, 2, 16, 16, 3)), tf.uint8),
      keys.AUDIO: tf.constant(self.rng.normal(0, 0.1, (4, 2400, 1)), tf.float32),
      keys.LABEL: tf.constant([2, 0, 1, -1], tf.int64),
    }
    self.task(self.batch)
    self.task.compile(optimizer=tf.keras.optimizers.Adam(0.05))

  def test_losses_against_numpy(self):
    logits = {m: v.numpy() for m, v in self.task(self.batch).items()}
    results = self.task.train_step(self.batch)
    total = 0.0
    for modality, values in logits.items():
      known, labels = values[:3], [2, 0, 1]
      log_p = known - np.log(np.exp(known).sum(axis=1, keepdims=True))
      loss = -np.mean([log_p[i, label] for i, label in enumerate(labels)])
      self.assertAllClose(results[f"loss/{modality}"], loss, rtol=1e-5)
      accuracy = np.mean(known.argmax(axis=1) == labels)
      self.assertAllClose(results[f"accuracy/{modality}"], accuracy)
      total += loss
    self.assertAllClose(results["loss"], total, rtol=1e-5)

  def test_learns_the_labels(self):
    step = tf.function(self.task.train_step)
    for _ in range(60):
      results = step(self.batch)
    self.assertEqual(float(results["accuracy/video"]), 1.0)
    self.assertEqual(float(results["accuracy/audio"]), 1.0)

  def test_unknown_labels_move_nothing(self):
    before = [v.numpy() for v in self.task.trainable_variables]
    unknown = {**self.batch, keys.LABEL: tf.fill([4], tf.constant(-1, tf.int64))}
    results = self.task.train_step(unknown)
    self.assertEqual(float(results["loss"]), 0.0)
    for value, variable in zip(before, self.task.trainable_variables):
      self.assertAllEqual(value, variable)

  def test_needs_two_classes(self):
    with self.assertRaisesRegex(ValueError, "at least 2 labels, the data has 1"):
      classification.Classification(tiny_run.TinyNetwork(), num_videos=9, num_classes=1)


if __name__ == "__main__":
  unittest.main()
