"""Tests of runs that generate sound fields: training and export."""

import os
import unittest

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import datasets
from avssl_tf.errors import UserError
from avssl_tf.inference import serving
from avssl_tf.models import r2plus1d
from avssl_tf.training import checkpoints, loading
from avssl_tf.training.configurations.settings import ConfigurationError
from tests import tiny_alignment, tiny_generator, tiny_run

_SETTINGS = (
  "num_epochs = 2", "schedules.cosine.warmup_steps = 2",
  "train.checkpoint_every_steps = 2", "train.log_every_steps = 1",
)  # fmt: skip


class SpatialAudioRunTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data_dir = tiny_alignment.make_data(os.path.join(cls.data_dir, "..", "data360"))

  def train(self, name, *params):
    return tiny_generator.train(self.data_dir, self.path(name), *_SETTINGS, *params)

  def test_a_run_learns_and_is_exported(self):
    whole = self.train("whole").task
    start = tiny_run.saved(self.path("whole"), 2)
    end = tiny_run.saved(self.path("whole"))
    moved = [n for n in end if "network" in n and not np.array_equal(start[n], end[n])]
    self.assertGreater(len(moved), 10)
    self.assertTrue(all(np.isfinite(v).all() for v in end.values() if v.dtype == np.float32))

    loaded = loading.load(self.path("whole"))
    self.assertEqual((loaded.sample_rate_hz, loaded.num_channels), (8000, 1))
    batch = next(iter(datasets.evaluation_dataset(self.data_dir, "test", loaded.clip, 3)))
    mono = {**batch, "audio": batch["audio"][..., :1]}
    expected = whole.network.generate(mono).numpy()
    np.testing.assert_allclose(loaded.network.generate(batch), expected, atol=1e-6)
    spec = loaded.input_spec
    serving.export(loaded.network, spec, self.path("exported"))
    function = tf.saved_model.load(self.path("exported")).signatures["serving_default"]
    found = function(video=batch["video"], audio=mono["audio"])
    self.assertEqual(list(found), ["field"])
    np.testing.assert_allclose(found["field"], expected, atol=1e-5)
    self.assertEqual(serving.InputSpec.load(self.path("exported")).clip().panorama, True)
    for name in ("whole", "exported"):
      with self.subTest(name):
        generator = loading.load(self.path(name)).generator
        self.assertEqual((generator.sample_rate_hz, generator.clip.panorama), (8000, True))
        np.testing.assert_allclose(generator.generate(batch), expected, atol=1e-5)
    with self.assertRaisesRegex(ValueError, "export it without --any_size"):
      serving.export(loaded.network, spec, self.path("other"), any_size=True)
    for name in ("whole", "exported"):
      with self.assertRaisesRegex(UserError, "a network that generates sound fields"):
        loading.load(self.path(name)).encoder  # noqa: B018
    with self.assertRaisesRegex(ConfigurationError, "neither operative_config.gin nor saved_model"):
      loading.load(self.path("nothing"))

  def test_frames_are_looked_at_by_what_another_run_has_learnt(self):
    video_net = r2plus1d.R2Plus1D(
      6, stem="avsa", stem_kernel=(1, 5, 5), stage_widths=(4, 4, 4, 4), name="video_net"
    )
    video_net(tf.zeros([1, 2, 16, 32, 3]))
    checkpoints.write(self.path("first"), tf.train.Checkpoint(video_net=video_net), None)
    params = (
      "SpatialUNet.frame_net = @PanoramaEncoder()", "PanoramaEncoder.encoder = @R2Plus1D()",
      "PanoramaEncoder.margin = 16", "R2Plus1D.stage_widths = (4, 4, 4, 4)", "num_epochs = 1",
      f"train.init_from = '{self.path('first')}'", "learning_rate = 0.0",
    )  # fmt: skip
    trained = self.train("second", *params).task.network.frame_net.encoder
    for one, other in zip(video_net.trainable_variables, trained.trainable_variables):
      np.testing.assert_array_equal(one, other)
    # A run of the same kind is restored as a whole.
    third = self.train("third", *params[:-2], f"train.init_from = '{self.path('second')}'",
                       "learning_rate = 0.0").task.network  # fmt: skip
    second = loading.load(self.path("second")).network
    for one, other in zip(second.trainable_variables, third.trainable_variables):
      np.testing.assert_array_equal(one, other)

  def test_sound_of_another_rate_is_told(self):
    with self.assertRaisesRegex(ValueError, "is sampled at 8000 Hz, the network expects 16000 Hz"):
      self.train("rate", "SpatialUNet.sample_rate_hz = 16000")
    self.assertIsNone(checkpoints.latest(self.path("rate")))


if __name__ == "__main__":
  unittest.main()
