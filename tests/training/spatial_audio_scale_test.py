"""Tests that clips and networks match at the published sizes of spatial audio generation."""

import gin
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.data.building.media_sources import SOURCES
from avssl_tf.data.pipeline import clip_kinds
from avssl_tf.training.configurations import configuration
from avssl_tf.training.optimization import schedules
from tests import test_base

_SOURCES = [name for name, source in SOURCES.items() if source.method == "spatial_audio"]


class SpatialAudioScaleTest(test_base.TestCase, parameterized.TestCase):

  def parse(self, source):
    configuration.parse(["gin/spatial_audio.gin", f"gin/scale/{SOURCES[source].scale}.gin"])
    return gin.get_bindings("train")

  @parameterized.parameters(_SOURCES)
  def test_records_are_as_clips_want_them(self, source):
    bound = self.parse(source)
    clip, defaults = bound["clip"], SOURCES[source].defaults
    self.assertEqual(
      (clip.frame_size, clip.frame_rate_hz, clip.sample_rate_hz),
      (defaults["short_side"], defaults["frame_rate_hz"], defaults["sample_rate_hz"]),
    )
    # Frames are evenly spaced over the audio.
    self.assertEqual(clip.video_sec, clip.audio_sec)
    self.assertTrue(clip.panorama)
    self.assertTrue(bound["augmentation"].turn_scene)
    self.assertEqual((bound["data_dir"], bound["split"]), (f"data/{source}", "train1"))

  @parameterized.parameters(_SOURCES)
  def test_the_probe_measures_the_other_half_of_the_fold(self, source):
    self.assertEqual(self.parse(source)["probe"].test_split, "test1")

  def test_four_data_sets(self):
    self.assertEqual(_SOURCES, ["rec_street", "yt_clean", "yt_music", "yt_all"])

  def test_the_network_takes_the_clips(self):
    bound = self.parse("yt_all")
    network = bound["network"]()
    batch = clip_kinds.kind_of(bound["clip"]).zero_batch(48000, 4)
    weights = network({name: values[:1] for name, values in batch.items()})
    # Windows of 1024 samples have 513 bins.
    self.assert_shape(weights, [1, 3, None, 513], tf.complex64)

  def test_the_ablation_takes_the_clips_too(self):
    files = ["gin/spatial_audio.gin", "gin/scale/yt_all.gin"]
    configuration.parse(files, ["train.network=@DirectUNet"])
    bound = gin.get_bindings("train")
    network = bound["network"]()
    self.assertEqual(network.sample_rate_hz, bound["clip"].sample_rate_hz)
    batch = clip_kinds.kind_of(bound["clip"]).zero_batch(48000, 4)
    weights = network({name: values[:1] for name, values in batch.items()})
    self.assert_shape(weights, [1, 3, None, 513], tf.complex64)
    self.assertIsNotNone(network.flow_net)

  @parameterized.parameters(_SOURCES)
  def test_gradients_are_not_clipped(self, source):
    optimizer = self.parse(source)["optimizer"](learning_rate=1e-4)
    limits = optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm
    self.assertEqual(limits, (None, None, None))
    self.assertEqual(optimizer.epsilon, 1e-8)

  def test_the_rate_is_halved(self):
    self.parse("yt_all")
    rate = gin.get_configurable(schedules.step_decay)(1_000_000, 8000)
    found = [float(rate(step)) for step in (0, 249_999, 250_000, 600_000, 900_000)]
    self.assertAllClose(found, [1e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5])


if __name__ == "__main__":
  tf.test.main()
