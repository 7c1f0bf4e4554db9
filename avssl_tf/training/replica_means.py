"""Averages of the variables of which each replica has its own values, for saving on a cluster.

The moving statistics of batch normalisation are such variables. TensorFlow averages them over the
replicas whenever it saves them, which all workers of a cluster would have to do together.
"""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from avssl_tf.cluster import is_chief


@contextlib.contextmanager
def of_cluster(root: tf.train.Checkpoint) -> Iterator[None]:
  """Averages such variables over all workers; within the block, the chief can save alone.

  All workers of a cluster must enter the block, in cross-replica context. On the chief, reading a
  variable in the block returns the average, without communication. Afterwards each replica has its
  own values again.

  Args:
    root: the checkpoint with the variables.
  """
  variables = _of_replicas(root)
  means = [variable.numpy() for variable in variables]
  if not is_chief():
    yield
    return
  # Not `variable.value`, which would average.
  first = [variable.distribute_strategy.experimental_local_results(variable)[0]
           for variable in variables]  # fmt: skip
  before = [copy.numpy() for copy in first]
  aggregations = [variable.aggregation for variable in variables]
  try:
    for variable, copy, mean in zip(variables, first, means):
      copy.assign(mean)
      # There is no public way to save the value of one replica.
      variable._aggregation = tf.VariableAggregation.ONLY_FIRST_REPLICA  # pylint: disable=protected-access
    yield
  finally:
    for variable, copy, old, aggregation in zip(variables, first, before, aggregations):
      copy.assign(old)
      variable._aggregation = aggregation  # pylint: disable=protected-access


def _of_replicas(root: tf.train.Checkpoint) -> list[tf.Variable]:
  """The variables below `root` of which each replica has its own values; same order everywhere."""
  return [
    found
    for found in tf.train.TrackableView(root).descendants()
    if getattr(found, "synchronization", None) == tf.VariableSynchronization.ON_READ
    and hasattr(found, "distribute_strategy")
  ]
