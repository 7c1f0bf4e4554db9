"""Tests of networks by their names."""

from absl.testing import absltest, parameterized

from avssl_tf.models import factory
from avssl_tf.spectrograms import Spectrogram


class AudioVisualTest(parameterized.TestCase):

  def test_sizes(self):
    network = factory.audio_visual(embedding_dim=32)
    self.assertEqual(network.embedding_dim, 32)
    self.assertEqual(network.audio_front_end.spectrogram, Spectrogram())

  def test_spectrogram(self):
    spectrogram = Spectrogram(kind="log_mel", sample_rate_hz=16000, num_bins=64)
    network = factory.audio_visual("r2plus1d_10", spectrogram=spectrogram)
    self.assertEqual(network.audio_front_end.spectrogram, spectrogram)

  @parameterized.parameters(
    ({"video_network": "resnet"}, "'resnet'; expected one of r2plus1d_6, r2plus1d_10"),
    ({"embedding_dim": 0}, "embedding_dim is 0"),
  )
  def test_mistakes(self, arguments, message):
    with self.assertRaisesRegex(ValueError, message):
      factory.audio_visual(**arguments)


if __name__ == "__main__":
  absltest.main()
