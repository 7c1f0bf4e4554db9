"""Resampling of values over time."""

import tensorflow as tf

from avssl_tf.keys import Tensor


def resample(values: Tensor, steps: Tensor) -> Tensor:
  """Resamples values by linear interpolation between the centres of equal time spans.

  Args:
    values: float32 `[B, T, ...]`, one value for each of T equal time spans.
    steps: number of time spans of the result.

  Returns:
    float32 `[B, steps, ...]`; constant before the first centre and after the last one.
  """
  count = tf.shape(values)[1]
  place = (tf.range(steps, dtype=tf.float32) + 0.5) * tf.cast(count, tf.float32)
  place = place / tf.cast(steps, tf.float32) - 0.5
  place = tf.clip_by_value(place, 0.0, tf.cast(count - 1, tf.float32))
  before = tf.cast(tf.floor(place), tf.int32)
  after = tf.minimum(before + 1, count - 1)
  share = tf.reshape(
    place - tf.floor(place), tf.concat([[-1], tf.ones([tf.rank(values) - 2], tf.int32)], axis=0)
  )
  first, second = tf.gather(values, before, axis=1), tf.gather(values, after, axis=1)
  return first + share * (second - first)
