"""Where the single sources of a sound field are, in truth and in a field that was generated.

Sources that sound at once still differ in time and frequency: each bin of the spectra of the true
field goes to the source that it comes from, and the bins of a source tell its direction in either
field.

Pure functions of NumPy arrays. Fields are ambisonics, ACN/SN3D, first order: `[samples, 4]`.
"""

import dataclasses

import numpy as np
import scipy.signal

from avssl_tf.evaluation.sound_fields.sound_field_metrics import angle_deg

_WINDOW_SEC = 0.032
# Directions of bins that are farther from all sources are those of noise and of mixtures.
_MAX_ANGLE_DEG = 30.0
# So do those whose sound comes from nowhere in particular: below this share of what a plane wave
# of their pressure would carry.
_MIN_DIRECTEDNESS = 0.5
# Sources are compared in parts of this duration, in which they hardly move.
_PART_SEC = 0.1
# Against the loudest one: what is fainter is not heard, and cannot be found.
_FAINT_DB = -20.0
_MOVES_DEG = 10.0


@dataclasses.dataclass(frozen=True)
class Sources:
  """The sources that are heard in a field, the loudest first.

  Attributes:
    angles_deg: `[sources]`, angle between the true and the generated direction, mean over time
      weighted with the energy of the source; 90° where nothing was generated.
    moving: bool `[sources]`, whether its direction changes by 10° or more.
  """

  angles_deg: np.ndarray
  moving: np.ndarray


def compare(
  target: np.ndarray, prediction: np.ndarray, tracks: np.ndarray, sample_rate_hz: float
) -> Sources:
  """Compares where sources are heard.

  Args:
    target: float `[samples, 4]`, the true field.
    prediction: likewise, the generated one.
    tracks: float `[steps, sources, 3]`, true directions (x, y, z) at the middles of equal parts of
      the time, 0 where there is no source.
    sample_rate_hz: of both fields.
  """
  members, truth = assign(target, tracks, sample_rate_hz)
  generated = _intensity(spectra(prediction, sample_rate_hz))
  energies = np.abs(spectra(target[:, :1], sample_rate_hz)[0]) ** 2
  parts = np.floor(_window_times_sec(target, truth, sample_rate_hz) / _PART_SEC).astype(int)
  angles_deg, totals = np.full(len(members), 90.0), np.zeros(len(members))
  for source, member in enumerate(members):
    found = []
    for part in np.unique(parts):
      inside = (parts == part)[:, np.newaxis] & member
      angle = angle_deg(truth[inside].sum(axis=0), generated[inside].sum(axis=0))
      found.append((angle, energies[inside].sum()))
    angles, weights = np.transpose(found)
    totals[source] = weights.sum()
    if totals[source] > 0:
      angles_deg[source] = np.average(angles, weights=weights)
  cosines = np.einsum("asd,bsd->sab", tracks, tracks).min(axis=(1, 2))
  moving = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))) >= _MOVES_DEG
  heard = totals > totals.max(initial=0.0) * 10.0 ** (_FAINT_DB / 10)
  order = [source for source in np.argsort(-totals, kind="stable") if heard[source]]
  return Sources(angles_deg[order], moving[order])


def assign(
  target: np.ndarray, tracks: np.ndarray, sample_rate_hz: float
) -> tuple[np.ndarray, np.ndarray]:
  """Which bins of the spectra come from which source.

  Args:
    target: float `[samples, 4]`.
    tracks: as of `compare`.
    sample_rate_hz: of the field.

  Returns:
    bool `[sources, windows, bins]`, and where the sound of each bin comes from, float64
    `[windows, bins, 3]`, of the length of its energy where it is a plane wave.
  """
  bins = spectra(target, sample_rate_hz)
  intensity = _intensity(bins)
  length = np.linalg.norm(intensity, axis=-1)
  directed = (length >= _MIN_DIRECTEDNESS * np.abs(bins[0]) ** 2) & (length > 0)
  cosines = np.einsum(
    "tfd,tsd->tfs", intensity, _at_windows(tracks, target, intensity, sample_rate_hz)
  )
  cosines /= np.where(length > 0, length, 1.0)[..., np.newaxis]
  # A row of zeros is no source; its cosines are 0, which is too far.
  near = directed & (cosines.max(axis=-1) >= np.cos(np.radians(_MAX_ANGLE_DEG)))
  numbers = np.arange(tracks.shape[1])[:, np.newaxis, np.newaxis]
  return near & (cosines.argmax(axis=-1) == numbers), intensity


def place(target: np.ndarray, tracks: np.ndarray, sample_rate_hz: float) -> np.ndarray:
  """The field with each bin of W put where the source that it comes from is in truth.

  Args:
    target: float `[samples, 4]`, the true field.
    tracks: as of `compare`.
    sample_rate_hz: of the field.

  Returns:
    float64 `[samples, 4]`; what comes from no source has no direction.
  """
  members, intensity = assign(target, tracks, sample_rate_hz)
  vectors = _at_windows(tracks, target, intensity, sample_rate_hz)
  weights = np.einsum("stf,tsd->dtf", members, vectors)
  velocity = weights[[1, 2, 0]] * spectra(target[:, :1], sample_rate_hz)
  length = _window_length(target, sample_rate_hz)
  _, signals = scipy.signal.istft(velocity.transpose(0, 2, 1), nperseg=length)
  return np.concatenate([target[:, :1], signals[:, : len(target)].T], axis=1)


def spectra(field: np.ndarray, sample_rate_hz: float) -> np.ndarray:
  """complex `[channels, windows, bins]` of `[samples, channels]`; window k is around k hops."""
  length = _window_length(field, sample_rate_hz)
  _, _, found = scipy.signal.stft(field.T, nperseg=length)
  return found.transpose(0, 2, 1)


def _window_length(field: np.ndarray, sample_rate_hz: float) -> int:
  """Samples of a window, a power of two; they overlap by half."""
  return 2 ** int(round(np.log2(min(_WINDOW_SEC * sample_rate_hz, len(field)))))


def _intensity(bins: np.ndarray) -> np.ndarray:
  """Where the sound of each bin comes from, and how much: float64 `[windows, bins, 3]`."""
  return np.stack([np.real(np.conj(bins[0]) * bins[c]) for c in (3, 1, 2)], axis=-1)


def _window_times_sec(
  field: np.ndarray, windows: np.ndarray, sample_rate_hz: float
) -> np.ndarray:
  """Times of the middles of windows, float64 `[windows]`."""
  return np.arange(len(windows)) * (_window_length(field, sample_rate_hz) // 2) / sample_rate_hz


def _at_windows(
  tracks: np.ndarray, field: np.ndarray, windows: np.ndarray, sample_rate_hz: float
) -> np.ndarray:
  """Directions of the sources in each window: `[windows, sources, 3]`."""
  times_sec = _window_times_sec(field, windows, sample_rate_hz)
  steps = times_sec * sample_rate_hz / len(field) * len(tracks)
  return tracks[np.clip(steps.astype(int), 0, len(tracks) - 1)]
