"""A generated sound field on the disk, while what is made of it is written."""

import contextlib
import tempfile
from collections.abc import Iterator

import numpy as np

from avssl_tf.data.metadata import spatial_media
from avssl_tf.spatial import rendering

# Peaks of AAC lie somewhat above those of what was encoded: 1 dB is left for them.
_CEILING = 10.0 ** (-1.0 / 20.0)
_BLOCK_SEC = 1.0
_BYTES_A_SAMPLE = 4 * spatial_media.NUM_CHANNELS


class FieldFile:
  """A field of any length, written once and then read in parts.

  It lies in a file without a name, which goes with the process, however that ends.

  Attributes:
    sample_rate_hz: rate of the field.
    num_samples: samples, up to now.
  """

  def __init__(self, folder: str, sample_rate_hz: int):
    """Makes the file on the disk of a folder."""
    self._file = tempfile.TemporaryFile(dir=folder)
    self.sample_rate_hz = sample_rate_hz
    self.num_samples = 0
    self._peak = self._stereo_peak = 0.0

  def __enter__(self) -> "FieldFile":
    return self

  def __exit__(self, error_type, *unused) -> None:
    # Of a disk that is full, closing complains again: the first error tells more.
    with contextlib.suppress(OSError) if error_type else contextlib.nullcontext():
      self._file.close()

  @property
  def duration_sec(self) -> float:
    return self.num_samples / self.sample_rate_hz

  @property
  def gain(self) -> float:
    """Factor for all channels, at most 1, with which none of them is clipped."""
    return min(1.0, _CEILING / max(self._peak, _CEILING))

  @property
  def stereo_gain(self) -> float:
    """The same for the two channels of `stereo`."""
    return min(1.0, _CEILING / max(self._stereo_peak, _CEILING))

  @property
  def peak(self) -> float:
    """Largest magnitude of a sample."""
    return self._peak

  def append(self, block: np.ndarray) -> None:
    """Adds float32 `[samples, 4]`, W Y Z X."""
    if not len(block):
      return
    self._file.write(np.ascontiguousarray(block, np.float32).tobytes())
    self.num_samples += len(block)
    self._peak = max(self._peak, float(np.abs(block).max()))
    stereo = rendering.to_stereo(block).numpy()
    self._stereo_peak = max(self._stereo_peak, float(np.abs(stereo).max()))

  def read(self, start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop - 1`, as far as there are such: float32 `[samples, 4]`."""
    start, stop = max(0, start), min(stop, self.num_samples)
    self._file.seek(start * _BYTES_A_SAMPLE)
    data = self._file.read(max(0, stop - start) * _BYTES_A_SAMPLE)
    return np.frombuffer(data, np.float32).reshape(-1, spatial_media.NUM_CHANNELS)

  def blocks(self) -> Iterator[np.ndarray]:
    """All of it: float32 `[samples, 4]`, one block after another."""
    length = round(_BLOCK_SEC * self.sample_rate_hz)
    for start in range(0, self.num_samples, length):
      yield self.read(start, start + length)
