"""Converts values to features of a `tf.train.SequenceExample`."""

from collections.abc import Iterable

import tensorflow as tf


def bytes_list(values: Iterable[bytes]) -> tf.train.Feature:
  """A feature of byte strings."""
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def int64_list(values: Iterable[int]) -> tf.train.Feature:
  """A feature of integers."""
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def float_list(values: Iterable[float]) -> tf.train.Feature:
  """A feature of float32 numbers."""
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))
