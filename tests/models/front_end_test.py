"""Front ends against their formulas."""

import numpy as np
import tensorflow as tf

from avssl_tf import spectrograms
from avssl_tf.models import front_end
from tests import test_base


class FrontEndTest(test_base.TestCase):

  def test_video(self):
    frames = self.rng.integers(0, 256, (2, 3, 4, 5, 3)).astype(np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    found = front_end.VideoFrontEnd()(frames)
    self.assertAllClose(found, (frames / 255 - mean) / std, atol=1e-5)

  def test_frames_must_be_bytes(self):
    with self.assertRaisesRegex(ValueError, "float32; expected uint8"):
      front_end.VideoFrontEnd()(tf.zeros([1, 2, 4, 4, 3]))

  def test_audio(self):
    spectrogram = spectrograms.Spectrogram(fft_length=64, hop_length=32, num_bins=17)
    layer = front_end.AudioFrontEnd(spectrogram)
    mean, std = self.rng.normal(size=17), self.rng.uniform(1, 2, 17)
    std[3] = 0  # Constant over the training data: not amplified without limit.
    layer.set_statistics(mean, std)
    waveform = self.rng.normal(0, 0.1, (2, 320, 2)).astype(np.float32)
    level = spectrogram(waveform)
    spread = np.maximum(std, 0.1)
    expected = (level - mean[:, np.newaxis]) / spread[:, np.newaxis]
    self.assertAllClose(layer(waveform), expected, rtol=1e-4, atol=1e-4)

  def test_bad_statistics(self):
    layer = front_end.AudioFrontEnd(spectrograms.Spectrogram())
    with self.assertRaisesRegex(ValueError, r"\(3,\) and \(257,\); expected \(257,\)"):
      layer.set_statistics(np.zeros(3), np.ones(257))
    with self.assertRaisesRegex(ValueError, "non-finite"):
      layer.set_statistics(np.full(257, np.nan), np.ones(257))
    with self.assertRaisesRegex(ValueError, "negative"):
      layer.set_statistics(np.zeros(257), -np.ones(257))

  def test_ambisonics(self):
    spectrogram = spectrograms.Spectrogram(fft_length=64, hop_length=32, num_bins=17)
    layer = front_end.AmbisonicFrontEnd(spectrogram)
    layer.set_statistics(self.rng.normal(size=17), self.rng.uniform(1, 2, 17))
    waveform = self.rng.normal(0, 0.1, (2, 320, 4)).astype(np.float32)
    found = layer(waveform)
    self.assert_shape(found, [2, 10, 17, 7], tf.float32)
    magnitudes = front_end.AudioFrontEnd(spectrogram)
    magnitudes.set_statistics(layer.mean, layer.std)
    self.assertAllEqual(found[..., :4], magnitudes(waveform))
    self.assertAllEqual(found[..., 4:], spectrogram.with_intensity(waveform)[..., 4:])


if __name__ == "__main__":
  tf.test.main()
