"""Audio of sounding objects: tones modulated like their motion, and noise.

Everything is computed in float64 and rounded to 16-bit steps at the end, which removes differences
between machines in the last bits of sines.
"""

import numpy as np

from avssl_tf.data.synthetic import planar_scene

SAMPLE_RATE_HZ = 8000
NUM_SAMPLES = 12000  # planar_scene.CLIP_DURATION_SEC

# Frequency ratios and typical amplitudes of the partials, by shape.
_TIMBRES = {
  "disc": ((1.0, 2.0), (1.0, 0.04)),
  "triangle": ((1.0, 3.0, 5.0, 7.0), (1.0, 0.8, 0.65, 0.5)),
  "cross": ((1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)),
  "ring": ((1.0, 1.42, 2.37, 3.61, 5.27), (1.0, 0.9, 0.8, 0.7, 0.6)),
}
_PARTIAL_SPREAD_DB = 6.0  # to either side of the typical amplitude
PITCH_RANGE_HZ = (220.0, 700.0)  # of the largest and the smallest object
_VIBRATO_SEMITONES = 3.0  # to either side
_GLIDE_SEMITONES = 8.0  # from the start of a cycle to its end
_TREMOLO_FLOOR = 0.03
_BURST_ATTACK_SEC = 0.004
_BURST_DECAY_CYCLES = 0.18  # time constant
_FADE_SEC = 0.02
_MAX_PARTIAL_HZ = 3600.0
_INT16_STEPS = 32768.0
# The phases of noise have 256 steps: one byte and one table lookup each.
_UNIT_CIRCLE = np.exp(2j * np.pi * np.arange(256) / 256)


def modulation(
  scene: planar_scene.Scene, time_sec: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Pitch in semitones relative to the centre, and amplitude in 0..1, both `[12000]`."""
  motion = planar_scene.MOTIONS[scene.motion]
  cycles = scene.cycles(time_sec)
  flat, full = np.zeros_like(cycles), np.ones_like(cycles)
  if motion == "oscillate":
    return _VIBRATO_SEMITONES * np.sin(2 * np.pi * cycles), full
  if motion == "orbit":
    return _GLIDE_SEMITONES * (cycles % 1.0 - 0.5), full
  if motion == "pulse":
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * cycles)
    return flat, _TREMOLO_FLOOR + (1 - _TREMOLO_FLOOR) * swell**1.5
  position = cycles % 1.0
  attack = np.minimum(position / (scene.rate_hz * _BURST_ATTACK_SEC), 1.0)
  return flat, attack * np.exp(-position / _BURST_DECAY_CYCLES)


def partials(
  scene: planar_scene.Scene,
  semitones: np.ndarray,
  rng: np.random.Generator,
  pitch_range_hz: tuple[float, float] = PITCH_RANGE_HZ,
  tilt_db: float = 0.0,
) -> np.ndarray:
  """Tone for the object's shape and size along a pitch curve, `[12000]`, RMS about 1.

  Args:
    scene: the object.
    semitones: `[12000]`, pitch curve relative to its centre.
    rng: source of levels and phases.
    pitch_range_hz: pitch of the largest and of the smallest object.
    tilt_db: attenuation of the partials per octave above the pitch, in addition to that of the
      shape.
  """
  ratios, amplitudes = _TIMBRES[planar_scene.SHAPES[scene.shape]]
  low, high = pitch_range_hz
  frequency_hz = high * (low / high) ** scene.size * 2.0 ** (semitones / 12)
  phase = 2 * np.pi / SAMPLE_RATE_HZ * np.cumsum(frequency_hz)
  spread_db = rng.uniform(-_PARTIAL_SPREAD_DB, _PARTIAL_SPREAD_DB, len(ratios))
  amplitudes = np.array(amplitudes) * 10.0 ** ((spread_db - tilt_db * np.log2(ratios)) / 20)
  amplitudes *= np.sqrt(2 / np.sum(amplitudes**2))
  tone = np.zeros_like(phase)
  for ratio, amplitude in zip(ratios, amplitudes):
    audible = np.clip((_MAX_PARTIAL_HZ - ratio * frequency_hz) / 200.0, 0.0, 1.0)
    tone += amplitude * audible * np.sin(ratio * phase + rng.uniform(0.0, 2 * np.pi))
  return tone


def fade_in(since_onset_sec: np.ndarray) -> np.ndarray:
  """0 before the onset, 1 from `_FADE_SEC` after it."""
  return np.clip(since_onset_sec / _FADE_SEC, 0.0, 1.0)


def random_gain(range_db: tuple[float, float], rng: np.random.Generator) -> float:
  """A random amplitude whose level in dB is uniform in a range."""
  return 10.0 ** (rng.uniform(*range_db) / 20)


def shaped_noise(magnitudes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Noise with the given magnitude spectrum `[6001]` and random phases, `[12000]`, RMS 1."""
  phases = np.frombuffer(rng.bytes(magnitudes.size), np.uint8)
  noise = np.fft.irfft(magnitudes * _UNIT_CIRCLE[phases], NUM_SAMPLES)
  return noise / np.sqrt(np.mean(noise * noise))


def spectrum_hz() -> np.ndarray:
  """Frequencies of the spectra of clips, float64 `[6001]`."""
  return np.fft.rfftfreq(NUM_SAMPLES, 1 / SAMPLE_RATE_HZ)


def log_between(limits: tuple[float, float], share: float) -> float:
  """Interpolates between two limits on a logarithmic scale; `share` is in 0..1."""
  low, high = limits
  return low * (high / low) ** share


def tilted_noise(rng: np.random.Generator) -> np.ndarray:
  """Steady noise that falls by 0 to 6 dB per octave above 100 Hz, `[12000]`, RMS 1."""
  return shaped_noise(np.maximum(spectrum_hz(), 100.0) ** -rng.uniform(0.0, 1.0), rng)


def to_16_bits(signal: np.ndarray) -> np.ndarray:
  """Rounds to multiples of 1 / 32768 in -1..1; float32, same shape."""
  steps = np.clip(np.rint(signal * _INT16_STEPS), -_INT16_STEPS, _INT16_STEPS - 1)
  return (steps / _INT16_STEPS).astype(np.float32)
