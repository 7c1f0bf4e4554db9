"""Tests of loading runs with changed files; for converted checkpoints see conversion_test."""

import os
import shutil
import unittest

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.training import checkpoints, loading, run_folder, strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import source_tree, tiny_run


class LoadTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # One run of the real networks, shared by all tests.
    cls.model_dir = os.path.join(os.path.dirname(cls.data_dir), "run")
    os.mkdir(cls.model_dir)
    tiny = os.path.join(os.path.dirname(cls.data_dir), "tiny.gin")
    with open(tiny, "w", encoding="utf-8") as f:
      f.write(tiny_run.GIN)
    configuration.parse(
      [str(source_tree.ROOT / "gin/avid.gin"), tiny],
      [
        f'data_dir = "{cls.data_dir}"', "num_epochs = 1", "precision = 'mixed_bfloat16'",
        "train.probe = None", "ClipSpec.num_frames = 3",
      ],
    )  # fmt: skip
    cls.trained = trainer.train(model_dir=cls.model_dir, strategy=strategies.create()).task.network
    cls.batch = {
      keys.VIDEO: tf.cast(tf.random.stateless_uniform([2, 3, 16, 16, 3], (0, 0)) * 255, tf.uint8),
      keys.AUDIO: tf.random.stateless_normal([2, 2400, 1], (0, 1), 0, 0.1),
    }
    cls.expected = cls.trained(cls.batch)
    gin.clear_config()

  def setUp(self):
    super().setUp()
    self.copy = self.path("copy")
    shutil.copytree(self.model_dir, self.copy)

  def edit(self, old, new):
    path = os.path.join(self.copy, run_folder.OPERATIVE_CONFIG)
    with open(path, encoding="utf-8") as f:
      text = f.read()
    self.assertIn(old, text)
    with open(path, "w", encoding="utf-8") as f:
      f.write(text.replace(old, new))

  def test_same_network_without_its_data(self):
    self.edit(repr(self.data_dir), "'gone/away'")
    tf.keras.mixed_precision.set_global_policy("float32")
    loaded = loading.load(self.copy)
    self.assertEqual(tf.keras.mixed_precision.global_policy().name, "mixed_bfloat16")
    self.assertEqual((loaded.clip.num_frames, loaded.clip.frame_size), (3, 16))
    self.assertEqual((loaded.sample_rate_hz, loaded.num_channels), (8000, 1))
    self.assertEqual(loaded.data_dir, "gone/away")
    for modality, outputs in loaded.network(self.batch).items():
      for name, value in outputs.items():
        np.testing.assert_array_equal(value, self.expected[modality][name], err_msg=name)

  def test_other_precision(self):
    self.edit("precision = 'mixed_bfloat16'", "precision = 'float32'")
    loaded = loading.load(self.copy)
    features = loaded.network(self.batch)[keys.VIDEO]["features"].numpy()
    expected = self.expected[keys.VIDEO]["features"].numpy()
    self.assertFalse(np.array_equal(features, expected))
    np.testing.assert_allclose(features, expected, rtol=0.1, atol=0.1)

  def test_folder_of_no_run(self):
    with self.assertRaisesRegex(configuration.ConfigurationError, "Expected the folder of a run"):
      loading.load(self.data_dir)
    with self.assertRaisesRegex(configuration.ConfigurationError, "Expected the folder of a run"):
      loading.load("nowhere")

  def test_no_checkpoint_yet(self):
    shutil.rmtree(os.path.join(self.copy, run_folder.CHECKPOINTS))
    with self.assertRaisesRegex(FileNotFoundError, "There is no checkpoint in"):
      loading.load(self.copy)

  def test_configuration_of_other_networks(self):
    self.edit("R2Plus1D.stage_widths = (4, 4, 4, 4)", "R2Plus1D.stage_widths = (4, 4, 4, 5)")
    with self.assertRaisesRegex(checkpoints.CheckpointError, "does not match.*shape"):
      loading.load(self.copy)

  def test_configuration_of_more_layers(self):
    self.edit("MLPHead.widths = (8, 4)", "MLPHead.widths = (8, 8, 4)")
    with self.assertRaisesRegex(checkpoints.CheckpointError, "does not match"):
      loading.load(self.copy)

  def test_configuration_of_another_version(self):
    self.edit("R2Plus1D.depth", "R2Plus1D.deepness")
    with self.assertRaisesRegex(configuration.ConfigurationError, "deepness"):
      loading.load(self.copy)


if __name__ == "__main__":
  unittest.main()
