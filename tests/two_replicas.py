"""Two replicas on one CPU, for tests that do not require a separate process.

Import this before TensorFlow uses any device. The tests of a process share one strategy: two of
them would number their collective operations identically, and confuse them.
"""

import functools
from typing import Any

import tensorflow as tf

tf.config.set_logical_device_configuration(
  tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@functools.cache
def strategy() -> tf.distribute.MirroredStrategy:
  """The strategy of the two replicas."""
  return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def loss_of_halves(objective, embeddings: dict[str, tf.Tensor], negatives: tf.Tensor) -> Any:
  """`objective.loss_of` in a graph, each replica with one half of the samples.

  Args:
    objective: a `BankObjective` created under `strategy`.
    embeddings: `{"video": [2 B, D], "audio": [2 B, D], "index": [2 B]}`.
    negatives: int64 `[2 B, K]`.

  Returns:
    The values on the two replicas, by name.
  """
  size = negatives.shape[0] // 2

  def half(context):
    start = context.replica_id_in_sync_group * size
    part = slice(start, start + size)
    return {name: value[part] for name, value in embeddings.items()}, negatives[part]

  @tf.function
  def run(values):
    return strategy().run(lambda value: objective.loss_of(*value, training=True), args=(values,))

  losses = run(strategy().experimental_distribute_values_from_function(half))
  return {
    name: [copy.numpy() for copy in strategy().experimental_local_results(value)]
    for name, value in losses.items()
  }


def step_of_halves(task: tf.keras.Model, batch: dict[str, tf.Tensor]) -> list[dict[str, Any]]:
  """`task.train_step` in a graph, each replica with one half of the batch.

  Args:
    task: a task created and compiled under `strategy`.
    batch: an even number of clips.

  Returns:
    The results of the step on each replica, as NumPy values.
  """
  size = next(iter(batch.values())).shape[0] // 2

  def half(context):
    start = context.replica_id_in_sync_group * size
    return {name: value[start : start + size] for name, value in batch.items()}

  results = _train_step(task)(strategy().experimental_distribute_values_from_function(half))
  local = {n: strategy().experimental_local_results(value) for n, value in results.items()}
  return [{name: copies[i].numpy() for name, copies in local.items()} for i in range(2)]


@functools.lru_cache(maxsize=1)
def _train_step(task: tf.keras.Model):
  """The step of a task on both replicas, traced once for several steps of a test."""
  return tf.function(lambda values: strategy().run(task.train_step, args=(values,)))
