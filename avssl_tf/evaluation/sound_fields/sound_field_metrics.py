"""Distances between a generated and a true sound field.

The metrics of Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio
for 360° Video", NeurIPS 2018, section 5, and metrics that are sensitive to directions: the error
relative to the target's energy, the angle between the directions of maximum energy, and the
correlation of energy maps.

Pure functions of NumPy arrays. Fields are first-order ambisonics, ACN/SN3D, `[samples, 4]`. Metrics
that compare signals channel by channel accept any `[samples, channels]`.
"""

import functools
import os

import numpy as np
import scipy.signal

# POT would import all installed array frameworks; only its NumPy solver is used.
os.environ.setdefault("POT_BACKEND_DISABLE_TENSORFLOW", "1")
os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")

import ot  # noqa: E402

from avssl_tf.errors import UserError

_WINDOW_SEC = 0.025
_LOG_FLOOR = 1e-2
_SNR_FLOOR = 1e-1
_MAP_STEP_DEG = 30.0
_MAP_SEC = 0.1
_MASS_FLOOR = 0.01
# Grid spacing in the search for the direction of maximum energy.
_FINE_STEP_DEG = 2.0
# Added to error and energy, so that silence against silence is 0 dB.
_MIN_POWER = 1e-12


def stft_distance(target: np.ndarray, prediction: np.ndarray, sample_rate_hz: float) -> np.ndarray:
  """Mean squared difference of the short-time Fourier transforms.

  Windows have 0.025 s, rounded up to a power of two of samples, and overlap by half.

  Args:
    target: float `[samples, channels]`, at least one window.
    prediction: float, same shape as `target`.
    sample_rate_hz: sample rate of both.

  Returns:
    float64 `[channels]`, averaged over windows and frequencies from 0 to the sample rate.

  Raises:
    UserError: the signal is shorter than a window.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, NeurIPS 2018, section 5.

  Examples:
    >>> stft_distance(np.ones([2400, 1]), np.zeros([2400, 1]), 48000).round(3)
    array([768.])
  """
  length = 2 ** int(np.ceil(np.log2(_WINDOW_SEC * sample_rate_hz)))
  difference = _spectra(np.subtract(target, prediction, dtype=np.float64), length, length // 2)
  return np.mean(np.abs(difference) ** 2, axis=(0, 1))


def relative_error_db(target: np.ndarray, prediction: np.ndarray, sample_rate_hz: float) -> float:
  """`stft_distance` relative to the energy of the target; 0 dB for a silent prediction.

  Args:
    target: float `[samples, channels]`, at least one window.
    prediction: float, same shape as `target`.
    sample_rate_hz: sample rate of both.

  Returns:
    Error in dB, over all channels.

  Raises:
    UserError: the signal is shorter than a window.

  Source:
    This project.

  Examples:
    >>> round(relative_error_db(np.ones([2400, 1]), np.full([2400, 1], 0.9), 48000), 3)
    -20.0
  """
  error = stft_distance(target, prediction, sample_rate_hz).sum()
  power = stft_distance(target, np.zeros_like(target), sample_rate_hz).sum()
  return float(10.0 * np.log10((error + _MIN_POWER) / (power + _MIN_POWER)))


def log_spectral_distance(
  target: np.ndarray, prediction: np.ndarray, sample_rate_hz: float
) -> np.ndarray:
  """Root mean square difference of the levels of all frequencies in dB, averaged over windows.

  Windows have 0.025 s and overlap by half. As in the authors' code, levels are 10 log10 of the
  magnitudes plus 0.01.

  Args:
    target: float `[samples, channels]`, at least one window.
    prediction: float, same shape as `target`.
    sample_rate_hz: sample rate of both.

  Returns:
    float64 `[channels]`, dB.

  Raises:
    UserError: the signal is shorter than a window.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, NeurIPS 2018, section 5.

  Examples:
    >>> log_spectral_distance(np.ones([2400, 1]), np.full([2400, 1], 0.5), 48000).round(3)
    array([0.151])
  """
  length = int(_WINDOW_SEC * sample_rate_hz)
  levels = [
    10.0 * np.log10(np.abs(_spectra(signal, length, length // 2)) + _LOG_FLOOR)
    for signal in (target, prediction)
  ]
  return np.mean(np.sqrt(np.mean((levels[0] - levels[1]) ** 2, axis=1)), axis=0)


def envelope_distance(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
  """Root mean square difference of the envelopes, computed by the Hilbert transform.

  Args:
    target: float `[samples, channels]`.
    prediction: float, same shape as `target`.

  Returns:
    float64 `[channels]`.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, NeurIPS 2018, section 5.

  Examples:
    >>> envelope_distance(np.ones([8, 1]), np.full([8, 1], 0.5))
    array([0.5])
  """
  envelopes = [np.abs(scipy.signal.hilbert(s, axis=0)) for s in (target, prediction)]
  return np.sqrt(np.mean((envelopes[0] - envelopes[1]) ** 2, axis=0))


def mean_squared_error(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
  """Mean squared difference of the samples: float64 `[channels]`."""
  return np.mean(np.subtract(target, prediction, dtype=np.float64) ** 2, axis=0)


def signal_to_noise_db(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
  """Energy of the target over that of the error, each plus 0.1, in dB: float64 `[channels]`."""
  noise = np.sum(np.subtract(target, prediction, dtype=np.float64) ** 2, axis=0)
  signal = np.sum(np.square(target, dtype=np.float64), axis=0)
  return 10.0 * np.log10((signal + _SNR_FLOOR) / (noise + _SNR_FLOOR))


def earth_movers_distances(
  target: np.ndarray, prediction: np.ndarray, sample_rate_hz: float
) -> tuple[float, float]:
  """Earth mover's distances between the energy maps of two sound fields on the sphere.

  Maps are root mean squares on a grid of 30°, for segments of 0.1 s; distances are angles.

  Args:
    target: float `[samples, 4]`, W Y Z X, at least 0.1 s.
    prediction: float, same shape as `target`.
    sample_rate_hz: sample rate of both.

  Returns:
    `(dir, dir2)`, averaged over the segments. `dir`, in radians times level, keeps the levels of
    the maps: a difference in total level costs the largest distance. `dir2`, in radians, normalises
    both maps to the same total. First-order maps are broad, so even silence has a small `dir`: do
    not use it as the only metric.

  Raises:
    UserError: the field is shorter than 0.1 s.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, NeurIPS 2018, section 5.

  Examples:
    >>> tone = np.sin(2 * np.pi * np.arange(4800) / 100)
    >>> front, left = (tone[:, np.newaxis] * vector for vector in ([1, 0, 0, 1], [1, 1, 0, 0]))
    >>> ["%.3f" % distance for distance in earth_movers_distances(front, left, 48000)]
    ['0.249', '0.352']
  """
  size = int(_MAP_SEC * sample_rate_hz)
  found = []
  for start in range(0, len(target) - size + 1, size):
    maps = [
      energy_map(field[start : start + size], _MAP_STEP_DEG).ravel()
      for field in (target, prediction)
    ]
    levels = [m / m.size for m in maps]
    shares = [m / (m.sum() + _MASS_FLOOR) for m in maps]
    found.append((_move(*levels), _move(*shares)))
  if not found:
    raise UserError(f"The field has {len(target)} samples; the metric needs {size}, 0.1 s.")
  direction, share = np.mean(found, axis=0)
  return float(direction), float(share)


def strongest_direction(field: np.ndarray) -> np.ndarray:
  """Direction of maximum energy: unit vector (x, y, z), on a grid of 2°; 0 for silence."""
  power = energy_map(field, _FINE_STEP_DEG)
  if not power.any():
    return np.zeros(3)
  return _grid_vectors(_FINE_STEP_DEG).reshape(-1, 3)[np.argmax(power)]


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
  """Angle between two directions in degrees; 90°, as for a random guess, if one of them is 0."""
  if not np.any(a) or not np.any(b):
    return 90.0
  return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b))))


def energy_map_correlation(target: np.ndarray, prediction: np.ndarray) -> float:
  """Pearson correlation of the energy maps over the sphere; 0 if a map is constant.

  Args:
    target: float `[samples, 4]`, W Y Z X.
    prediction: float, same shape as `target`.
  """
  maps = [energy_map(field, _MAP_STEP_DEG / 3) for field in (target, prediction)]
  # Rows nearer to the poles cover less of the sphere.
  weights = np.cos(np.radians(_grid_elevations_deg(_MAP_STEP_DEG / 3)))[:, np.newaxis]
  weights = np.broadcast_to(np.maximum(weights, 0.0), maps[0].shape)
  centred = [m - np.average(m, weights=weights) for m in maps]
  spread = [np.sqrt(np.average(c**2, weights=weights)) for c in centred]
  if min(spread) < 1e-6 * max(*(m.max() for m in maps), 1e-12):
    return 0.0
  return float(np.average(centred[0] * centred[1], weights=weights) / (spread[0] * spread[1]))


def energy_map(field: np.ndarray, step_deg: float) -> np.ndarray:
  """Root mean square of the field decoded at a grid of directions.

  Args:
    field: float `[samples, 4]`, W Y Z X.
    step_deg: grid spacing in degrees, a divisor of 180.

  Returns:
    float64 `[180 / step + 1, 360 / step]`: elevations from +90° down to -90°, azimuths from
    180° - step down to -180°.
  """
  vectors = _grid_vectors(step_deg)
  weights = np.concatenate([np.ones([*vectors.shape[:2], 1]), vectors[..., [1, 2, 0]]], axis=-1)
  # Computed from the covariance of the channels: decoded signals would need much more memory.
  field = np.asarray(field, np.float64)
  covariance = field.T @ field / max(1, len(field))
  power = np.einsum("...c,cd,...d->...", weights, covariance, weights)
  return np.sqrt(np.maximum(power, 0.0))


def _spectra(signal: np.ndarray, length: int, hop: int) -> np.ndarray:
  """complex128 `[windows, length, channels]`, with a periodic Hann window."""
  if len(signal) < length:
    raise UserError(f"The signal has {len(signal)} samples; the metric needs {length}.")
  windows = np.lib.stride_tricks.sliding_window_view(signal, length, axis=0)[::hop]
  window = scipy.signal.get_window("hann", length)
  return np.fft.fft(np.moveaxis(windows, -1, 1) * window[:, np.newaxis], axis=1)


def _grid_elevations_deg(step_deg: float) -> np.ndarray:
  return np.linspace(90.0, -90.0, round(180.0 / step_deg) + 1)


@functools.lru_cache(maxsize=4)
def _grid_vectors(step_deg: float) -> np.ndarray:
  """Unit vectors (x, y, z) of the grid: `[elevations, azimuths, 3]`."""
  elevation = np.radians(_grid_elevations_deg(step_deg))
  azimuth = np.radians(180.0 - step_deg * (1.0 + np.arange(round(360.0 / step_deg))))
  elevation, azimuth = np.meshgrid(elevation, azimuth, indexing="ij")
  across = np.cos(elevation)
  return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)], axis=-1)


@functools.lru_cache(maxsize=1)
def _distances() -> np.ndarray:
  """Great-circle distances between the nodes of the coarse grid, radians."""
  vectors = _grid_vectors(_MAP_STEP_DEG).reshape(-1, 3)
  return np.arccos(np.clip(vectors @ vectors.T, -1.0, 1.0))


def _move(a: np.ndarray, b: np.ndarray) -> float:
  """Earth mover's distance of two distributions; surplus mass costs the largest distance."""
  distances = _distances()
  surplus = a.sum() - b.sum()
  # An additional node, at the largest distance from all others, absorbs the surplus.
  far = np.full(len(a) + 1, distances.max())
  far[-1] = 0.0
  costs = np.vstack([np.column_stack([distances, far[:-1]]), far])
  masses = [np.append(a, max(0.0, -surplus)), np.append(b, max(0.0, surplus))]
  masses[1] *= masses[0].sum() / max(masses[1].sum(), 1e-300)
  if not masses[0].sum():
    return 0.0
  return float(ot.emd2(*masses, np.ascontiguousarray(costs)))
