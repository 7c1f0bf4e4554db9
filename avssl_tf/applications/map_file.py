"""A temporary file with the localisation maps of a video, read while they are drawn."""

import contextlib
import math
import tempfile

import numpy as np


class MapFile:
  """The maps of evenly spaced windows of a video of any length, written once and then read.

  They are stored in an anonymous temporary file, removed when the process exits for any reason.

  Attributes:
    count: number of maps.
    first_sec: time of the middle of the first window.
    step_sec: time between consecutive windows.
  """

  def __init__(self, folder: str, first_sec: float, step_sec: float):
    """Creates the file in a folder."""
    self.count = 0
    self.first_sec = first_sec
    self.step_sec = step_sec
    self._shape: tuple[int, ...] = ()
    self._sum, self._num_audible, self._sum_of_highest = 0.0, 0, 0.0
    self._file = tempfile.TemporaryFile(dir=folder)

  def __enter__(self) -> "MapFile":
    return self

  def __exit__(self, error_type, *unused) -> None:
    # On a full disk, closing fails again; the first error is more informative.
    with contextlib.suppress(OSError) if error_type else contextlib.nullcontext():
      self._file.close()

  def append(self, values: np.ndarray, audible: bool) -> None:
    """Appends the map of the next window, float32 `[h, w]`, and whether its audio is audible."""
    self._shape = values.shape
    if audible:
      self._num_audible += 1
      self._sum += float(values.mean())
      self._sum_of_highest += float(values.max())
    # Silence is dissimilar to every position.
    self._file.write(np.float32(values if audible else np.full_like(values, -1.0)).tobytes())
    self.count += 1

  def heat(self, time_sec: float) -> np.ndarray:
    """The map at a time, interpolated between the adjacent windows and scaled to a heat map.

    Returns:
      float32 `[h, w]` in 0..1: 0 up to the mean similarity over the whole video, 1 from the mean of
      the maximum similarities of all windows.
    """
    mean = self._sum / max(1, self._num_audible)
    highest = self._sum_of_highest / max(1, self._num_audible)
    place = min(max((time_sec - self.first_sec) / self.step_sec, 0.0), self.count - 1)
    number = min(int(place), max(0, self.count - 2))
    part = place - number
    heats = [
      np.clip((self._read(n) - mean) / max(highest - mean, 1e-6), 0.0, 1.0)
      for n in (number, min(number + 1, self.count - 1))
    ]
    return np.float32((1.0 - part) * heats[0] + part * heats[1])

  def _read(self, number: int) -> np.ndarray:
    size = 4 * math.prod(self._shape)
    self._file.seek(number * size)
    return np.frombuffer(self._file.read(size), np.float32).reshape(self._shape)
