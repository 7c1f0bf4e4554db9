"""Two replicas on one CPU, for tests that need no process of their own.

Import this before TensorFlow uses any device. The tests of a process share one strategy: two of
them would count their collective operations from the same number on, and mix them up.
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
    objective: a `BankObjective` made under `strategy`.
    embeddings: `{"video": [2 B, D], "audio": [2 B, D], "index": [2 B]}`.
    negatives: int64 `[2 B, K]`.

  Returns:
    By name, the values on the two replicas.
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
    task: a task made and compiled under `strategy`.
    batch: an even number of clips.

  Returns:
    What the step returns, on each of the replicas, as NumPy values.
  """
  size = next(iter(batch.values())).shape[0] // 2

  def half(context):
    start = context.replica_id_in_sync_group * size
    return {name: value[start : start + size] for name, value in batch.items()}

  @tf.function
  def run(values):
    return strategy().run(task.train_step, args=(values,))

  results = run(strategy().experimental_distribute_values_from_function(half))
  local = {n: strategy().experimental_local_results(value) for n, value in results.items()}
  return [{name: copies[i].numpy() for name, copies in local.items()} for i in range(2)]
