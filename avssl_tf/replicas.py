"""Communication between the replicas of a distribution strategy."""

import tensorflow as tf

from avssl_tf.keys import Tensor


def all_gather(value: Tensor, with_gradient: bool = False) -> Tensor:
  """Concatenates `value` of all replicas along the first axis, on each replica.

  Implemented as an all-reduce over one slot per replica, since
  `tf.distribute.ReplicaContext.all_gather` fails under `MultiWorkerMirroredStrategy` inside Keras
  `fit`.

  Args:
    value: `[B, ...]`, the same shape on every replica.
    with_gradient: back-propagate gradients from all replicas to `value`.

  Returns:
    `[replicas * B, ...]` in the order of the replicas.
  """
  context = tf.distribute.get_replica_context()
  num_replicas = context.num_replicas_in_sync
  if not with_gradient:
    value = tf.stop_gradient(value)
  if num_replicas == 1:
    return value
  slot = tf.one_hot(context.replica_id_in_sync_group, num_replicas, dtype=value.dtype)
  slots = tf.reshape(slot, [num_replicas] + [1] * value.shape.rank) * value[tf.newaxis]
  gathered = context.all_reduce(tf.distribute.ReduceOp.SUM, slots)
  return tf.reshape(gathered, tf.concat([[-1], tf.shape(value)[1:]], axis=0))


def mean(value: Tensor) -> Tensor:
  """Mean of `value` over all replicas, on each replica, without gradient."""
  context = tf.distribute.get_replica_context()
  value = tf.stop_gradient(value)
  if context.num_replicas_in_sync == 1:
    return value
  return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)


def mean_of_counted(values: Tensor, counted: Tensor) -> Tensor:
  """The contribution of a replica to the mean of the counted `values` of all replicas.

  The sum is divided by the mean number of counted values per replica. If these numbers differ
  between replicas, a mean of the means of the replicas would weight the values unequally.

  Args:
    values: float32 `[B]`, such as losses; arbitrary if not counted.
    counted: bool `[B]`.

  Returns:
    float32 scalar. Its mean over the replicas is the mean over all counted values, or 0 if there
    are none. Gradients flow to the values of this replica.
  """
  count = mean(tf.reduce_sum(tf.cast(counted, tf.float32)))
  return tf.math.divide_no_nan(tf.reduce_sum(tf.where(counted, values, 0.0)), count)


def replica_id() -> Tensor:
  """Number of this replica, an int32 scalar."""
  return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
