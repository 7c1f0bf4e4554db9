"""Synthesises the audio of a planar clip: the tone of the object, noise and distractors."""

import numpy as np

from avssl_tf.data.synthetic import planar_scene, voices

SAMPLE_RATE_HZ = voices.SAMPLE_RATE_HZ
NUM_SAMPLES = voices.NUM_SAMPLES

_MAX_ONSET_SEC = 0.2
_RMS_RANGE_DB = (-30.0, -16.0)  # relative to full scale
_NOISE_RANGE_DB = (-24.0, -8.0)  # relative to the object
_NUM_DISTRACTORS = 2
_DISTRACTOR_RANGE_DB = (-16.0, -2.0)  # relative to the object

# Audible cues at full strength; levels relative to the object.
_CUE_HUM_RANGE_HZ = (90.0, 270.0)
_CUE_HUM_PARTIALS_DB = (7.0, 3.0)
_CUE_VOICE_RANGE_HZ = (1100.0, 3200.0)
_CUE_VOICE_DB = 4.0
_CUE_MURMUR_RANGE_HZ = (330.0, 1000.0)
_CUE_MURMUR_DB = 3.0
_CUE_BAND_STD = 0.04  # of a band of noise, as a share of its centre frequency
_CUE_HISS_ABOVE_HZ = 3500.0
_CUE_HISS_RANGE_DB = (-20.0, 4.0)


def synthesize(scene: planar_scene.Scene, rng: np.random.Generator) -> np.ndarray:
  """Synthesises the audio of `scene`.

  Args:
    scene: properties shared with the video.
    rng: source of all other randomness (loudness, partials, onset, noise, distractors).

  Returns:
    float32 `[12000]` in -1..1, multiples of 1 / 32768.
  """
  time_sec = np.arange(NUM_SAMPLES) / SAMPLE_RATE_HZ
  semitones, envelope = voices.modulation(scene, time_sec)
  signal = envelope * voices.partials(scene, semitones, rng)
  signal *= voices.fade_in(time_sec - rng.uniform(0.0, _MAX_ONSET_SEC))
  signal += voices.random_gain(_NOISE_RANGE_DB, rng) * voices.tilted_noise(rng)
  for _ in range(_NUM_DISTRACTORS):
    signal += voices.random_gain(_DISTRACTOR_RANGE_DB, rng) * _distractor(time_sec, rng)
  gain = voices.random_gain(_RMS_RANGE_DB, rng)
  if scene.cues.strength:
    power = scene.cues.strength**4 * _cue_power(scene.cues)
    # Same loudness as without cues, so that nothing is clipped.
    gain /= np.sqrt(1.0 + power.sum())
    signal += np.sqrt(power.sum()) * voices.shaped_noise(np.sqrt(power), rng)
  signal *= gain
  return voices.to_16_bits(signal)


def _cue_power(cues: planar_scene.Cues) -> np.ndarray:
  """Power spectrum of the audible cues at full strength, `[6001]`; the object's power is 1."""
  frequencies_hz = voices.spectrum_hz()
  power = np.zeros_like(frequencies_hz)
  hum_hz = voices.log_between(_CUE_HUM_RANGE_HZ, cues.background)
  for number, level_db in enumerate(_CUE_HUM_PARTIALS_DB, start=1):
    # A single line of the spectrum is a steady tone.
    line = round(number * hum_hz * NUM_SAMPLES / SAMPLE_RATE_HZ)
    power[line] += 10.0 ** (level_db / 10)
  for range_hz, cue, level_db in (
    (_CUE_VOICE_RANGE_HZ, cues.colour, _CUE_VOICE_DB),
    (_CUE_MURMUR_RANGE_HZ, cues.texture, _CUE_MURMUR_DB),
  ):
    centre_hz = voices.log_between(range_hz, cue)
    band = np.exp(-0.5 * ((frequencies_hz - centre_hz) / (_CUE_BAND_STD * centre_hz)) ** 2)
    power += 10.0 ** (level_db / 10) * band / band.sum()
  hiss = frequencies_hz > _CUE_HISS_ABOVE_HZ
  hiss_db = np.interp(cues.place, (0.0, 1.0), _CUE_HISS_RANGE_DB)
  power += 10.0 ** (hiss_db / 10) * hiss / hiss.sum()
  return power


def _distractor(time_sec: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A narrow or wide band of noise during part of the clip, `[12000]`, RMS 1 while active."""
  centre_hz = 200.0 * (3500.0 / 200.0) ** rng.random()
  width_hz = 20.0 * (500.0 / 20.0) ** rng.random()
  band = np.exp(-0.5 * ((voices.spectrum_hz() - centre_hz) / (0.5 * width_hz)) ** 2)
  start_sec = rng.uniform(-0.5, 1.0)
  length_sec = rng.uniform(0.3, 1.0)
  begun = voices.fade_in(time_sec - start_sec)
  not_ended = voices.fade_in(start_sec + length_sec - time_sec)
  return begun * not_ended * voices.shaped_noise(band, rng)
