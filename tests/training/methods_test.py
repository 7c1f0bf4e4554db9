"""Trains the gin file of every method: narrow networks, short clips, three epochs."""

import glob
import os
import tempfile
import unittest

import gin
import numpy as np
import tensorflow as tf

from avssl_tf.training import metrics, trainer
from avssl_tf.training.configurations import configuration
from tests import source_tree, tiny_alignment, tiny_run

# In addition to tiny_run.GIN, for objectives other than AVID.
_OBJECTIVES = """
num_epochs = 3
CMA.num_negatives = 8
CMA.num_positives = 4
CMA.warmup_epochs = 1
CMA.refresh_every_epochs = 1
RobustXID.num_negatives = 8
RobustXID.warmup_epochs = 1
SpatialAlignment.warmup_epochs = 1
train.probe = None
"""


class MethodsTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.mkdtemp(dir=os.path.dirname(cls.data_dir))
    cls.data360_dir = tiny_alignment.make_data(
      os.path.join(folder, "data360"), num_train=tiny_run.NUM_VIDEOS
    )

  def test_every_method_trains(self):
    paths = sorted(glob.glob(str(source_tree.ROOT / "gin" / "*.gin")))
    self.assertGreater(len(paths), 5)
    for path in paths:
      name = os.path.splitext(os.path.basename(path))[0]
      with self.subTest(name):
        model_dir = self.path(name)
        os.makedirs(model_dir)
        lines = (tiny_run.GIN + _OBJECTIVES).strip().splitlines()
        spherical = name in ("avsa", "avc", "spatial_audio")
        data_dir = self.data360_dir if spherical else self.data_dir
        configuration.parse([path], [*lines, f'data_dir="{data_dir}"'])
        strategy = tf.distribute.get_strategy()
        result = gin.get_configurable(trainer.train)(model_dir=model_dir, strategy=strategy)
        log = metrics.read(os.path.join(model_dir, "metrics.jsonl"))
        losses = [line["loss"] for line in log if "loss" in line]
        self.assertEqual(len(losses), 3 * tiny_run.NUM_VIDEOS // 8)
        self.assertTrue(np.isfinite(losses).all())
        self.check_objective(name, result.task, log)

  def check_objective(self, name, task, log):
    """The components of each method have been used."""
    if name == "avid_cma":
      self.assertEqual(task.objective.mined.numpy(), 1)
      positives = [line.get("loss/video_to_video_positives") for line in log]
      self.assertEqual([value > 0 for value in positives], [False] * 3 + [True] * 6)
    if name in ("avsa", "avc"):
      warmups = [line["in_warmup"] for line in log if "in_warmup" in line]
      self.assertEqual(warmups, [1.0, 0.0, 0.0])
    if name == "robust_xid":
      weights = [line["weight/mean"] for line in log if "weight/mean" in line]
      self.assertEqual([value < 1 for value in weights], [False] * 3 + [True] * 6)
      self.assertEqual(len([line for line in log if "bank/cosine_mean" in line]), 3)


if __name__ == "__main__":
  unittest.main()
