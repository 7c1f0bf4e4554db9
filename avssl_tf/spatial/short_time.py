"""Invertible short-time Fourier transform."""

import tensorflow as tf

from avssl_tf.keys import Tensor


def stft(signal: Tensor, frame_length: int, hop_length: int) -> Tensor:
  """Short-time Fourier transform with a Hann window.

  The signal is zero-padded, so the first and the last samples are in as many frames as the others,
  and `inverse_stft` reconstructs the whole signal.

  Args:
    signal: float32 `[..., samples]`.
    frame_length: window length in samples, even.
    hop_length: hop length in samples, at most half of `frame_length`.

  Returns:
    complex64 `[..., num_frames(samples), frame_length / 2 + 1]`. Frame t ends before sample
    (t + 1) * hop_length.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf.spatial import short_time
    >>> signal = tf.random.stateless_normal([1000], seed=[0, 0])
    >>> spectra = short_time.stft(signal, frame_length=256, hop_length=128)
    >>> spectra.shape
    TensorShape([9, 129])
    >>> restored = short_time.inverse_stft(spectra, 1000, 256, 128)
    >>> bool(tf.reduce_max(tf.abs(restored - signal)) < 1e-5)
    True
  """
  before = frame_length - hop_length
  num_samples = tf.shape(signal)[-1]
  count = num_frames(num_samples, frame_length, hop_length)
  after = count * hop_length - num_samples
  padding = tf.concat(
    [tf.zeros([tf.rank(signal) - 1, 2], tf.int32), [[before, after]]], axis=0
  )
  result = tf.signal.stft(tf.pad(signal, padding), frame_length, hop_length, frame_length)
  if signal.shape[-1] is not None:
    count = num_frames(signal.shape[-1], frame_length, hop_length)
    result = tf.ensure_shape(result, [*signal.shape[:-1], count, frame_length // 2 + 1])
  return result


def inverse_stft(
  spectra: Tensor, num_samples: Tensor, frame_length: int, hop_length: int
) -> Tensor:
  """Inverse of `stft`; the least-squares estimate for inconsistent spectra.

  Args:
    spectra: complex64 `[..., frames, frame_length / 2 + 1]`.
    num_samples: length of the signal, in samples.
    frame_length: as in `stft`.
    hop_length: as in `stft`.

  Returns:
    float32 `[..., num_samples]`.
  """
  signal = tf.signal.inverse_stft(
    spectra,
    frame_length,
    hop_length,
    frame_length,
    window_fn=tf.signal.inverse_stft_window_fn(hop_length),
  )
  before = frame_length - hop_length
  return signal[..., before : before + num_samples]


def num_frames(num_samples: Tensor, frame_length: int, hop_length: int) -> Tensor:
  """Number of frames of `stft`.

  Args:
    num_samples: length of the signal, in samples; an int or an integer tensor.
    frame_length: as in `stft`.
    hop_length: as in `stft`.

  Returns:
    The number of frames, same type as `num_samples`.
  """
  return -(-(num_samples + frame_length - hop_length) // hop_length)
