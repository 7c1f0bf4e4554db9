"""Tests of the selection of a strategy; their behaviour is tested with their users."""

import json
import os
from unittest import mock

import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.training import strategies
from avssl_tf.training.configurations import settings


def _tf_config(task=None, **cluster):
  return mock.patch.dict(
    os.environ, {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task or {}})}
  )


class StrategiesTest(parameterized.TestCase):

  def test_one_device(self):
    strategy = strategies.create()
    self.assertEqual(strategy.num_replicas_in_sync, 1)
    self.assertTrue(strategies.is_chief())
    self.assertEqual(strategies.gather(strategy, 5), [5])

  def test_virtual_devices(self):
    with self.assertRaisesRegex(settings.ConfigurationError, "=-1; expected 0 or more"):
      strategies.create(virtual_devices=-1)
    with _tf_config({"type": "worker", "index": 0}, worker=["a:1", "b:1"]):
      with self.assertRaisesRegex(settings.ConfigurationError, "requires a single machine"):
        strategies.create(virtual_devices=2)
    tf.zeros([])  # TensorFlow has started, with two devices if other tests here need them.
    with self.assertRaisesRegex(settings.ConfigurationError, "before TensorFlow initialises"):
      strategies.create(virtual_devices=3)

  def test_on_chief(self):
    strategy = tf.distribute.get_strategy()
    calls = []
    strategies.on_chief(strategy, lambda: calls.append("chief"))
    self.assertEqual(calls, ["chief"])

    def fail():
      raise FileExistsError("full")

    with self.assertRaisesRegex(FileExistsError, "full"):
      strategies.on_chief(strategy, fail)
    # The result on the other workers.
    with mock.patch.object(strategies, "is_chief", lambda: False):
      strategies.on_chief(strategy, fail)
      with mock.patch.object(strategies, "gather", lambda *unused: [1, 0]):
        with self.assertRaisesRegex(strategies.ChiefError, "The chief worker failed"):
          strategies.on_chief(strategy, fail)


if __name__ == "__main__":
  tf.test.main()
