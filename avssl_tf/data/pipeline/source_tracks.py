"""Directions of the sound sources of a 360° clip over time, where known."""

import tensorflow as tf

from avssl_tf.data.records.record_reader import StoredClip
from avssl_tf.keys import Tensor
from avssl_tf.spatial import directions

# Rows of the result, more than the sources of any clip of the demo worlds.
MAX_SOURCES = 8
STEPS_PER_SEC = 50


def sounding(stored: StoredClip, start_sec: Tensor, duration_sec: float) -> Tensor:
  """Directions of the sounding objects at evenly spaced steps of a time span.

  Args:
    stored: a 360° clip. If its objects are unknown, the result has no sources.
    start_sec: float scalar, start of the span within the clip.
    duration_sec: duration of the span.

  Returns:
    float32 `[steps, MAX_SOURCES, 3]`, unit vectors (x, y, z) at the middle of each step,
    interpolated between the stored frames; 0 in rows without a source.
  """
  truth = stored.truth
  steps = max(1, round(duration_sec * STEPS_PER_SEC))
  time_sec = start_sec + (tf.range(steps, dtype=tf.float32) + 0.5) * (duration_sec / steps)
  vectors = directions.unit_vectors(truth.azimuth_rad, truth.elevation_rad)
  known = tf.shape(vectors)[0]
  place = tf.clip_by_value(
    time_sec * stored.frame_rate_hz, 0.0, tf.cast(tf.maximum(known - 1, 0), tf.float32)
  )
  before = tf.cast(tf.floor(place), tf.int32)
  after = tf.minimum(before + 1, tf.maximum(known - 1, 0))
  share = (place - tf.floor(place))[:, tf.newaxis, tf.newaxis]

  def between() -> Tensor:
    found = (1.0 - share) * tf.gather(vectors, before) + share * tf.gather(vectors, after)
    found = tf.math.l2_normalize(tf.boolean_mask(found, truth.is_sounding, axis=1), axis=-1)
    found = found[:, :MAX_SOURCES]
    return tf.pad(found, [[0, 0], [0, MAX_SOURCES - tf.shape(found)[1]], [0, 0]])

  found = tf.cond(
    tf.size(truth.labels) > 0, between, lambda: tf.zeros([steps, MAX_SOURCES, 3])
  )
  return tf.ensure_shape(found, [steps, MAX_SOURCES, 3])
