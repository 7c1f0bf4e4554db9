"""Directions of the individual sources of true and generated sound fields.

Simultaneous sources differ in time and frequency: each time-frequency bin of the true field is
assigned to a source, and the bins of a source determine its direction in both fields.

Pure functions of NumPy arrays. Fields are first-order ambisonics, ACN/SN3D, `[samples, 4]`.
"""

import dataclasses

import numpy as np
import scipy.signal

from avssl_tf.evaluation.sound_fields.sound_field_metrics import angle_deg

_WINDOW_SEC = 0.032
# Bins whose direction deviates more from all sources are ignored, as noise or mixtures.
_MAX_ANGLE_DEG = 30.0
# Diffuse bins are ignored: those with an intensity below this fraction of that of a plane wave with
# the same pressure.
_MIN_DIRECTEDNESS = 0.5
# Directions are compared in segments of this duration, in which sources hardly move.
_PART_SEC = 0.1
# Relative to the loudest source; fainter sources count as inaudible.
_FAINT_DB = -20.0
_MOVES_DEG = 10.0


@dataclasses.dataclass(frozen=True)
class Sources:
  """The audible sources of a field, loudest first.

  Attributes:
    angles_deg: `[sources]`, angle between the true and the generated direction, averaged over time
      with the energy of the source as weight; 90° where nothing was generated.
    moving: bool `[sources]`, whether the direction changes by 10° or more.
  """

  angles_deg: np.ndarray
  moving: np.ndarray


def compare(
  target: np.ndarray, prediction: np.ndarray, tracks: np.ndarray, sample_rate_hz: float
) -> Sources:
  """Compares the directions of the sources in two fields.

  Args:
    target: float `[samples, 4]`, the true field.
    prediction: float `[samples, 4]`, the generated field.
    tracks: float `[steps, sources, 3]`, true directions (x, y, z) at the centres of equal time
      segments, 0 without a source.
    sample_rate_hz: sample rate of both fields.
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
  """Assigns time-frequency bins to sources.

  Args:
    target: float `[samples, 4]`.
    tracks: as in `compare`.
    sample_rate_hz: sample rate of the field.

  Returns:
    Membership of bins, bool `[sources, windows, bins]`, and their intensity vectors towards the
    origin of the sound, float64 `[windows, bins, 3]`, with the length of the energy for a plane
    wave.
  """
  bins = spectra(target, sample_rate_hz)
  intensity = _intensity(bins)
  length = np.linalg.norm(intensity, axis=-1)
  directed = (length >= _MIN_DIRECTEDNESS * np.abs(bins[0]) ** 2) & (length > 0)
  cosines = np.einsum(
    "tfd,tsd->tfs", intensity, _at_windows(tracks, target, intensity, sample_rate_hz)
  )
  cosines /= np.where(length > 0, length, 1.0)[..., np.newaxis]
  # A row of zeros is not a source; its cosines are 0, which exceeds the maximum angle.
  near = directed & (cosines.max(axis=-1) >= np.cos(np.radians(_MAX_ANGLE_DEG)))
  numbers = np.arange(tracks.shape[1])[:, np.newaxis, np.newaxis]
  return near & (cosines.argmax(axis=-1) == numbers), intensity


def place(target: np.ndarray, tracks: np.ndarray, sample_rate_hz: float) -> np.ndarray:
  """Encodes each time-frequency bin of W with the true direction of its source.

  Args:
    target: float `[samples, 4]`, the true field.
    tracks: as in `compare`.
    sample_rate_hz: sample rate of the field.

  Returns:
    float64 `[samples, 4]`; bins without a source contribute to W only.
  """
  members, intensity = assign(target, tracks, sample_rate_hz)
  vectors = _at_windows(tracks, target, intensity, sample_rate_hz)
  weights = np.einsum("stf,tsd->dtf", members, vectors)
  velocity = weights[[1, 2, 0]] * spectra(target[:, :1], sample_rate_hz)
  length = _window_length(target, sample_rate_hz)
  _, signals = scipy.signal.istft(velocity.transpose(0, 2, 1), nperseg=length)
  return np.concatenate([target[:, :1], signals[:, : len(target)].T], axis=1)


def spectra(field: np.ndarray, sample_rate_hz: float) -> np.ndarray:
  """STFT of `[samples, channels]`: complex `[channels, windows, bins]`; window k is at hop k."""
  length = _window_length(field, sample_rate_hz)
  _, _, found = scipy.signal.stft(field.T, nperseg=length)
  return found.transpose(0, 2, 1)


def _window_length(field: np.ndarray, sample_rate_hz: float) -> int:
  """Length of a window in samples, a power of two; windows overlap by half."""
  return 2 ** int(round(np.log2(min(_WINDOW_SEC * sample_rate_hz, len(field)))))


def _intensity(bins: np.ndarray) -> np.ndarray:
  """Intensity vector of each bin, towards the origin of the sound: float64 `[windows, bins, 3]`."""
  return np.stack([np.real(np.conj(bins[0]) * bins[c]) for c in (3, 1, 2)], axis=-1)


def _window_times_sec(
  field: np.ndarray, windows: np.ndarray, sample_rate_hz: float
) -> np.ndarray:
  """Times of the centres of windows in seconds, float64 `[windows]`."""
  return np.arange(len(windows)) * (_window_length(field, sample_rate_hz) // 2) / sample_rate_hz


def _at_windows(
  tracks: np.ndarray, field: np.ndarray, windows: np.ndarray, sample_rate_hz: float
) -> np.ndarray:
  """Directions of the sources in each window: `[windows, sources, 3]`."""
  times_sec = _window_times_sec(field, windows, sample_rate_hz)
  steps = times_sec * sample_rate_hz / len(field) * len(tracks)
  return tracks[np.clip(steps.astype(int), 0, len(tracks) - 1)]
