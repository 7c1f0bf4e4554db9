"""Tests of the input statistics of a network."""

import os
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf.data import clip_content
from avssl_tf.data.records import dataset_info
from avssl_tf.spectrograms import Spectrogram
from avssl_tf.training import normalization, training_data
from tests import test_base
from tests.data import toy_records

_SPECTROGRAM = Spectrogram(
  sample_rate_hz=toy_records.SAMPLE_RATE_HZ, fft_length=64, hop_length=16, num_bins=33
)
_QUIET, _LOUD = 0.001, 0.5


def _record(index: int, peak: float):
  rng = np.random.default_rng(index)
  waveform = peak * rng.uniform(-1, 1, (2000, 2))
  frames = np.zeros((toy_records.NUM_STORED_FRAMES, 24, 24, 3), np.uint8)
  times = np.arange(toy_records.NUM_STORED_FRAMES) * 100_000
  return toy_records.encode(index, clip_content.Content(frames, times, waveform.astype(np.float32)))


class StatisticsTest(test_base.TestCase):
  def setUp(self):
    super().setUp()
    self.data_dir = self.enter_context(tempfile.TemporaryDirectory())
    # A class of quiet clips, and a class of loud ones after it.
    stored = [_record(index, _QUIET if index < 20 else _LOUD) for index in range(40)]
    toy_records.write(self.data_dir, [stored])
    self.enter_context(mock.patch.object(normalization, "_MAX_CLIPS", 10))

  def measured(self):
    strategy = tf.distribute.get_strategy()
    data = training_data.TrainingData(
      self.data_dir, "train", toy_records.CLIP, None, 4, 1, strategy
    )
    found = normalization.statistics(_SPECTROGRAM, data)
    return np.mean(found["mean"]), np.mean(found["std"])

  def test_of_records_in_the_order_of_their_source(self):
    mean, std = self.measured()
    with mock.patch.object(normalization, "_MAX_CLIPS", 40):
      expected_mean, expected_std = self.measured()
    self.assertAllClose(mean, expected_mean, atol=2.0, rtol=0)
    # Half of the clips are 54 dB louder than the others.
    self.assertGreater(expected_std, 20.0)
    self.assertAllClose(std, expected_std, atol=2.0, rtol=0)

  def test_of_a_random_order_the_first_ones_are_taken_as_before(self):
    info = dataset_info.DatasetInfo.load(self.data_dir)
    info.build["shuffle"] = True
    info.save(self.data_dir)
    self.assertTrue(os.path.exists(os.path.join(self.data_dir, dataset_info.FILE_NAME)))
    _, std = self.measured()
    self.assertLess(std, 10.0)


if __name__ == "__main__":
  tf.test.main()
