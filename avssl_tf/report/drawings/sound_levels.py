"""Spectrograms for display, for audio of any sample rate."""

import math

import numpy as np
import tensorflow as tf

from avssl_tf.spectrograms import Spectrogram

# Dynamic range below the maximum of a clip.
RANGE_DB = 70.0
_NUM_BINS = 64
_WINDOW_SEC = 0.04
_FRAMES_PER_SEC = 100


def of(waveforms: tf.Tensor, sample_rate_hz: int) -> np.ndarray:
  """Log-mel spectrograms of waveforms.

  Args:
    waveforms: float32 `[N, samples, channels]`; only the first channel is used.
    sample_rate_hz: sample rate of the waveforms.

  Returns:
    float32 `[N, 64, frames]` in dB, 100 frames per second, the lowest bin first.
  """
  spectrogram = Spectrogram(
    kind="log_mel",
    sample_rate_hz=sample_rate_hz,
    fft_length=2 ** math.ceil(math.log2(_WINDOW_SEC * sample_rate_hz)),
    hop_length=max(1, sample_rate_hz // _FRAMES_PER_SEC),
    num_bins=_NUM_BINS,
  )
  return spectrogram(waveforms[..., :1])[..., 0].numpy().transpose(0, 2, 1)
