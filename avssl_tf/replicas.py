"""Exchange of values between the replicas of a distribution strategy."""

import tensorflow as tf

from avssl_tf.keys import Tensor


def all_gather(value: Tensor, with_gradient: bool = False) -> Tensor:
  """Concatenates `value` of all replicas along the first axis, on each of them.

  Made of an all-reduce over one slot per replica:
  `tf.distribute.ReplicaContext.all_gather` fails under
  `MultiWorkerMirroredStrategy` inside Keras `fit`.

  Args:
    value: `[B, ...]`, the same shape on every replica.
    with_gradient: whether the gradient of what any replica makes of the result flows back.

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
  """Mean of `value` over all replicas, on each of them; no gradient flows back."""
  context = tf.distribute.get_replica_context()
  value = tf.stop_gradient(value)
  if context.num_replicas_in_sync == 1:
    return value
  return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)


def mean_of_counted(values: Tensor, counted: Tensor) -> Tensor:
  """A replica's part of the mean of those `values` that count.

  Divided by the number of what counts on all replicas: where labels or sounds are unevenly spread,
  the mean of the replicas' own means would give more weight to clips beside which few count.

  Args:
    values: float32 `[B]`, such as losses; may be anything where they do not count.
    counted: bool `[B]`.

  Returns:
    A scalar, whose mean over the replicas is the mean over all that counts; 0 where nothing does.
    Its gradient flows to the values of this replica.
  """
  count = mean(tf.reduce_sum(tf.cast(counted, tf.float32)))
  return tf.math.divide_no_nan(tf.reduce_sum(tf.where(counted, values, 0.0)), count)


def replica_id() -> Tensor:
  """int32 number of this replica among all of them."""
  return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
