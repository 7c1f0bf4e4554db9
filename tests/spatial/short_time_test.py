"""Tests of short-time Fourier transforms and their way back."""

import numpy as np
import scipy.signal
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.spatial import short_time
from tests import test_base


class ShortTimeTest(test_base.TestCase, parameterized.TestCase):

  @parameterized.product(
    num_samples=(1, 97, 1024, 1025), sizes=((256, 128), (64, 16), (100, 50), (100, 30))
  )
  def test_the_way_back_gives_the_signal(self, num_samples, sizes):
    signal = self.rng.normal(size=[2, 3, num_samples]).astype(np.float32)
    spectra = short_time.stft(tf.constant(signal), *sizes)
    frames = short_time.num_frames(num_samples, *sizes)
    self.assert_shape(spectra, [2, 3, frames, sizes[0] // 2 + 1], tf.complex64)
    found = short_time.inverse_stft(spectra, num_samples, *sizes)
    self.assertAllClose(found, signal, atol=1e-5)

  def test_frames_equal_slow_oracle(self):
    signal = self.rng.normal(size=40).astype(np.float32)
    padded = np.concatenate([np.zeros(12), signal, np.zeros(40)])
    window = scipy.signal.get_window("hann", 16)
    found = short_time.stft(tf.constant(signal), 16, 4)
    for t in range(len(found)):
      expected = np.fft.rfft(padded[4 * t : 4 * t + 16] * window)
      self.assertAllClose(found[t], expected, atol=1e-5)

  def test_unknown_lengths_in_a_graph(self):
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
    def there_and_back(signal):
      spectra = short_time.stft(signal, 32, 16)
      return short_time.inverse_stft(spectra, tf.shape(signal)[1], 32, 16)

    for length in (31, 64):
      signal = self.rng.normal(size=[2, length]).astype(np.float32)
      self.assertAllClose(there_and_back(signal), signal, atol=1e-5)


if __name__ == "__main__":
  tf.test.main()
