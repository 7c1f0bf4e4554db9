"""Synthesises the sound of a planar clip: a few partials, modulated like the motion.

Everything is computed in float64 and rounded to 16-bit steps at the end, so
that the last bits in which one machine's sine differs from another's vanish.
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
_PITCH_RANGE_HZ = (220.0, 700.0)  # of the largest and of the smallest object
_VIBRATO_SEMITONES = 3.0  # to either side
_GLIDE_SEMITONES = 8.0  # from the start of a cycle to its end
_TREMOLO_FLOOR = 0.03
_BURST_ATTACK_SEC = 0.004
_BURST_DECAY_CYCLES = 0.18  # time constant

_MAX_ONSET_SEC = 0.2
_FADE_SEC = 0.02
_RMS_RANGE_DB = (-30.0, -16.0)  # against full scale
_NOISE_RANGE_DB = (-24.0, -8.0)  # against the object
_NUM_DISTRACTORS = 2
_DISTRACTOR_RANGE_DB = (-16.0, -2.0)  # against the object
_MAX_PARTIAL_HZ = 3600.0
_INT16_STEPS = 32768.0

# What the cues sound like at full strength; levels against the object.
_CUE_HUM_RANGE_HZ = (90.0, 270.0)
_CUE_HUM_PARTIALS_DB = (7.0, 3.0)
_CUE_VOICE_RANGE_HZ = (1100.0, 3200.0)
_CUE_VOICE_DB = 4.0
_CUE_MURMUR_RANGE_HZ = (330.0, 1000.0)
_CUE_MURMUR_DB = 3.0
_CUE_BAND_STD = 0.04  # of a band of noise, as a share of its centre
_CUE_HISS_ABOVE_HZ = 3500.0
_CUE_HISS_RANGE_DB = (-20.0, 4.0)
# The phases of noise are drawn from 256 steps: a byte and a look-up each.
_UNIT_CIRCLE = np.exp(2j * np.pi * np.arange(256) / 256)


def synthesize(scene: planar_scene.Scene, rng: np.random.Generator) -> np.ndarray:
  """Synthesises the sound of `scene`.

  Args:
    scene: what is shared with the picture.
    rng: source of everything else (loudness, partials, onset, noise, distractors).

  Returns:
    float32 `[12000]` in -1..1, whole multiples of 1 / 32768.
  """
  time_sec = np.arange(NUM_SAMPLES) / SAMPLE_RATE_HZ
  semitones, envelope = _modulation(scene, time_sec)
  signal = envelope * _partials(scene, semitones, rng)
  signal *= _fade_in(time_sec - rng.uniform(0.0, _MAX_ONSET_SEC))
  signal += _gain(_NOISE_RANGE_DB, rng) * _tilted_noise(rng)
  for _ in range(_NUM_DISTRACTORS):
    signal += _gain(_DISTRACTOR_RANGE_DB, rng) * _distractor(time_sec, rng)
  gain = _gain(_RMS_RANGE_DB, rng)
  if scene.cues.strength:
    power = scene.cues.strength**4 * _cue_power(scene.cues)
    # As loud as without them, so that nothing is clipped.
    gain /= np.sqrt(1.0 + power.sum())
    signal += np.sqrt(power.sum()) * _shaped_noise(np.sqrt(power), rng)
  signal *= gain
  steps = np.clip(np.rint(signal * _INT16_STEPS), -_INT16_STEPS, _INT16_STEPS - 1)
  return (steps / _INT16_STEPS).astype(np.float32)


def _modulation(
  scene: planar_scene.Scene, time_sec: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Pitch in semitones against the middle and amplitude in 0..1, both `[12000]`."""
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


