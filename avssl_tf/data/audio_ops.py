"""Operations on waveforms. Pure functions."""

import tensorflow as tf

from avssl_tf.types import Tensor


def cut(waveform: Tensor, start: Tensor, num_samples: int) -> Tensor:
  """The window of `num_samples` from sample `start` (int64 scalar) of `[samples, channels]`.

  Raises:
    tf.errors.InvalidArgumentError: the window reaches beyond the end.
  """
  window = waveform[start : start + num_samples]
  return tf.ensure_shape(window, [num_samples, waveform.shape[1]])


def scale_volume(waveform: Tensor, factor: Tensor) -> Tensor:
  """`waveform` times `factor` (scalar), kept within -1..1."""
  return tf.clip_by_value(waveform * tf.cast(factor, waveform.dtype), -1.0, 1.0)
