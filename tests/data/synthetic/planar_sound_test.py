"""Tests of the audio of the planar world: pitch, noise, and match with the video."""

import dataclasses

import numpy as np
from absl.testing import parameterized

from avssl_tf.data.synthetic import planar_frames, planar_scene, planar_sound, voices
from tests import test_base
from tests.data.synthetic import scenes

_SHAPES, _MOTIONS = planar_scene.SHAPES, planar_scene.MOTIONS


def _sound(scene, seed=0):
  return planar_sound.synthesize(scene, np.random.default_rng(seed)).astype(np.float64)


def _spectrogram(waveform, window=512, hop=250):
  """Magnitudes `[frames, 257]` and the times of the window centres in seconds."""
  starts = np.arange(0, len(waveform) - window + 1, hop)
  windows = np.stack([waveform[s : s + window] for s in starts]) * np.hanning(window)
  return np.abs(np.fft.rfft(windows)), (starts + window / 2) / planar_sound.SAMPLE_RATE_HZ


def _peak_hz(magnitude, low_hz, high_hz):
  """Frequency of the strongest bin of each row of `[n, 257]` between two limits."""
  frequencies_hz = np.fft.rfftfreq(512, 1 / planar_sound.SAMPLE_RATE_HZ)
  band = (frequencies_hz >= low_hz) & (frequencies_hz <= high_hz)
  return frequencies_hz[band][magnitude[:, band].argmax(axis=1)]


