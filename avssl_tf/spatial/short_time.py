"""Short-time Fourier transforms that can be taken back to the signal."""

import tensorflow as tf

from avssl_tf.keys import Tensor


def stft(signal: Tensor, frame_length: int, hop_length: int) -> Tensor:
  """Short-time Fourier transform with a Hann window.

  The signal is taken as silent outside of its span, so that each of its samples lies in as many
  frames as any other, and `inverse_stft` gives the whole of it back.

  Args:
    signal: float32 `[..., samples]`.
    frame_length: samples in a window, even.
    hop_length: samples from one frame to the next, at most half of `frame_length`.

  Returns:
    complex64 `[..., num_frames(samples), frame_length / 2 + 1]`. Frame t ends before sample
    (t + 1) * hop_length.
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
  """The signal that `stft` gives these spectra of, or the nearest to it.

  Args:
    spectra: complex64 `[..., frames, frame_length / 2 + 1]`.
    num_samples: length of the signal.
    frame_length: as of `stft`.
    hop_length: likewise.

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
  """Number of frames of `stft`: int, as `num_samples` is."""
  return -(-(num_samples + frame_length - hop_length) // hop_length)
