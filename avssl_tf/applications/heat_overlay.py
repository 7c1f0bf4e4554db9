"""Draws heat maps over frames, with transparency."""

import cv2
import numpy as np

_LARGEST_OPACITY = 0.65


class HeatOverlay:
  """Draws maps in 0..1 over frames: higher values are redder and more opaque."""

  def __init__(self):
    # For each map value, the factor of the pixel and the colour added to it.
    steps = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    opacity = (_LARGEST_OPACITY * steps / 255.0).astype(np.float32)[..., np.newaxis]
    colors = cv2.applyColorMap(steps, cv2.COLORMAP_TURBO)[..., ::-1]
    self._kept = np.repeat(1.0 - opacity, 3, axis=2)
    self._added = np.round(opacity * colors).astype(np.uint8)

  def draw(self, frame: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Draws a map over a frame.

    Args:
      frame: uint8 RGB `[height, width, 3]`.
      heat: float32 `[height, width]` in 0..1; 0 leaves the frame unchanged.

    Returns:
      uint8 RGB `[height, width, 3]`.
    """
    # Lookup tables and OpenCV for speed: this runs for every pixel of a video.
    steps = cv2.merge([cv2.convertScaleAbs(heat, alpha=255.0)] * 3)
    kept = cv2.multiply(frame, cv2.LUT(steps, self._kept), dtype=cv2.CV_8U)
    return cv2.add(kept, cv2.LUT(steps, self._added))
