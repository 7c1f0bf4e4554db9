"""Pictures of any shape as the squares that networks look at, and one map out of theirs."""

import math

import numpy as np

# Sides that differ by less than this share are squeezed to a square.
_NEARLY_SQUARE = 0.05


class PictureSquares:
  """Squares of the picture's short side, evenly spaced along its long side.

  Neighbours overlap by half or more; of pictures that are nearly square there is one, of all of it.

  Attributes:
    count: number of squares.
    scaled: height and width that the picture is scaled to before it is cut.
  """

  def __init__(self, height: int, width: int, size: int):
    """Lays out the squares.

    Args:
      height: of the picture, in pixels.
      width: likewise.
      size: height and width of the squares, in pixels.
    """
    self._size = size
    self._upright = height > width
    ratio = max(height, width) / min(height, width)
    long_side = size if ratio < 1.0 + _NEARLY_SQUARE else round(size * ratio)
    self.count = 1 + math.ceil(2 * (long_side - size) / size)
    self._starts = np.round(np.linspace(0, long_side - size, self.count)).astype(int)
    self._long_side = long_side
    self.scaled = (long_side, size) if self._upright else (size, long_side)

  def cut(self, picture: np.ndarray) -> np.ndarray:
    """The squares of a picture.

    Args:
      picture: uint8 `[*scaled, 3]`.

    Returns:
      uint8 `[count, size, size, 3]`.
    """
    if self._upright:
      return np.stack([picture[start : start + self._size] for start in self._starts])
    return np.stack([picture[:, start : start + self._size] for start in self._starts])

  def join(self, maps: np.ndarray) -> np.ndarray:
    """One map of all the picture.

    Where squares overlap, each counts the more, the farther from its edge a place is.

    Args:
      maps: float32 `[count, h, w]`, of the squares.

    Returns:
      float32 `[h, w']`, or `[h', w]` of an upright picture, with positions of the same size.
    """
    along = np.swapaxes(maps, 1, 2) if not self._upright else maps  # [count, long, short]
    num_own = along.shape[1]
    cell = self._size / num_own
    num_all = round(self._long_side / cell)
    middles = (np.arange(num_all) + 0.5) * self._long_side / num_all
    total, weight = np.zeros([num_all, along.shape[2]], np.float32), np.zeros([num_all, 1])
    for start, values in zip(self._starts, along):
      inside = np.flatnonzero((middles > start) & (middles < start + self._size))
      offset = middles[inside] - start
      share = np.minimum(offset, self._size - offset)[:, np.newaxis]
      place = np.clip(offset / cell - 0.5, 0, num_own - 1)
      low = np.floor(place).astype(int)
      high, part = np.minimum(low + 1, num_own - 1), (place - low)[:, np.newaxis]
      total[inside] += share * ((1.0 - part) * values[low] + part * values[high])
      weight[inside] += share
    joined = (total / weight).astype(np.float32)
    return joined if self._upright else joined.T
