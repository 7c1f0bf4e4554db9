"""Tests of the per-bin statistics against NumPy."""

import numpy as np
import tensorflow as tf

from avssl_tf.data.building import spectrogram_statistics
from avssl_tf.data.building.spectrogram_statistics import Sums
from avssl_tf.spectrograms import Spectrogram
from tests import test_base

SPECTROGRAM = Spectrogram(sample_rate_hz=800, fft_length=64, hop_length=8, num_bins=33)


class SpectrogramStatisticsTest(test_base.TestCase):
  def waveforms(self, channels=1):
    return [
      self.rng.normal(scale=0.1, size=(n, channels)).astype(np.float32) for n in (400, 90, 801)
    ]

  def test_mean_and_spread_are_those_over_all_frames_and_channels(self):
    waveforms = self.waveforms(channels=2)
    values = np.concatenate([
      np.moveaxis(SPECTROGRAM(waveform[np.newaxis])[0].numpy(), 1, 2).reshape(-1, 33)
      for waveform in waveforms
    ]).astype(np.float64)  # fmt: skip
    parts = [spectrogram_statistics.measure(SPECTROGRAM, waveform) for waveform in waveforms]
    self.assertEqual(sum(part.count for part in parts), len(values))
    statistics = spectrogram_statistics.combine(parts, 33)
    self.assertAllClose(statistics["mean"], values.mean(0), atol=1e-4, rtol=0)
    self.assertAllClose(statistics["std"], values.std(0), atol=1e-4, rtol=0)

  def test_a_clip_measures_the_same_whatever_came_before(self):
    first, second, _ = self.waveforms()
    alone = spectrogram_statistics.measure(SPECTROGRAM, first)
    spectrogram_statistics.measure(SPECTROGRAM, second)
    again = spectrogram_statistics.measure(SPECTROGRAM, first)
    self.assertAllEqual(alone.total, again.total)
    self.assertAllEqual(alone.squares, again.squares)

  def test_json_keeps_every_bit(self):
    sums = spectrogram_statistics.measure(SPECTROGRAM, self.waveforms()[0])
    back = Sums.from_json(sums.to_json())
    self.assertEqual(back.count, sums.count)
    self.assertAllEqual(back.total, sums.total)
    self.assertAllEqual(back.squares, sums.squares)

  def test_sound_shorter_than_a_hop_counts_nothing(self):
    sums = spectrogram_statistics.measure(SPECTROGRAM, np.ones((7, 1), np.float32))
    self.assertEqual(sums.count, 0)
    self.assertAllEqual(spectrogram_statistics.combine([sums], 33)["std"], np.zeros(33))


if __name__ == "__main__":
  tf.test.main()
