"""Per-bin mean and standard deviation of the spectrograms of a data set, measured in its build."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from avssl_tf.spectrograms import Spectrogram

# Rounded to a millionth of a dB, far below the precision needed. The stored numbers then do not
# depend on the number of threads of the mel matrix product.
_DECIMALS = 6


@dataclasses.dataclass
class Sums:
  """Float64 sums of each bin over frames and channels.

  Attributes:
    count: number of values per bin.
    total: `[num_bins]`, sum of the values.
    squares: `[num_bins]`, sum of the squared values.
  """

  count: int
  total: np.ndarray
  squares: np.ndarray

  @classmethod
  def zero(cls, num_bins: int) -> "Sums":
    """Sums of no values."""
    return cls(0, np.zeros(num_bins), np.zeros(num_bins))

  @classmethod
  def from_json(cls, content: dict) -> "Sums":
    """The exact inverse of `to_json`."""
    return cls(content["count"], np.array(content["total"]), np.array(content["squares"]))

  def to_json(self) -> dict:
    """The sums as plain numbers and lists."""
    return {
      "count": self.count,
      "total": self.total.tolist(),
      "squares": self.squares.tolist(),
    }

  def __add__(self, other: "Sums") -> "Sums":
    return Sums(
      self.count + other.count, self.total + other.total, self.squares + other.squares
    )


def measure(spectrogram: Spectrogram, waveform: np.ndarray) -> Sums:
  """Sums of one clip, float32 `[samples, channels]` in -1..1, on the CPU.

  Each clip is measured separately, so that the result does not depend on other clips.
  """
  if not spectrogram.num_frames(len(waveform)):
    return Sums.zero(spectrogram.num_bins)
  with tf.device("CPU:0"):
    values = _graph(spectrogram)(waveform[np.newaxis])[0].numpy().astype(np.float64)
  return Sums(
    values.shape[0] * values.shape[2], values.sum(axis=(0, 2)), np.square(values).sum(axis=(0, 2))
  )


def combine(parts: Sequence[Sums], num_bins: int) -> dict[str, list[float]]:
  """Mean and standard deviation of each bin in dB; sums are added in the order of `parts`."""
  sums = functools.reduce(lambda a, b: a + b, parts, Sums.zero(num_bins))
  mean = sums.total / max(1, sums.count)
  variance = np.maximum(sums.squares / max(1, sums.count) - np.square(mean), 0.0)
  return {
    "mean": np.round(mean, _DECIMALS).tolist(),
    "std": np.round(np.sqrt(variance), _DECIMALS).tolist(),
  }


@functools.lru_cache(maxsize=4)
def _graph(spectrogram: Spectrogram):
  # Nothing to convert; the first conversion of a process takes seconds.
  return tf.function(
    spectrogram.__call__, [tf.TensorSpec([1, None, None], tf.float32)], autograph=False
  )
