"""Operations on sound and on where its windows lie."""

from typing import Tuple

import tensorflow as tf

from avssl_tf.types import Tensor


def window_start(position: Tensor, low: Tensor, high: Tensor) -> Tensor:
  """The whole number in low..high that lies at `position`.

  Args:
    position: float64 scalar in [0, 1); each number covers an equal share of it.
    low: int64 scalar.
    high: int64 scalar, at least `low`; inclusive.

  Returns:
    int64 scalar.
  """
  count = tf.cast(high - low + 1, tf.float64)
  return low + tf.minimum(tf.cast(tf.floor(position * count), tf.int64), high - low)


def even_window_start(window: Tensor, num_windows: int, high: Tensor) -> Tensor:
  """Start of one of `num_windows` windows spread evenly over the starts 0..high.

  The first window starts at 0 and the last at `high`; a single one lies in the middle.

  Args:
    window: int64 scalar, number of the window in 0..num_windows - 1.
    num_windows: number of windows.
    high: int64 scalar, the last start.

  Returns:
    int64 scalar.
  """
  if num_windows == 1:
    return high // 2
  share = tf.cast(window, tf.float64) / (num_windows - 1)
  return tf.cast(tf.floor(share * tf.cast(high, tf.float64) + 0.5), tf.int64)


def nearby_starts(
  center_sec: Tensor, max_offset_sec: float, window_sec: float, rate_hz: Tensor, high: Tensor
) -> Tuple[Tensor, Tensor]:
  """Starts of the windows whose centre is near a given time and that lie inside the clip.

  Args:
    center_sec: float64 scalar, the given time.
    max_offset_sec: how far the centre of a window may be from it.
    window_sec: duration of a window.
    rate_hz: float64 scalar, rate at which starts are counted.
    high: int64 scalar, the last start inside the clip; the first is 0.

  Returns:
    int64 scalars, the first and the last start. Where no start is near enough, both are the
    nearest one.
  """
  middle = (center_sec - window_sec / 2) * rate_hz
  reach = max_offset_sec * rate_hz
  nearest = tf.cast(tf.floor(middle + 0.5), tf.int64)
  # A start that is at the limit but for rounding is within it.
  first = tf.minimum(tf.cast(tf.math.ceil(middle - reach - 1e-6), tf.int64), nearest)
  last = tf.maximum(tf.cast(tf.floor(middle + reach + 1e-6), tf.int64), nearest)
  zero = tf.zeros_like(high)
  return tf.clip_by_value(first, zero, high), tf.clip_by_value(last, zero, high)


def scale_volume(waveform: Tensor, factor: Tensor) -> Tensor:
  """`waveform` times `factor`, kept within -1..1."""
  return tf.clip_by_value(waveform * tf.cast(factor, waveform.dtype), -1.0, 1.0)
