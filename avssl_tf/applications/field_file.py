"""A temporary file with a generated sound field, from which the outputs are written."""

import contextlib
import tempfile
from collections.abc import Iterator

import numpy as np

from avssl_tf.data.metadata import spatial_media
from avssl_tf.spatial import rendering

# AAC encoding raises peaks slightly: 1 dB of headroom.
_CEILING = 10.0 ** (-1.0 / 20.0)
_BLOCK_SEC = 1.0
_BYTES_A_SAMPLE = 4 * spatial_media.NUM_CHANNELS


class FieldFile:
  """A field of any length, written once and then read in parts.

  It is stored in an anonymous temporary file, removed when the process exits for any reason.

  Attributes:
    sample_rate_hz: sample rate of the field.
    num_samples: number of samples so far.
  """

  def __init__(self, folder: str, sample_rate_hz: int):
    """Creates the file in a folder."""
    self._file = tempfile.TemporaryFile(dir=folder)
    self.sample_rate_hz = sample_rate_hz
    self.num_samples = 0
    self._peak = self._stereo_peak = 0.0

  def __enter__(self) -> "FieldFile":
    return self

  def __exit__(self, error_type, *unused) -> None:
    # On a full disk, closing fails again; the first error is more informative.
    with contextlib.suppress(OSError) if error_type else contextlib.nullcontext():
      self._file.close()

  @property
  def duration_sec(self) -> float:
    return self.num_samples / self.sample_rate_hz

  @property
  def gain(self) -> float:
    """Gain for all channels that avoids clipping, at most 1."""
    return min(1.0, _CEILING / max(self._peak, _CEILING))

  @property
  def stereo_gain(self) -> float:
    """Gain for the stereo version that avoids clipping, at most 1."""
    return min(1.0, _CEILING / max(self._stereo_peak, _CEILING))

  @property
  def peak(self) -> float:
    """Largest magnitude of a sample."""
    return self._peak

  def append(self, block: np.ndarray) -> None:
    """Appends float32 `[samples, 4]`, W Y Z X."""
    if not len(block):
      return
    self._file.write(np.ascontiguousarray(block, np.float32).tobytes())
    self.num_samples += len(block)
    self._peak = max(self._peak, float(np.abs(block).max()))
    stereo = rendering.to_stereo(block).numpy()
    self._stereo_peak = max(self._stereo_peak, float(np.abs(stereo).max()))

  def read(self, start: int, stop: int) -> np.ndarray:
    """Samples `start` to `stop - 1`, limited to the field: float32 `[samples, 4]`."""
    start, stop = max(0, start), min(stop, self.num_samples)
    self._file.seek(start * _BYTES_A_SAMPLE)
    data = self._file.read(max(0, stop - start) * _BYTES_A_SAMPLE)
    return np.frombuffer(data, np.float32).reshape(-1, spatial_media.NUM_CHANNELS)

  def blocks(self) -> Iterator[np.ndarray]:
    """The whole field in consecutive blocks, float32 `[samples, 4]`."""
    length = round(_BLOCK_SEC * self.sample_rate_hz)
    for start in range(0, self.num_samples, length):
      yield self.read(start, start + length)