def _partials(
  scene: planar_scene.Scene, semitones: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """The steady tone of the object's shape and size along a pitch curve, `[12000]`, RMS about 1."""
  ratios, amplitudes = _TIMBRES[planar_scene.SHAPES[scene.shape]]
  low, high = _PITCH_RANGE_HZ
  frequency_hz = high * (low / high) ** scene.size * 2.0 ** (semitones / 12)
  phase = 2 * np.pi / SAMPLE_RATE_HZ * np.cumsum(frequency_hz)
  spread_db = rng.uniform(-_PARTIAL_SPREAD_DB, _PARTIAL_SPREAD_DB, len(ratios))
  amplitudes = np.array(amplitudes) * 10.0 ** (spread_db / 20)
  amplitudes *= np.sqrt(2 / np.sum(amplitudes**2))
  tone = np.zeros_like(phase)
  for ratio, amplitude in zip(ratios, amplitudes):
    audible = np.clip((_MAX_PARTIAL_HZ - ratio * frequency_hz) / 200.0, 0.0, 1.0)
    tone += amplitude * audible * np.sin(ratio * phase + rng.uniform(0.0, 2 * np.pi))
  return tone


def _fade_in(since_onset_sec: np.ndarray) -> np.ndarray:
  """0 before the onset, 1 from `_FADE_SEC` after it."""
  return np.clip(since_onset_sec / _FADE_SEC, 0.0, 1.0)


def _gain(range_db: tuple[float, float], rng: np.random.Generator) -> float:
  return 10.0 ** (rng.uniform(*range_db) / 20)


def _shaped_noise(magnitudes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Noise with the given magnitude spectrum `[6001]` and random phases, `[12000]`, RMS 1."""
  phases = np.frombuffer(rng.bytes(magnitudes.size), np.uint8)
  noise = np.fft.irfft(magnitudes * _UNIT_CIRCLE[phases], NUM_SAMPLES)
  return noise / np.sqrt(np.mean(noise * noise))


def _frequencies_hz() -> np.ndarray:
  return np.fft.rfftfreq(NUM_SAMPLES, 1 / SAMPLE_RATE_HZ)


def _cue_power(cues: planar_scene.Cues) -> np.ndarray:
  """Power spectrum of the cues' sound at full strength, `[6001]`; the object's power is 1."""
  frequencies_hz = _frequencies_hz()
  power = np.zeros_like(frequencies_hz)
  hum_hz = _log_between(_CUE_HUM_RANGE_HZ, cues.background)
  for number, level_db in enumerate(_CUE_HUM_PARTIALS_DB, start=1):
    # A single line of the spectrum is a steady tone.
    line = round(number * hum_hz * NUM_SAMPLES / SAMPLE_RATE_HZ)
    power[line] += 10.0 ** (level_db / 10)
  for range_hz, cue, level_db in (
    (_CUE_VOICE_RANGE_HZ, cues.colour, _CUE_VOICE_DB),
    (_CUE_MURMUR_RANGE_HZ, cues.texture, _CUE_MURMUR_DB),
  ):
    centre_hz = _log_between(range_hz, cue)
    band = np.exp(-0.5 * ((frequencies_hz - centre_hz) / (_CUE_BAND_STD * centre_hz)) ** 2)
    power += 10.0 ** (level_db / 10) * band / band.sum()
  hiss = frequencies_hz > _CUE_HISS_ABOVE_HZ
  hiss_db = np.interp(cues.place, (0.0, 1.0), _CUE_HISS_RANGE_DB)
  power += 10.0 ** (hiss_db / 10) * hiss / hiss.sum()
  return power


def _log_between(limits: tuple[float, float], share: float) -> float:
  """From the first limit at 0 to the second at 1, in equal ratios for equal steps."""
  low, high = limits
  return low * (high / low) ** share


def _tilted_noise(rng: np.random.Generator) -> np.ndarray:
  """Steady noise falling by 0 to 6 dB an octave above 100 Hz, `[12000]`, RMS 1."""
  return _shaped_noise(np.maximum(_frequencies_hz(), 100.0) ** -rng.uniform(0.0, 1.0), rng)


def _distractor(time_sec: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A tone-like or wide band of noise for a part of the clip, `[12000]`, RMS 1 while it lasts."""
  centre_hz = 200.0 * (3500.0 / 200.0) ** rng.random()
  width_hz = 20.0 * (500.0 / 20.0) ** rng.random()
  band = np.exp(-0.5 * ((_frequencies_hz() - centre_hz) / (0.5 * width_hz)) ** 2)
  start_sec = rng.uniform(-0.5, 1.0)
  length_sec = rng.uniform(0.3, 1.0)
  sounding = _fade_in(time_sec - start_sec) * _fade_in(start_sec + length_sec - time_sec)
  return sounding * _shaped_noise(band, rng)
