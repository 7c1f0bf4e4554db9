"""Tests that runs of an earlier version can be loaded and resumed: one per task."""

import os
import zipfile

import gin
import numpy as np
import tensorflow as tf

from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training import checkpoints, loading, strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import source_tree, tiny_alignment, tiny_run

# One folder per task: configuration, checkpoint after one epoch, ids of the videos; and in
# expected.npz an input, and the outputs of the version that trained the network.
_RUNS = source_tree.ROOT / "tests" / "testdata" / "old_runs.zip"
_EMBEDS = ("classification", "instance_discrimination", "spatial_alignment")
_STEPS = {"classification": 3, "instance_discrimination": 3, "spatial_alignment": 2,
          "spatial_audio": 2}  # fmt: skip


class OldRunsTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.data360_dir = tiny_alignment.make_data(os.path.join(cls.data_dir, "..", "data360"))

  def setUp(self):
    super().setUp()
    with zipfile.ZipFile(_RUNS) as archive:
      archive.extractall(self.folder)

  def expected(self, name):
    arrays = dict(np.load(self.path(f"{name}/expected.npz")))
    inputs = {key: tf.constant(arrays.pop(key)) for key in list(arrays) if key.startswith("input_")}
    return {key.partition("_")[2]: value for key, value in inputs.items()}, arrays

  def test_networks_compute_the_same(self):
    for name in _EMBEDS:
      with self.subTest(name):
        encoder = loading.load(self.path(name)).encoder
        inputs, outputs = self.expected(name)
        for modality, embed in (("video", encoder.embed_video), ("audio", encoder.embed_audio)):
          for kind, value in embed(inputs[modality]).items():
            expected = outputs.pop(f"{modality}_{kind}")
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5, err_msg=kind)
        self.assertEqual(outputs, {})
    inputs, outputs = self.expected("spatial_audio")
    field = loading.load(self.path("spatial_audio")).generator.generate(inputs)
    np.testing.assert_allclose(field, outputs["field"], rtol=1e-4, atol=1e-5)

  def test_runs_resume(self):
    for name, steps in _STEPS.items():
      with self.subTest(name):
        before = tiny_run.saved(self.path(name))
        data_dir = self.data360_dir if name.startswith("spatial") else self.data_dir
        configuration.parse_operative(self.path(name))
        with gin.unlock_config():
          gin.bind_parameter("train.data_dir", data_dir)
          gin.bind_parameter("train.num_epochs", 2)
        trainer.train(model_dir=self.path(name), strategy=strategies.create())
        after = tiny_run.saved(self.path(name))
        self.assertTrue(checkpoints.latest(self.path(name)).endswith(f"ckpt-{2 * steps}"))
        self.assertEqual(set(before), set(after))
        self.assertEqual({n: v.shape for n, v in before.items() if v.dtype != object},
                         {n: v.shape for n, v in after.items() if v.dtype != object})  # fmt: skip

  def test_reports_know_the_task(self):
    kinds = {}
    for name in _STEPS:
      run = ReportedRun(self.path(name))
      kinds[name] = (run.is_supervised, run.aligns_views, run.generates, run.is_spherical)
    self.assertEqual(
      kinds,
      {
        "classification": (True, False, False, False),
        "instance_discrimination": (False, False, False, False),
        "spatial_alignment": (False, True, False, True),
        "spatial_audio": (False, False, True, True),
      },
    )


if __name__ == "__main__":
  tf.test.main()
