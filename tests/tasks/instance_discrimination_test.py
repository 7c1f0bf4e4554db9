"""Tests of training by instance discrimination, on one device and on two.

The CPU can be cut in two only before TensorFlow starts: what needs two devices runs once, in a
process of its own, and leaves what it saw for the tests.
"""

import json
import os
import subprocess
import sys
import unittest

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from tests import source_tree, tiny_run

_SCRIPT = """
import contextlib
import json
import sys
from unittest import mock

import tensorflow as tf

from avssl_tf import keys, replicas
from avssl_tf.losses import memory_bank
from avssl_tf.training import strategies, training_data
from avssl_tf.training.callbacks import loss_log
from tests import tiny_run

data_dir, folder = sys.argv[1:]
mirrored = strategies.create(virtual_devices=2)


def negatives_of_sample(excluded, num_rows, num_negatives, seed):
  # Random draws depend on the replica; here, one device must draw the same as two.
  return (excluded[:, :1] + 1 + tf.range(num_negatives, dtype=tf.int64)) % num_rows


def killed_after(step):
  on_step_end = loss_log.LossLog.on_step_end

  def interrupted(self, logs):
    on_step_end(self, logs)
    if self.step == step:
      raise SystemExit

  return mock.patch.object(loss_log.LossLog, "on_step_end", interrupted)


def copies(variable):
  return [copy.numpy().tolist() for copy in mirrored.experimental_local_results(variable)]


with mock.patch.object(memory_bank, "draw_negatives", negatives_of_sample):
  tiny_run.train(data_dir, f"{folder}/one")
  # Each replica computes its clips in two parts. The second run is killed, and resumes.
  with contextlib.suppress(SystemExit), killed_after(3):
    tiny_run.train(data_dir, f"{folder}/resumed", mirrored, accumulate_steps=2)
  for name in ("two", "resumed"):
    trained = tiny_run.train(data_dir, f"{folder}/{name}", mirrored, accumulate_steps=2).task
# With batch norm, and the negatives of training.
network = lambda: tiny_run.TinyNetwork(batch_norm=True)
with_norm = tiny_run.train(data_dir, f"{folder}/norm", mirrored, network=network).task

data = training_data.TrainingData(data_dir, "train", tiny_run.CLIP, None, 8, 1, mirrored)
batch = next(iter(data.batches(0, "independent", 0)))
gathered = mirrored.run(lambda b: replicas.all_gather(b[keys.INDEX]), args=(batch,))
ids = mirrored.run(replicas.replica_id)
mean = mirrored.run(lambda: replicas.mean(tf.cast(replicas.replica_id(), tf.float32)))
objective = trained.objective
json.dump(
  {
    "indices": [v.numpy().tolist() for v in batch[keys.INDEX].values],
    "gathered": [v.numpy().tolist() for v in gathered.values],
    "ids": [v.numpy().tolist() for v in ids.values],
    "mean": [v.numpy().tolist() for v in mean.values],
    "copies": {f"{i} {v.name}": copies(v) for i, v in enumerate(trained.variables)},
    "banks": [copies(objective.video_bank.rows), copies(objective.audio_bank.rows)],
    "norm": {f"{i} {v.name}": copies(v) for i, v in enumerate(with_norm.variables)},
    "gather": strategies.gather(mirrored, 7),
  },
  open(f"{folder}/seen.json", "w"),
)
"""


class TwoReplicasTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.runs = os.path.join(os.path.dirname(cls.data_dir), "runs")
    os.mkdir(cls.runs)
    result = subprocess.run(
      [sys.executable, "-c", _SCRIPT, cls.data_dir, cls.runs],
      cwd=source_tree.ROOT,
      capture_output=True,
      text=True,
      check=False,
    )
    if result.returncode:
      raise AssertionError(result.stderr)
    with open(os.path.join(cls.runs, "seen.json"), encoding="utf-8") as f:
      cls.seen = json.load(f)

  def state(self, name, step=None):
    return tiny_run.saved(os.path.join(self.runs, name), step)

  def test_learning_in_parts_is_that_of_one_device(self):
    one, two = self.state("one"), self.state("two")
    self.assertEqual(set(one), set(two))
    moved = 0.0
    start = self.state("one", 4)
    for name, value in one.items():
      if value.dtype == object:
        continue
      np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
      moved = max(moved, np.abs(value - start[name]).max())
    self.assertGreater(moved, 1e-3)

  def test_resuming_is_exact(self):
    self.assert_same_state(self.state("resumed"), self.state("two"))

  def test_losses_are_those_of_one_device(self):
    logs = []
    for name in ("one", "two"):
      with open(os.path.join(self.runs, name, "metrics.jsonl"), encoding="utf-8") as f:
        logs.append([json.loads(line)["loss"] for line in f])
    self.assertEqual(len(logs[0]), 6)
    np.testing.assert_allclose(*logs, rtol=1e-4)

  def test_variables_are_identical_on_both(self):
    for name, (first, second) in self.seen["copies"].items():
      self.assertEqual(first, second, name)
    for first, second in self.seen["banks"]:
      self.assertEqual(np.shape(first), (tiny_run.NUM_VIDEOS, 4))
      self.assertEqual(first, second)

  def test_statistics_of_batch_norm_are_each_replicas_own(self):
    for name, (first, second) in self.seen["norm"].items():
      if "moving" in name:
        self.assertNotEqual(first, second, name)
      else:
        self.assertEqual(first, second, name)

  def test_gathered_in_the_order_of_the_replicas(self):
    self.assertEqual([len(part) for part in self.seen["indices"]], [4, 4])
    everything = sum(self.seen["indices"], [])
    self.assertEqual(self.seen["gathered"], [everything, everything])
    self.assertEqual(self.seen["ids"], [0, 1])
    self.assertEqual(self.seen["mean"], [0.5, 0.5])
    self.assertEqual(self.seen["gather"], [7, 7])


