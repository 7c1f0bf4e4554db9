"""Spectrograms: golden numbers, a slow oracle, and what depends on what."""

import dataclasses
import os

import numpy as np
import scipy.signal
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf import spectrograms
from tests import test_base

_TESTDATA = os.path.join(os.path.dirname(__file__), "testdata")


def _slow_log_power(waveform, spectrogram):
  """Frame by frame, bin by bin: float `[samples]` -> `[frames, bins]`."""
  length, hop = spectrogram.fft_length, spectrogram.hop_length
  padded = np.pad(waveform.astype(np.float64), length // 2)
  window = scipy.signal.get_window("hann", length)
  group = length // 2 // (spectrogram.num_bins - 1)
  result = np.zeros((len(waveform) // hop, spectrogram.num_bins))
  for t in range(result.shape[0]):
    power = np.abs(np.fft.fft(padded[t * hop : t * hop + length] * window)) ** spectrogram.power
    result[t, 0] = power[0]
    for i in range(1, spectrogram.num_bins):
      result[t, i] = power[1 + (i - 1) * group : 1 + i * group].mean()
  level = 10 * np.log10(np.maximum(result, 1e-10))
  return np.maximum(level, level.max() - spectrogram.top_db)


class SpectrogramTest(test_base.TestCase, parameterized.TestCase):

  def test_golden_log_power(self):
    golden = np.load(os.path.join(_TESTDATA, "log_spectrogram.npz"))
    found = spectrograms.Spectrogram()(golden["waveform"][np.newaxis, :, np.newaxis])
    self.assert_shape(found, (1, 200, 257, 1), tf.float32)
    self.assertAllClose(found[0, :, :, 0], golden["log_spectrogram"], rtol=0, atol=1e-2)

  def test_golden_log_mel(self):
    golden = np.load(os.path.join(_TESTDATA, "log_mel.npz"))
    spectrogram = spectrograms.Spectrogram("log_mel", fft_length=512, num_bins=128, power=1.0)
    found = spectrogram(golden["waveform"][np.newaxis, :, np.newaxis])
    self.assert_shape(found, (1, 100, 128, 1), tf.float32)
    self.assertAllClose(found[0, :, :, 0], golden["log_mel"], rtol=0, atol=1e-2)

  @parameterized.parameters(
    dict(sample_rate_hz=8000, fft_length=256, hop_length=80, num_bins=129),
    dict(sample_rate_hz=8000, fft_length=256, hop_length=80, num_bins=65, power=1.5),
    dict(sample_rate_hz=16000, fft_length=128, hop_length=200, num_bins=9, top_db=30.0),
    dict(sample_rate_hz=8000, fft_length=64, hop_length=32, num_bins=2),
  )
  def test_log_power_equals_slow_oracle(self, **fields):
    spectrogram = spectrograms.Spectrogram(**fields)
    waveform = self.rng.normal(0, 0.1, (2, 1630, 3)).astype(np.float32)
    waveform[:, 800:1200] *= 1e-3
    found = spectrogram(waveform).numpy()
    self.assertEqual(found.shape[1], spectrogram.num_frames(1630))
    for clip, levels in zip(waveform, found):
      channels = [
        _slow_log_power(clip[:, c], dataclasses.replace(spectrogram, top_db=1e3)) for c in range(3)
      ]
      expected = np.stack(channels, axis=-1)
      expected = np.maximum(expected, expected.max() - spectrogram.top_db)
      self.assertAllClose(levels, expected, rtol=0, atol=5e-3)

  def test_mel_matrix_peaks_climb(self):
    spectrogram = spectrograms.Spectrogram(
      "log_mel", sample_rate_hz=8000, fft_length=512, hop_length=80, num_bins=40
    )
    matrix = spectrogram.mel_matrix()
    self.assert_shape(matrix, (257, 40), tf.float32)
    self.assertTrue(np.all(np.diff(matrix.argmax(axis=0)) > 0))
    # A pure tone is loudest in the band that holds its frequency.
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)[np.newaxis, :, np.newaxis]
    loudest = spectrogram(tone)[0, 50, :, 0].numpy().argmax()
    self.assertEqual(loudest, matrix[1000 * 512 // 8000].argmax())

  def test_clips_do_not_depend_on_each_other(self):
    spectrogram = spectrograms.Spectrogram(top_db=40.0)
    waveform = self.rng.normal(0, 0.1, (2, 4800, 1)).astype(np.float32)
    waveform[1] *= 1e-3
    together, alone = spectrogram(waveform), spectrogram(waveform[1:])
    self.assertAllClose(together[1:], alone, atol=1e-4)

  def test_volume_shifts_levels(self):
    spectrogram = spectrograms.Spectrogram()
    waveform = self.rng.normal(0, 0.1, (1, 4800, 2)).astype(np.float32)
    shift = spectrogram(0.5 * waveform) - spectrogram(waveform)
    self.assertAllClose(shift, np.full(shift.shape, 20 * np.log10(0.5)), atol=1e-3)

  @parameterized.parameters("log_power", "log_mel")
  def test_intensity_points_at_a_single_source(self, kind):
    spectrogram = spectrograms.Spectrogram(
      kind, sample_rate_hz=8000, fft_length=256, hop_length=64, num_bins=33
    )
    source = self.rng.normal(size=[2, 2000, 1])
    vectors = self.rng.normal(size=[2, 1, 3])
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)  # y, z, x
    waveform = source * np.concatenate([np.ones([2, 1, 1]), vectors], axis=-1)
    found = spectrogram.with_intensity(waveform)[..., 4:]
    self.assert_shape(found, [2, 31, 33, 3], tf.float32)
    if kind == "log_mel":  # The lowest bands are narrower than a frequency, and empty.
      found = found[:, :, 4:]
    expected = np.broadcast_to(vectors[:, :, np.newaxis], found.shape)
    self.assertAllClose(found, expected, atol=1e-4)
    # Where front and back, or left and right, change places, magnitudes are the same.
    turned = waveform * [1, -1, 1, -1]
    signs = [1, 1, 1, 1, -1, 1, -1]
    self.assertAllClose(
      spectrogram.with_intensity(turned), spectrogram.with_intensity(waveform) * signs, atol=1e-4
    )

  def test_intensity_equals_slow_oracle(self):
    spectrogram = spectrograms.Spectrogram("log_power", fft_length=32, hop_length=16, num_bins=5)
    waveform = self.rng.normal(size=[64, 4])
    padded = np.pad(waveform, ((16, 16), (0, 0)))
    window = scipy.signal.get_window("hann", 32)[:, np.newaxis]
    for t in range(4):
      spectrum = np.fft.rfft(padded[16 * t : 16 * t + 32] * window, axis=0)
      for b in range(5):
        part = spectrum[0:1] if b == 0 else spectrum[1 + 4 * (b - 1) : 1 + 4 * b]
        flow = np.sum(np.real(np.conj(part[:, :1]) * part[:, 1:]), axis=0)
        energy = np.sum(np.abs(part) ** 2) / 2
        found = spectrogram.with_intensity(waveform[np.newaxis])[0, t, b, 4:]
        self.assertAllClose(found, flow / energy, atol=1e-5)

  def test_intensity_of_silence_and_of_too_few_channels(self):
    spectrogram = spectrograms.Spectrogram(fft_length=64, hop_length=32, num_bins=33)
    found = spectrogram.with_intensity(tf.zeros([1, 320, 4]))
    self.assertAllEqual(found[..., 4:], np.zeros([1, 10, 33, 3]))
    with self.assertRaisesRegex(ValueError, r"has 2 channel\(s\); intensity vectors require"):
      spectrogram.with_intensity(tf.zeros([1, 320, 2]))

  def test_silence_is_finite(self):
    found = spectrograms.Spectrogram()(np.zeros((1, 2400, 1), np.float32))
    self.assertAllClose(found, np.full((1, 10, 257, 1), -100.0))

  def test_floor_is_relative_to_the_loudest_channel(self):
    waveform = self.rng.normal(0, 0.1, (1, 4800, 2)).astype(np.float32)
    waveform[..., 1] = 0
    found = spectrograms.Spectrogram(top_db=50.0)(waveform).numpy()
    self.assertAllClose(found[..., 1], np.full(found.shape[:3], found.max() - 50.0), atol=1e-4)

  def test_unknown_sizes_in_a_graph(self):
    spectrogram = spectrograms.Spectrogram()
    signature = tf.TensorSpec([None, None, None], tf.float32)
    function = tf.function(spectrogram.__call__, input_signature=[signature])
    for samples in (2400, 2639, 5000):
      waveform = self.rng.normal(0, 0.1, (2, samples, 1)).astype(np.float32)
      self.assertAllClose(function(waveform), spectrogram(waveform), atol=1e-4)

  def test_static_shape_in_a_graph(self):
    signature = tf.TensorSpec([None, 48000, 1], tf.float32)
    function = tf.function(spectrograms.Spectrogram().__call__, input_signature=[signature])
    shape = function.get_concrete_function().structured_outputs.shape
    self.assertEqual(shape.as_list(), [None, 200, 257, 1])

  def test_id_tells_settings_apart(self):
    base = spectrograms.Spectrogram()
    self.assertEqual(base.id, spectrograms.Spectrogram(power=2).id)
    others = [
      dict(kind="log_mel"), dict(sample_rate_hz=8000), dict(fft_length=2048), dict(hop_length=120),
      dict(num_bins=513), dict(power=1.0), dict(top_db=80.0),
    ]
    ids = {base.id, *(dataclasses.replace(base, **other).id for other in others)}
    self.assertLen(ids, len(others) + 1)

  def test_num_samples_inverts_num_frames(self):
    spectrogram = spectrograms.Spectrogram(hop_length=77)
    for num_frames in (1, 10):
      num_samples = spectrogram.num_samples(num_frames)
      self.assertEqual(spectrogram.num_frames(num_samples), num_frames)
      self.assertEqual(spectrogram.num_frames(num_samples - 1), num_frames - 1)

  @parameterized.parameters(
    (dict(kind="cqt"), "kind is 'cqt'"),
    (dict(hop_length=0), "hop_length is 0"),
    (dict(fft_length=1023), "fft_length is 1023"),
    (dict(num_bins=100), "1 \\+ a divisor"),
    (dict(num_bins=1), "1 \\+ a divisor"),
  )
  def test_bad_settings(self, fields, message):
    with self.assertRaisesRegex(ValueError, message):
      spectrograms.Spectrogram(**fields)

  def test_bad_waveforms(self):
    with self.assertRaisesRegex(ValueError, r"expected \[B, samples, C\]"):
      spectrograms.Spectrogram()(np.zeros((1, 4800), np.float32))
    with self.assertRaisesRegex(ValueError, "has 100 samples"):
      spectrograms.Spectrogram()(np.zeros((1, 100, 1), np.float32))


if __name__ == "__main__":
  tf.test.main()
