"""Operations on waveforms. Pure functions."""

import tensorflow as tf

from avssl_tf import addons
from avssl_tf.keys import Tensor


def cut(waveform: Tensor, start: Tensor, num_samples: int) -> Tensor:
  """The window of `num_samples` from sample `start` (int64 scalar) of `[samples, channels]`.

  Raises:
    tf.errors.InvalidArgumentError: the window reaches beyond the end.
  """
  window = waveform[start : start + num_samples]
  return tf.ensure_shape(window, [num_samples, waveform.shape[1]])


def resample(waveform: Tensor, rate_in_hz: int, rate_out_hz: int, num_samples: int) -> Tensor:
  """Converts a waveform to another sample rate, band-limited and without delay.

  Args:
    waveform: float32 `[samples, channels]`.
    rate_in_hz: its rate.
    rate_out_hz: the rate wanted.
    num_samples: samples of the result; silence follows where the waveform ends earlier.

  Returns:
    float32 `[num_samples, channels]`. Beyond its ends the waveform counts as silent.
  """
  longer = addons.resample(waveform, rate_in_hz, rate_out_hz)
  longer = tf.pad(longer, [[0, tf.maximum(0, num_samples - tf.shape(longer)[0])], [0, 0]])
  return tf.ensure_shape(longer[:num_samples], [num_samples, waveform.shape[1]])


def scale_volume(waveform: Tensor, factor: Tensor) -> Tensor:
  """`waveform` times `factor` (scalar), kept within -1..1."""
  return tf.clip_by_value(waveform * tf.cast(factor, waveform.dtype), -1.0, 1.0)
