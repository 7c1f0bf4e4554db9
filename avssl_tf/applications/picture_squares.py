"""Splits frames of any shape into square network inputs, and merges the maps of the squares."""

import math

import numpy as np

# Frames with a smaller relative difference of the sides are squeezed to a square.
_NEARLY_SQUARE = 0.05


class PictureSquares:
  """Squares with the size of the short side of a frame, evenly spaced along the long side.

  Neighbouring squares overlap by at least half. A nearly square frame has one square, which covers
  all of it.

  Attributes:
    count: number of squares.
    scaled: height and width to which a frame is scaled before it is cut.
  """

  def __init__(self, height: int, width: int, size: int):
    """Places the squares.

    Args:
      height: height of the frame, in pixels.
      width: width of the frame, in pixels.
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
    """Cuts a frame into squares.

    Args:
      picture: uint8 `[*scaled, 3]`.

    Returns:
      uint8 `[count, size, size, 3]`.
    """
    if self._upright:
      return np.stack([picture[start : start + self._size] for start in self._starts])
    return np.stack([picture[:, start : start + self._size] for start in self._starts])

  def join(self, maps: np.ndarray) -> np.ndarray:
    """Merges the maps of the squares into one map of the frame.

    Where squares overlap, the weight of a square increases with the distance from its edge.

    Args:
      maps: float32 `[count, h, w]`, maps of the squares.

    Returns:
      float32 `[h, w']`, or `[h', w]` for a portrait frame, with positions of the same size.
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
