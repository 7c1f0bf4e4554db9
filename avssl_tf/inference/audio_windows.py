"""Windows of a sound that is repeated where they run over its end. Pure functions on arrays."""

from collections.abc import Sequence

import numpy as np

from avssl_tf.data.media import media_sound

# Context on both sides of what is resampled, so that the filter has no edge within the window.
_MARGIN_SEC = 0.05


def wrapped(waveform: np.ndarray, start: int, num_samples: int) -> np.ndarray:
  """The window from sample `start` (any whole number) of `[samples, channels]`, repeated."""
  return np.take(waveform, np.arange(start, start + num_samples), axis=0, mode="wrap")


def even(waveform: np.ndarray, num_samples: int, num_windows: int) -> np.ndarray:
  """Windows that start at evenly spaced samples, the first of them at the first.

  As the sound is repeated, its end is a place like any other: window i of n starts at i / n of
  the sound.

  Args:
    waveform: float32 `[samples, channels]`, one sample at least.
    num_samples: length of a window.
    num_windows: number of windows.

  Returns:
    float32 `[num_windows, num_samples, channels]`.
  """
  starts = [i * len(waveform) // num_windows for i in range(num_windows)]
  return np.stack([wrapped(waveform, start, num_samples) for start in starts])


def augmented(
  waveform: np.ndarray,
  num_samples: int,
  num_windows: int,
  sample_rate_hz: int,
  speed: Sequence[float],
  volume: Sequence[float],
  rng: np.random.Generator,
) -> np.ndarray:
  """Windows that start anywhere, each played at its own speed and volume.

  Speed changes pitch and duration alike, as on a tape: a window of speed s shows `num_samples *
  s` samples. All is drawn uniformly.

  Args:
    waveform: float32 `[samples, channels]` in -1..1, one sample at least.
    num_samples: length of a window.
    num_windows: number of windows.
    sample_rate_hz: rate of the sound.
    speed: lower and upper bound of the factor of the speed.
    volume: the same of the factor of the volume; what exceeds -1..1 is clipped.
    rng: source of the random numbers.

  Returns:
    float32 `[num_windows, num_samples, channels]` in -1..1.
  """
  windows = []
  for _ in range(num_windows):
    start = int(rng.integers(len(waveform)))
    window = _at_speed(waveform, start, num_samples, sample_rate_hz, rng.uniform(*speed))
    windows.append(np.clip(window * np.float32(rng.uniform(*volume)), -1, 1))
  return np.stack(windows)


def _at_speed(
  waveform: np.ndarray, start: int, num_samples: int, rate_hz: int, speed: float
) -> np.ndarray:
  """The window from sample `start`, at the speed that comes nearest in whole Hz."""
  played_hz = round(rate_hz * speed)
  if played_hz == rate_hz:
    return wrapped(waveform, start, num_samples)
  margin = round(_MARGIN_SEC * rate_hz)
  skip = round(margin * rate_hz / played_hz)
  length = 2 * margin + -(-num_samples * played_hz // rate_hz)
  source = np.ascontiguousarray(wrapped(waveform, start - margin, length).T)
  return media_sound.resample(source, played_hz, rate_hz)[:, skip : skip + num_samples].T
