"""Tests of the alignment losses against a slow oracle; golden numbers are in translation_test."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.losses import avsa
from tests import test_base, two_replicas


def _unit(x):
  return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def _oracle(predictions, targets, temperature, contrast):
  """Loss and the two accuracies, choice by choice."""
  losses, nearest_view, nearest_clip = [], [], []
  batch_size, num_viewpoints, _ = predictions.shape
  for b in range(batch_size):
    for k in range(num_viewpoints):
      own = [predictions[b, k] @ targets[b, j] / temperature for j in range(num_viewpoints)]
      others = {
        (c, j): predictions[b, k] @ targets[c, j] / temperature
        for c in range(batch_size)
        for j in range(num_viewpoints)
        if c != b
      }
      same = [value for (_, j), value in others.items() if j == k]
      choices = {
        "easy+hard": own + same,
        "hard": own,
        "easy": [own[k], *others.values()],
        "avc": [own[k], *same],
      }[contrast]
      losses.append(np.log(np.sum(np.exp(choices))) - own[k])
      nearest_view.append(own[k] >= max(own))
      nearest_clip.append(all(own[k] > other for other in same))
  return np.mean(losses), np.mean(nearest_view), np.mean(nearest_clip)


class AlignmentTest(test_base.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.predictions = _unit(self.rng.normal(size=[6, 3, 5]))
    self.targets = _unit(self.rng.normal(size=[6, 3, 5]) + 0.7 * self.predictions)

  def _loss(self, predictions, targets, temperature, contrast="easy+hard"):
    return avsa.alignment_loss(
      *avsa.similarities(predictions, targets, temperature),
      avsa.choices(contrast, predictions.shape[1]),
    )

  @parameterized.parameters(*avsa.CONTRASTS)
  def test_oracle(self, contrast):
    loss, accuracies = self._loss(self.predictions, self.targets, 0.3, contrast)
    expected = _oracle(self.predictions, self.targets, 0.3, contrast)
    self.assertAllClose(
      [loss, accuracies["accuracy/viewpoint"], accuracies["accuracy/clip"]], expected
    )

  def test_perfect_alignment(self):
    targets = tf.one_hot([[0, 1], [2, 3]], 4)
    loss, accuracies = self._loss(targets, targets, 0.01)
    self.assertAllClose(loss, 0.0, atol=1e-6)
    self.assertAllEqual(list(accuracies.values()), [1.0, 1.0])
    # With identical choices the result is chance level.
    alike = tf.ones_like(targets) / 2
    # Two viewpoints and one other clip; two viewpoints; itself and two others; itself and one.
    for contrast, count in zip(("easy+hard", "hard", "easy", "avc"), (3, 2, 3, 2)):
      self.assertAllClose(self._loss(alike, alike, 0.01, contrast)[0], np.log(count))

  def test_gradients_are_finite(self):
    for contrast in avsa.CONTRASTS:
      with tf.GradientTape() as tape:
        predictions = tf.constant(self.predictions)
        tape.watch(predictions)
        loss, _ = self._loss(predictions, tf.constant(self.targets), 1e-3, contrast)
      self.assertAllInRange(tape.gradient(loss, predictions), -1e4, 1e4)

  def test_unknown_contrast(self):
    with self.assertRaisesRegex(ValueError, "'hart'; expected one of easy\\+hard, hard, easy, avc"):
      avsa.choices("hart", 4)

  def test_replicas_are_choices_for_each_other(self):
    """Loss and gradient of two replicas with half of the clips each are those of all of them."""
    strategy = two_replicas.strategy()

    def loss_and_gradients(predictions, targets, share=1.0):
      with tf.GradientTape() as tape:
        tape.watch([predictions, targets])
        loss, _ = self._loss(predictions, targets, 0.3)
        loss *= share
      return loss, *tape.gradient(loss, [predictions, targets])

    expected = loss_and_gradients(tf.constant(self.predictions), tf.constant(self.targets))

    def half(context):
      start = context.replica_id_in_sync_group * 3
      return self.predictions[start : start + 3], self.targets[start : start + 3]

    values = strategy.experimental_distribute_values_from_function(half)

    @tf.function
    def run(values):
      return strategy.run(lambda value: loss_and_gradients(*value, share=0.5), args=(values,))

    found = [strategy.experimental_local_results(part) for part in run(values)]
    self.assertAllClose(sum(found[0]), expected[0])
    for gradients, whole in zip(found[1:], expected[1:]):
      self.assertAllClose(tf.concat(gradients, axis=0), whole, atol=1e-6)


if __name__ == "__main__":
  tf.test.main()
