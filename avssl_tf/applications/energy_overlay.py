"""Overlays an energy map of the sound field on the frames of a 360° video."""

import cv2
import numpy as np
import tensorflow as tf

from avssl_tf.applications.heat_overlay import HeatOverlay
from avssl_tf.data.metadata import spatial_media
from avssl_tf.spatial import ambisonics

# Height of the map, which is smooth for first-order ambisonics.
_MAP_HEIGHT = 45
# Duration of the audio around a frame that is used: the map neither flickers nor lags.
WINDOW_SEC = 0.2
# Power from a direction relative to the mean over all directions: 1 for a diffuse field, and at
# most 3 in the first order, for a single source. The colour scale covers this range.
_UNIFORM = 1.0
_SINGLE_SOURCE = 3.0
# Levels relative to the peak of the recording: at the first and above, the map has full strength;
# at the second and below, it is invisible.
_LOUD_DB = -30.0
_FAINT_DB = -50.0


class EnergyOverlay:
  """Draws energy maps of a recording over its frames."""

  def __init__(self, peak: float):
    """Initialises the overlay with the peak of the recording, the reference for loudness."""
    self._peak = max(peak, 1e-9)
    _, elevation_rad = ambisonics.pixel_directions(_MAP_HEIGHT, 2 * _MAP_HEIGHT)
    self._area = np.cos(elevation_rad.numpy())
    # As a graph, which caches everything that does not depend on the field.
    self._energy = tf.function(
      lambda field: ambisonics.energy_map(field, _MAP_HEIGHT, 2 * _MAP_HEIGHT),
      input_signature=[tf.TensorSpec([None, spatial_media.NUM_CHANNELS], tf.float32)],
      autograph=False,
    )
    self._heat = HeatOverlay()

  def concentration(self, field: np.ndarray) -> np.ndarray:
    """Computes how much the power of each direction exceeds the mean over all directions.

    Args:
      field: float32 `[samples, 4]`, W Y Z X, about `WINDOW_SEC` long.

    Returns:
      float32 `[h, 2 h]` in 0..1, equirectangular: 0 for directions with no more than the mean
      power, 1 in the direction of a single source. Values are lower for faint audio, and 0 for
      silence.
    """
    if not len(field):
      return np.zeros_like(self._area)
    power = self._energy(field).numpy() ** 2
    mean = np.average(power, weights=self._area)
    level_db = 20.0 * np.log10(max(_rms(field[:, 0]) / self._peak, 1e-9))
    loudness = np.clip((level_db - _FAINT_DB) / (_LOUD_DB - _FAINT_DB), 0.0, 1.0)
    excess = (power / max(mean, 1e-20) - _UNIFORM) / (_SINGLE_SOURCE - _UNIFORM)
    return (loudness * np.clip(excess, 0.0, 1.0)).astype(np.float32)

  def draw(self, frame: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Overlays the energy map on a frame.

    Args:
      frame: uint8 RGB `[height, width, 3]`, equirectangular.
      field: see `concentration`.

    Returns:
      uint8 RGB `[height, width, 3]`.
    """
    height, width = frame.shape[:2]
    return self._heat.draw(frame, _resized(self.concentration(field), height, width))


def _resized(values: np.ndarray, height: int, width: int) -> np.ndarray:
  """Enlarges a panorama without a seam at its left and right edges."""
  margin = 2
  wide = np.concatenate([values[:, -margin:], values, values[:, :margin]], axis=1)
  scale = width / values.shape[1]
  size = (round(wide.shape[1] * scale), height)
  enlarged = cv2.resize(wide, size, interpolation=cv2.INTER_LINEAR)
  left = round(margin * scale)
  return np.clip(enlarged[:, left : left + width], 0.0, 1.0)


def _rms(signal: np.ndarray) -> float:
  return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
