"""Synthesises the sound field of a clip of the spherical world: first-order ambisonics."""

import numpy as np

from avssl_tf.data.synthetic import voices
from avssl_tf.data.synthetic.spherical_scene import SphericalScene

SAMPLE_RATE_HZ = voices.SAMPLE_RATE_HZ
NUM_SAMPLES = voices.NUM_SAMPLES
NUM_CHANNELS = 4

_MAX_ONSET_SEC = 0.1
_LEVEL_RANGE_DB = (-4.0, 4.0)  # of an object relative to the others
_RMS_RANGE_DB = (-28.0, -18.0)  # of an object, relative to full scale
# Pitch of the largest and of the smallest object of each shape.
_REGISTERS_HZ = ((150.0, 215.0), (300.0, 430.0), (600.0, 860.0), (1200.0, 1700.0))
# Decrease of the partials per octave, as for a string.
_REGISTER_TILT_DB = 6.0
_PEAK = 0.98
_CUE_HUM_RANGE_HZ = (90.0, 270.0)
_CUE_HUM_PARTIALS_DB = (7.0, 3.0)


def synthesize(
  scene: SphericalScene,
  diffuse_db: tuple[float, float],
  registers: bool,
  rng: np.random.Generator,
) -> np.ndarray:
  """Synthesises the audio of `scene`, with each object at its visible direction.

  Args:
    scene: properties shared with the video.
    diffuse_db: bounds of the level of the diffuse noise in W, relative to a steady object.
    registers: whether each shape has a separate pitch range, with partials that fall with
      frequency; if not, all have the same pitch range and bright timbres.
    rng: source of all other randomness (loudness, partials, onsets, noise).

  Returns:
    float32 `[12000, 4]` in -1..1, ACN/SN3D (W Y Z X), multiples of 1 / 32768.
  """
  time_sec = np.arange(NUM_SAMPLES) / SAMPLE_RATE_HZ
  field = np.zeros((NUM_SAMPLES, NUM_CHANNELS))
  for one in scene.objects:
    if not one.is_sounding:
      continue
    semitones, envelope = voices.modulation(one.scene, time_sec)
    voice = (_REGISTERS_HZ[one.scene.shape], _REGISTER_TILT_DB) if registers else ()
    tone = envelope * voices.partials(one.scene, semitones, rng, *voice)
    tone *= voices.fade_in(time_sec - rng.uniform(0.0, _MAX_ONSET_SEC))
    tone *= voices.random_gain(_LEVEL_RANGE_DB, rng)
    field[:, 0] += tone
    field[:, [3, 1, 2]] += tone[:, np.newaxis] * one.directions(time_sec)
  field += voices.random_gain(diffuse_db, rng) * _diffuse_noise(rng)
  if scene.cues.strength:
    field[:, 0] += scene.cues.strength**2 * _hum(scene.cues.background, time_sec, rng)
  field *= voices.random_gain(_RMS_RANGE_DB, rng)
  peak = np.abs(field).max()
  if peak > _PEAK:
    field *= _PEAK / peak
  return voices.to_16_bits(field)


def _diffuse_noise(rng: np.random.Generator) -> np.ndarray:
  """Diffuse noise, `[12000, 4]`: the other channels each have a third of the power of W."""
  noise = np.stack([voices.tilted_noise(rng) for _ in range(NUM_CHANNELS)], axis=-1)
  return noise * np.array([1.0, *[3**-0.5] * 3])


def _hum(cue: float, time_sec: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """A steady tone without direction whose pitch encodes the cue, `[12000]`."""
  hum_hz = voices.log_between(_CUE_HUM_RANGE_HZ, cue)
  hum = np.zeros_like(time_sec)
  for number, level_db in enumerate(_CUE_HUM_PARTIALS_DB, start=1):
    amplitude = np.sqrt(2.0) * 10.0 ** (level_db / 20)
    phase = rng.uniform(0.0, 2 * np.pi)
    hum += amplitude * np.sin(2 * np.pi * number * hum_hz * time_sec + phase)
  return hum
