"""Tests of saving and restoring the checkpoints of a run; whole runs are in trainer_test."""

import functools
import os
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf import checkpoint_files, cluster, keras_optimizers, keys
from avssl_tf.losses import cma
from avssl_tf.tasks.instance_discrimination import InstanceDiscrimination
from avssl_tf.training import checkpoints
from tests import test_base, tiny_run, two_replicas

_SETS = "task/objective/positive_sets/.ATTRIBUTES/VARIABLE_VALUE"


def _task(batch_norm=False):
  objective = functools.partial(cma.CMA, num_negatives=4, num_positives=3)
  network = tiny_run.TinyNetwork(batch_norm)
  task = InstanceDiscrimination(network, objective, num_videos=9)
  task({keys.VIDEO: tf.zeros([1, 2, 16, 16, 3], tf.uint8), keys.AUDIO: tf.zeros([1, 2400, 1])})
  task.compile(optimizer="sgd")
  keras_optimizers.build(task.optimizer, task.trainable_variables)
  return task


class RunCheckpointsTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = self.get_temp_dir()

  def test_positive_sets_of_an_earlier_version(self):
    task = _task()
    task.begin_epoch(0, tf.distribute.get_strategy())
    checkpoints.RunCheckpoints(task, self.folder, is_chief=True).save(7)
    path = checkpoints.latest(self.folder)
    expected = task.objective.positive_sets.numpy()
    self.assertEqual(expected.dtype, np.int32)
    checkpoint_files.copy(path, path, {_SETS: tf.int64})
    self.assertEqual(checkpoint_files.load(path).get_tensor(_SETS).dtype, np.int64)
    found = _task()
    checkpoints.RunCheckpoints(found, self.folder, is_chief=True).restore()
    np.testing.assert_array_equal(found.objective.positive_sets.numpy(), expected)
    for one, other in zip(task.get_weights(), found.get_weights()):
      np.testing.assert_array_equal(one, other)

  def test_chief_of_a_cluster_saves_averages_without_the_others(self):
    strategy = two_replicas.strategy()
    with strategy.scope():
      task = _task(batch_norm=True)
    variable = task.network.norm.moving_mean
    copies = strategy.experimental_local_results(variable)
    copies[0].assign([1.0, 2.0, 3.0, 4.0])
    copies[1].assign([3.0, 2.0, 1.0, 0.0])
    reduce = strategy.reduce
    seen = {}

    def save(is_chief):
      run_checkpoints = checkpoints.RunCheckpoints(task, self.folder, is_chief)
      with mock.patch.object(checkpoints.replica_means, "is_chief", lambda: is_chief):
        with mock.patch.object(strategy, "reduce", side_effect=reduce) as counted:
          run_checkpoints.save(1)
      seen[is_chief] = counted.call_count

    with mock.patch.object(cluster, "workers", lambda: ["a:1", "b:1"]):
      save(is_chief=False)
      self.assertEqual(os.listdir(self.folder), [])
      save(is_chief=True)
    # Each reduction needs all workers: the chief must not reduce while it writes.
    self.assertEqual(seen[True], seen[False])
    self.assertGreater(seen[True], 0)
    name = "task/network/norm/moving_mean/.ATTRIBUTES/VARIABLE_VALUE"
    reader = checkpoint_files.load(checkpoints.latest(self.folder))
    np.testing.assert_array_equal(reader.get_tensor(name), [2.0, 2.0, 2.0, 2.0])
    np.testing.assert_array_equal(copies[0].numpy(), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(variable.numpy(), [2.0, 2.0, 2.0, 2.0])


if __name__ == "__main__":
  tf.test.main()
