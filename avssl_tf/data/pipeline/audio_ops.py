"""Operations on waveforms. All functions are pure."""

import math

import tensorflow as tf

from avssl_tf import addons
from avssl_tf.keys import Tensor


def cut(waveform: Tensor, start: Tensor, num_samples: int) -> Tensor:
  """Cuts `num_samples` from sample `start` (int64 scalar) on out of `[samples, channels]`.

  Raises:
    tf.errors.InvalidArgumentError: the window exceeds the end.
  """
  window = waveform[start : start + num_samples]
  return tf.ensure_shape(window, [num_samples, waveform.shape[1]])


# The resampler's filter has 64 samples at the lower of the two rates.
_RESAMPLER_TAPS = 64


def resample(waveform: Tensor, rate_in_hz: int, rate_out_hz: int, num_samples: int) -> Tensor:
  """Converts a waveform to another sample rate, band-limited and without delay.

  Args:
    waveform: float32 `[samples, channels]`.
    rate_in_hz: sample rate of `waveform`.
    rate_out_hz: sample rate of the result.
    num_samples: samples of the result; zero-padded if the waveform ends earlier.

  Returns:
    float32 `[num_samples, channels]`. The waveform is treated as silent beyond its ends.
  """
  # The output is delayed by half the filter length, which is rounded up to a multiple of 8 input
  # samples.
  taps = 8 * math.ceil(_RESAMPLER_TAPS * max(1.0, rate_in_hz / rate_out_hz) / 8)
  skip = round(taps / 2 * rate_out_hz / rate_in_hz)
  # Enough padding for the delayed output, however the resampler rounds its length.
  tail = taps + math.ceil(2 * rate_in_hz / rate_out_hz)
  padded = tf.pad(waveform, [[0, tail], [0, 0]])
  longer = addons.resample(padded, rate_in_hz, rate_out_hz)[skip:]
  longer = tf.pad(longer, [[0, tf.maximum(0, num_samples - tf.shape(longer)[0])], [0, 0]])
  return tf.ensure_shape(longer[:num_samples], [num_samples, waveform.shape[1]])


def scale_volume(waveform: Tensor, factor: Tensor) -> Tensor:
  """Multiplies `waveform` by `factor` (scalar) and clips the result to -1..1."""
  return tf.clip_by_value(waveform * tf.cast(factor, waveform.dtype), -1.0, 1.0)
