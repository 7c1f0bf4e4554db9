"""Tests of what all networks offer, whatever they learn."""

import tensorflow as tf

from avssl_tf.models.network import Network
from tests import test_base, tiny_alignment, tiny_av_model, tiny_generator, tiny_run


class NetworkTest(test_base.TestCase):

  def test_base_is_abstract(self):
    with self.assertRaisesRegex(TypeError, "abstract"):
      Network()

  def test_rate_is_checked_and_statistics_asked_for_where_they_are_needed(self):
    asked = []

    def statistics(spectrogram):
      asked.append(spectrogram)
      return {"mean": [1.0] * spectrogram.num_bins, "std": [2.0] * spectrogram.num_bins}

    network = tiny_av_model.make()
    network.prepare(tiny_av_model.SAMPLE_RATE_HZ, statistics)
    self.assertAllEqual(network.audio_front_end.mean, [1.0] * 17)
    self.assertAllEqual(network.audio_front_end.std, [2.0] * 17)
    generator = tiny_generator.network()
    generator.prepare(generator.sample_rate_hz, statistics)
    self.assertEqual(asked, [network.audio_front_end.spectrogram])
    for one in (network, generator):
      with self.assertRaisesRegex(ValueError, "sampled at 1 Hz, the .* expects"):
        one.prepare(1, statistics)

  def test_channels_follow_from_the_trained_variables(self):
    shapes = {"audio_net/conv1/kernel": [7, 7, 2, 4]}
    self.assertEqual(tiny_av_model.make().input_channels(shapes), 2)
    self.assertEqual(tiny_alignment.network().input_channels(shapes), 4)
    self.assertEqual(tiny_generator.network().input_channels(shapes), 1)
    self.assertIsNone(tiny_av_model.make().input_channels({}))

  def test_maps_of_sound(self):
    waveforms = tf.constant(self.rng.normal(size=[2, 2000, 4]), tf.float32)
    for network, signed in (
      (tiny_run.TinyNetwork(), [False] * 4),
      (tiny_alignment.network(), [False] * 4 + [True] * 3),
      (tiny_generator.network(), [False]),
    ):
      maps = network.sound_maps(waveforms)
      self.assertEqual([found.signed for found in maps], signed)
      for found in maps:
        self.assertEqual(found.values.shape[0], 2)
        self.assertLen(found.values.shape, 3)
        self.assertLess(found.low, found.high)

  def test_what_a_checkpoint_and_a_run_may_take_over(self):
    network = tiny_av_model.make()
    self.assertIs(network.restorable(["video_net/conv1/kernel"]), network)
    self.assertIs(network.backbones()["video_net"], network.video_net)
    generator = tiny_generator.network()
    self.assertIs(generator.restorable(["video_net/conv1/kernel"]), generator)
    self.assertEqual(generator.backbones(), {})


if __name__ == "__main__":
  tf.test.main()