class TrainStepTest(tiny_run.TestCase):

  def setUp(self):
    super().setUp()
    tf.keras.utils.set_random_seed(0)
    self.task = tiny_run.task(network=tiny_run.TinyNetwork(), num_videos=6, seed=0)
    generator = np.random.default_rng(0)
    self.batch = {
      keys.VIDEO: tf.constant(generator.integers(0, 256, (4, 2, 16, 16, 3)), tf.uint8),
      keys.AUDIO: tf.constant(generator.normal(0, 0.1, (4, 2400, 1)), tf.float32),
      keys.INDEX: tf.constant([5, 0, 2, 0], tf.int64),
    }
    self.task(self.batch)
    self.task.compile(optimizer=tf.keras.optimizers.SGD(0.1))

  def changed_rows(self, function):
    before = self.task.objective.video_bank.rows.numpy()
    function(self.batch)
    after = self.task.objective.video_bank.rows.numpy()
    return sorted(set(np.nonzero((before != after).any(axis=1))[0]))

  def test_step_moves_weights_rows_and_counts(self):
    weights = [v.numpy() for v in self.task.network.trainable_variables]
    self.assertEqual(self.changed_rows(tf.function(self.task.train_step)), [0, 2, 5])
    for before, variable in zip(weights, self.task.network.trainable_variables):
      self.assertFalse(np.array_equal(before, variable.numpy()), variable.name)
    self.assertEqual(int(self.task.optimizer.iterations), 1)
    self.assertGreater(float(self.task.objective.normalizer), 0)

  def test_gradient_is_that_of_the_loss(self):
    kernel = self.task.network.video_net.kernel
    before = kernel.numpy()
    self.task.train_step(self.batch)
    applied = (before - kernel.numpy()) / 0.1
    # The loss of the same step once more, at weights a little to both sides.
    values = []
    for shift in (1e-3, -1e-3):
      tf.keras.utils.set_random_seed(0)
      twin = tiny_run.task(network=tiny_run.TinyNetwork(), num_videos=6, seed=0)
      twin(self.batch)
      twin.compile(optimizer=tf.keras.optimizers.SGD(0.0))
      self.assertTrue(np.array_equal(twin.network.video_net.kernel.numpy(), before))
      moved = before.copy()
      moved[1, 2] += shift
      twin.network.video_net.kernel.assign(moved)
      # The constant of the first batch, which the gradient does not go through.
      twin.objective.normalizer.assign(self.task.objective.normalizer)
      values.append(float(twin.train_step(self.batch)["loss"]))
    np.testing.assert_allclose((values[0] - values[1]) / 2e-3, applied[1, 2], rtol=2e-2, atol=1e-3)

  def test_fill_writes_rows_and_nothing_else(self):
    weights = [v.numpy() for v in self.task.network.trainable_variables]
    self.assertEqual(self.changed_rows(tf.function(self.task.fill_step)), [0, 2, 5])
    for before, variable in zip(weights, self.task.network.trainable_variables):
      np.testing.assert_array_equal(before, variable.numpy())
    self.assertEqual(float(self.task.objective.normalizer), 0)
    self.assertEqual(int(self.task.optimizer.iterations), 0)
    rows = self.task.objective.video_bank.rows.numpy()
    embedding = self.task(self.batch)[keys.VIDEO]["embedding"].numpy()
    np.testing.assert_allclose(rows[5], embedding[0], rtol=1e-5)


if __name__ == "__main__":
  unittest.main()
