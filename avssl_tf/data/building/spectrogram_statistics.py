"""Per-bin mean and spread of the spectrograms of a data set, measured while it is built."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from avssl_tf.spectrograms import Spectrogram

# Stored to a millionth of a dB, which is far below what they mean: whatever the number of
# threads that multiplied a mel matrix, the stored numbers are the same.
_DECIMALS = 6


@dataclasses.dataclass
class Sums:
  """Sums over frames and channels of the values of each bin, float64.

  Attributes:
    count: number of values of a bin.
    total: sum of each bin, `[num_bins]`.
    squares: sum of the squares, `[num_bins]`.
  """

  count: int
  total: np.ndarray
  squares: np.ndarray

  @classmethod
  def zero(cls, num_bins: int) -> "Sums":
    """Sums over nothing."""
    return cls(0, np.zeros(num_bins), np.zeros(num_bins))

  @classmethod
  def from_json(cls, content: dict) -> "Sums":
    """The inverse of `to_json`, bit for bit."""
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
  """Sums of one clip: float32 `[samples, channels]` in -1..1, on the CPU.

  Each clip is measured on its own, so that the result does not depend on its neighbours.
  """
  if not spectrogram.num_frames(len(waveform)):
    return Sums.zero(spectrogram.num_bins)
  with tf.device("CPU:0"):
    values = _graph(spectrogram)(waveform[np.newaxis])[0].numpy().astype(np.float64)
  return Sums(
    values.shape[0] * values.shape[2], values.sum(axis=(0, 2)), np.square(values).sum(axis=(0, 2))
  )


def combine(parts: Sequence[Sums], num_bins: int) -> dict[str, list[float]]:
  """Mean and standard deviation of each bin, in dB, added up in the order of `parts`."""
  sums = functools.reduce(lambda a, b: a + b, parts, Sums.zero(num_bins))
  mean = sums.total / max(1, sums.count)
  variance = np.maximum(sums.squares / max(1, sums.count) - np.square(mean), 0.0)
  return {
    "mean": np.round(mean, _DECIMALS).tolist(),
    "std": np.round(np.sqrt(variance), _DECIMALS).tolist(),
  }


@functools.lru_cache(maxsize=4)
def _graph(spectrogram: Spectrogram):
  return tf.function(
    spectrogram.__call__, input_signature=[tf.TensorSpec([1, None, None], tf.float32)]
  )
