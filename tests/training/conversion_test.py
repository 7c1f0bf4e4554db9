"""Tests of converting published checkpoints, from arrays to a folder for the commands."""

import os
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf import keys
from avssl_tf.losses import avid
from avssl_tf.models import reference_weights
from avssl_tf.training import conversion, loading
from tests import published_checkpoint, test_base

_NUM_ROWS, _DIM = 6, published_checkpoint.EMBEDDING_DIM


class ConversionTest(test_base.TestCase, parameterized.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.output_dir = os.path.join(folder.name, "converted")
    self.networks = published_checkpoint.networks(self.rng)
    banks = self.rng.normal(size=(2, _NUM_ROWS, _DIM)).astype(np.float32)
    self.criterion = {
      "nce_average.view1_mem": banks[0],
      "nce_average.view2_mem": banks[1],
      "criterion.avg_exp_score": np.array([2.5], np.float32),
    }
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")

  def checkpoint(self, prefix="", **criterion):
    return {
      "epoch": 30,
      "optimizer": {"state": {}},
      "model": {prefix + name: value for name, value in self.networks.items()},
      "train_criterion": {**self.criterion, **criterion},
    }

  @parameterized.parameters("", "module.")
  def test_converted_folder_holds_the_weights(self, prefix):
    cma = {"nce_average.positive_set": np.zeros((_NUM_ROWS, 2), np.int32)}
    statistics = {"mean": self.rng.normal(size=257), "std": self.rng.uniform(1, 2, size=257)}
    report = conversion.convert(
      self.checkpoint(prefix, **cma), self.output_dir, "x.pth.tar", statistics
    )
    loaded = loading.load(self.output_dir)
    for name, variable in reference_weights.model_variables(loaded.network).items():
      self.assertAllEqual(
        reference_weights.to_keras_layout(self.networks[name]), variable.numpy(), msg=name
      )
    self.assertAllClose(loaded.network.audio_front_end.mean, statistics["mean"])
    self.assertAllClose(loaded.network.audio_front_end.std, statistics["std"])
    self.assertEqual((loaded.clip.num_frames, loaded.clip.frame_size), (8, 224))
    text = "\n".join(report)
    for name in self.networks:
      self.assertIn(f"{name} ", text)
    self.assertIn("nce_average.positive_set (6, 2) -> not used", text)

  def test_objective_is_restored(self):
    conversion.convert(self.checkpoint(), self.output_dir, "x.pth.tar")
    objective = avid.AVID(num_rows=_NUM_ROWS, dim=_DIM, seed=3)
    path = tf.train.latest_checkpoint(os.path.join(self.output_dir, "checkpoints"))
    checkpoint = tf.train.Checkpoint(task=tf.train.Checkpoint(objective=objective))
    checkpoint.restore(path).assert_existing_objects_matched().expect_partial()
    self.assertAllEqual(objective.video_bank.rows, self.criterion["nce_average.view1_mem"])
    self.assertAllEqual(objective.audio_bank.rows, self.criterion["nce_average.view2_mem"])
    self.assertEqual(float(objective.normalizer), 2.5)

  def test_networks_alone(self):
    report = conversion.convert({"model": self.networks}, self.output_dir, "x.pth.tar")
    self.assertIn("objective: not in the checkpoint", "\n".join(report))
    self.assertIn("WARNING: no --spectrogram_statistics", "\n".join(report))
    model = loading.load(self.output_dir).network
    outputs = model(
      {keys.VIDEO: tf.zeros([1, 8, 32, 32, 3], tf.uint8), keys.AUDIO: tf.zeros([1, 4800, 1])}
    )
    self.assert_shape(outputs[keys.VIDEO]["embedding"], (1, _DIM), tf.float32)

  def test_report_repeats_with_the_weights(self):
    conversion.convert(self.checkpoint(), self.output_dir, "x.pth.tar")
    self.assertEqual(
      conversion.forward_report(self.output_dir), conversion.forward_report(self.output_dir)
    )

  def test_problems_are_listed_and_nothing_is_written(self):
    del self.networks["video_proj.projection.0.bias"]
    self.networks["video_model.extra.weight"] = np.zeros((2, 2), np.float32)
    checkpoint = {**self.checkpoint(), "scheduler": {}}
    with self.assertRaises(conversion.ConversionError) as caught:
      conversion.convert(checkpoint, self.output_dir, "x.pth.tar")
    message = str(caught.exception)
    self.assertIn("video_proj.projection.0.bias -> PROBLEM: missing", message)
    self.assertIn("video_model.extra.weight (2, 2) -> PROBLEM: no counterpart", message)
    self.assertIn("scheduler -> PROBLEM: no counterpart", message)
    self.assertIn("Not converted: 3 problems", message)
    self.assertFalse(os.path.exists(self.output_dir))

  def test_unusable_input(self):
    with self.assertRaisesRegex(ValueError, "No dict 'model'"):
      conversion.convert({"state_dict": {}}, self.output_dir, "x.pth.tar")
    with self.assertRaisesRegex(ValueError, "unexpected entries"):
      conversion.convert(self.checkpoint(odd=np.zeros(3)), self.output_dir, "x.pth.tar")
    os.makedirs(self.output_dir)
    with open(os.path.join(self.output_dir, "precious"), "w", encoding="utf-8") as f:
      f.write("x")
    with self.assertRaisesRegex(ValueError, "not empty"):
      conversion.convert(self.checkpoint(), self.output_dir, "x.pth.tar")


if __name__ == "__main__":
  tf.test.main()