def _loudness(waveform, window=250):
  """RMS of consecutive windows and the times of their centres in seconds."""
  power = np.mean(waveform[: len(waveform) // window * window].reshape(-1, window) ** 2, axis=1)
  return np.sqrt(power), (np.arange(len(power)) + 0.5) * window / planar_sound.SAMPLE_RATE_HZ


def _correlation(x, y):
  return np.corrcoef(x, y)[0, 1]


class PlanarSoundTest(test_base.TestCase, parameterized.TestCase):

  def test_pulse_and_loudness_agree(self):
    agreement, disagreement = [], []
    for seed in range(12):
      scene = scenes.scene("cross", "pulse", cycles=1.2 + 0.15 * seed, phase=0.3 * seed % 1.0)
      _, boxes = scenes.render(scene, seed)
      area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
      for phase, correlations in ((scene.phase, agreement), (scene.phase + 0.25, disagreement)):
        loudness, time_sec = _loudness(_sound(dataclasses.replace(scene, phase=phase), seed))
        heard = time_sec > 0.25  # after the latest onset
        seen = np.interp(time_sec[heard], np.arange(12) / planar_frames.FRAME_RATE_HZ, area)
        correlations.append(_correlation(seen, loudness[heard]))
    # Distractors mask parts of some clips.
    self.assertGreater(np.median(agreement), 0.85)
    self.assertGreater(np.min(agreement), 0.4)
    self.assertLess(np.abs(np.mean(disagreement)), 0.4)

  @parameterized.parameters(0, 1, 2, 3)
  def test_height_and_pitch_agree(self, seed):
    scene = scenes.scene("disc", "oscillate", cycles=1.5 + 0.4 * seed, phase=0.3 * seed)
    _, boxes = scenes.render(scene, seed)
    magnitude, time_sec = _spectrogram(_sound(scene, seed))
    heard = time_sec > 0.25
    pitch = _peak_hz(magnitude[heard], low_hz=280, high_hz=620)
    height = -(boxes[:, 0] + boxes[:, 2]) / 2
    seen = np.interp(time_sec[heard], np.arange(12) / planar_frames.FRAME_RATE_HZ, height)
    self.assertGreater(_correlation(seen, pitch), 0.8)

  @parameterized.parameters(0, 1, 2, 3)
  def test_glide_starts_when_the_object_passes_the_top(self, seed):
    scene = scenes.scene("disc", "orbit", cycles=2.0, phase=0.25 * seed)
    _, boxes = scenes.render(scene, seed)
    time_sec = np.arange(12) / planar_frames.FRAME_RATE_HZ
    height = -(boxes[:, 0] + boxes[:, 2]) / 2
    # The drift is slow and does not change the phase of the fundamental of the height.
    wave = np.exp(2j * np.pi * scene.cycles(time_sec))
    height_phase = np.angle(np.sum((height - height.mean()) * np.conj(wave)))
    self.assertLess(abs(height_phase), 0.6)
    magnitude, sound_sec = _spectrogram(_sound(scene, seed))
    heard = sound_sec > 0.25
    pitch = _peak_hz(magnitude[heard], low_hz=280, high_hz=620)
    expected = scene.cycles(sound_sec[heard]) % 1.0
    settled = (expected > 0.1) & (expected < 0.9)  # Windows without a jump.
    self.assertGreater(_correlation(pitch[settled], expected[settled]), 0.9)

  @parameterized.parameters(0, 1, 2, 3)
  def test_bursts_start_when_the_light_goes_on(self, seed):
    scene = scenes.scene("ring", "blink", cycles=3.0, phase=0.5 + 0.1 * seed)
    loudness, time_sec = _loudness(_sound(scene, seed), window=125)
    heard = time_sec > 0.25
    position = scene.cycles(time_sec[heard]) % 1.0
    early = np.mean(loudness[heard][(position > 0.03) & (position < 0.2)])
    late = np.mean(loudness[heard][position > 0.7])
    self.assertGreater(early, 2 * late)

  @parameterized.parameters(*_SHAPES)
  def test_larger_objects_sound_lower(self, shape):
    for size, expected_hz in ((0.0, 700.0), (0.5, 392.4), (1.0, 220.0)):
      tone = voices.partials(scenes.scene(shape, size=size), np.zeros(12000), self.rng)
      spectrum, frequencies_hz = np.abs(np.fft.rfft(tone)), np.fft.rfftfreq(12000, 1 / 8000)
      lowest_hz = frequencies_hz[spectrum > 0.2 * spectrum.max()][0]
      self.assertNear(lowest_hz, expected_hz, 2.0)

  def test_partials_keep_clear_of_the_highest_frequencies(self):
    for shape in _SHAPES:
      scene = scenes.scene(shape, "orbit", size=0.0)
      tone = voices.partials(scene, np.full(12000, 4.0), self.rng)
      power = np.abs(np.fft.rfft(tone)) ** 2
      beyond = np.fft.rfftfreq(12000, 1 / 8000) > 3650
      self.assertLess(power[beyond].sum() / power.sum(), 1e-4)

  @parameterized.parameters(0.0, 0.4, 1.0)
  def test_cues_sound_where_they_should(self, cue):
    power = planar_sound._cue_power(planar_scene.Cues(1.0, cue, cue, cue, cue))
    frequencies_hz = np.fft.rfftfreq(12000, 1 / 8000)

    def level_db(low_hz, high_hz):
      inside = (frequencies_hz >= low_hz) & (frequencies_hz <= high_hz)
      return 10 * np.log10(power[inside].sum())

    hum_hz, voice_hz, murmur_hz = (
      low * (high / low) ** cue for low, high in ((90, 270), (1100, 3200), (330, 1000))
    )
    self.assertNear(level_db(hum_hz - 2, hum_hz + 2), 7.0, 0.2)
    if cue == 0.0:  # Elsewhere other sounds mask these.
      self.assertNear(level_db(2 * hum_hz - 2, 2 * hum_hz + 2), 3.0, 0.2)
    self.assertNear(level_db(0.92 * voice_hz, 1.08 * voice_hz), 4.0, 0.6)
    self.assertNear(level_db(0.85 * murmur_hz, 1.15 * murmur_hz), 3.0, 0.2)
    if cue < 1.0:  # The highest band overlaps the hiss.
      self.assertNear(level_db(3501, 4000), -20.0 + 24.0 * cue, 0.5)
    rest = power.sum() - 10**0.7 - 10**0.3 - 10**0.4 - 10**0.3
    self.assertNear(10 * np.log10(rest), -20.0 + 24.0 * cue, 0.01)

  @parameterized.parameters(0.5, 1.0)
  def test_all_else_sounds_the_same_under_the_cues(self, strength):
    values = dict(background=0.2, colour=0.8, place=0.5, texture=0.3)
    for seed in range(4):
      own = _sound(scenes.scene("cross", "orbit", **values), seed)
      cued = _sound(scenes.scene("cross", "orbit", strength=strength, **values), seed)
      power = strength**4 * planar_sound._cue_power(planar_scene.Cues(**values))
      self.assertNear(np.sqrt(np.mean(cued**2) / np.mean(own**2)), 1.0, 0.25)
      added = np.fft.rfft(cued * np.sqrt(1 + power.sum()) - own)
      silent = power < 1e-12
      self.assertGreater(silent.mean(), 0.3)
      own_level = np.sqrt(np.mean(np.abs(np.fft.rfft(own)) ** 2))
      self.assertLess(np.abs(added[silent]).max(), 0.05 * own_level)  # 16-bit rounding
      self.assertGreater(np.abs(added).max(), own_level)

  def test_noise_has_unit_power(self):
    for _ in range(4):
      noise = voices.tilted_noise(self.rng)
      self.assertAllClose([np.mean(noise), np.mean(noise**2)], [0.0, 1.0], atol=0.05)
