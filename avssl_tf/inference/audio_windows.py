"""Windows of a waveform that is repeated periodically. Pure functions on arrays."""

from collections.abc import Sequence

import numpy as np

from avssl_tf.data.media import media_sound

# Context on both sides of a resampled window, to keep edge effects of the filter out of it.
_MARGIN_SEC = 0.05


def wrapped(waveform: np.ndarray, start: int, num_samples: int) -> np.ndarray:
  """A window of a periodic waveform `[samples, channels]` from sample `start`, any integer."""
  return np.take(waveform, np.arange(start, start + num_samples), axis=0, mode="wrap")


def even(waveform: np.ndarray, num_samples: int, num_windows: int) -> np.ndarray:
  """Windows with evenly spaced starts.

  The waveform is periodic: window i of n starts at i / n of its length and may wrap around its end.

  Args:
    waveform: float32 `[samples, channels]`, at least one sample.
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
  """Windows with random starts, speeds and volumes.

  Speed changes both pitch and duration, as on a tape: a window of speed s covers `num_samples * s`
  samples. Starts, speeds and volumes are drawn uniformly.

  Args:
    waveform: float32 `[samples, channels]` in -1..1, at least one sample.
    num_samples: length of a window.
    num_windows: number of windows.
    sample_rate_hz: sample rate.
    speed: lower and upper bound of the speed factor.
    volume: lower and upper bound of the volume factor; values outside -1..1 are clipped.
    rng: random number generator.

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
  """The window from sample `start`, with the speed rounded to a sample rate in whole Hz."""
  played_hz = round(rate_hz * speed)
  if played_hz == rate_hz:
    return wrapped(waveform, start, num_samples)
  margin = round(_MARGIN_SEC * rate_hz)
  skip = round(margin * rate_hz / played_hz)
  length = 2 * margin + -(-num_samples * played_hz // rate_hz)
  source = np.ascontiguousarray(wrapped(waveform, start - margin, length).T)
  return media_sound.resample(source, played_hz, rate_hz)[:, skip : skip + num_samples].T
