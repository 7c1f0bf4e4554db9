"""Tests of training by spatial alignment: its losses, its curriculum, resumes, two devices."""

import functools
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import tensorflow as tf

from avssl_tf.keys import MODALITIES
from avssl_tf.losses import avsa
from avssl_tf.models import av_model
from avssl_tf.tasks import spatial_alignment
from avssl_tf.training import metrics
from tests import source_tree, test_base, tiny_alignment, tiny_av_model, tiny_run

# The CPU can be cut in two only before TensorFlow starts.
_TWO_REPLICAS = """
import sys
from avssl_tf.training import strategies
from tests import tiny_alignment, tiny_run

data_dir, folder = sys.argv[1:]
mirrored = strategies.create(virtual_devices=2)
for name, strategy in (("one", None), ("two", mirrored)):
  tiny_run.train(
    data_dir, f"{folder}/{name}", strategy, clip=tiny_alignment.CLIP,
    network=tiny_alignment.tiny_network, task=tiny_alignment.task,
  )
"""


class SpatialAlignmentTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.network = tiny_alignment.built_network()
    self.batch = tiny_alignment.random_batch(self.rng)

  def task(self, **arguments):
    task = spatial_alignment.SpatialAlignment(network=self.network, num_videos=9, **arguments)
    task.compile(optimizer=tf.keras.optimizers.SGD(0.0))
    return task

  def expected(self, contrast, pool=False, temperature=0.07):
    outputs = self.network(self.batch, training=True, pool=pool)
    return {
      modality: avsa.alignment_loss(
        *avsa.similarities(
          outputs["prediction"][modality], outputs["target"][modality], temperature
        ),
        avsa.choices(contrast, outputs["target"][modality].shape[1]),
      )
      for modality in MODALITIES
    }

  def test_losses_are_those_of_the_contrast(self):
    for contrast in avsa.CONTRASTS:
      found = self.task(contrast=contrast, temperature=0.2).train_step(self.batch)
      expected = self.expected(contrast, pool=contrast == "avc", temperature=0.2)
      for modality in MODALITIES:
        self.assertAllClose(found[f"loss/{modality}"], expected[modality][0], rtol=1e-4)
      mean = np.mean([loss for loss, _ in expected.values()])
      self.assertAllClose(found["loss"], mean, rtol=1e-4)
      for name in ("accuracy/viewpoint", "accuracy/clip"):
        accuracies = [found_in[name] for _, found_in in expected.values()]
        self.assertAllClose(found[name], np.mean(accuracies))

  def test_curriculum(self):
    task = self.task(contrast="hard", warmup_epochs=2)
    step = tf.function(task.train_step)
    for epoch, contrast in enumerate(("easy", "easy", "hard", "hard")):
      logged = task.begin_epoch(epoch, tf.distribute.get_strategy())
      self.assertEqual(logged, {"in_warmup": float(epoch < 2)})
      loss = step(self.batch)["loss"]
      expected = np.mean([value for value, _ in self.expected(contrast).values()])
      self.assertAllClose(loss, expected, rtol=1e-4)
    self.assertEqual(self.task().begin_epoch(0, tf.distribute.get_strategy()), {})

  def test_a_step_moves_what_is_trained(self):
    task = self.task()
    task.compile(optimizer=tf.keras.optimizers.SGD(0.1))
    before = [v.numpy() for v in self.network.trainable_variables]
    task.train_step(self.batch)
    task.train_step(self.batch)  # Identity layers change in the second step.
    still = [
      v.name
      for v, old in zip(self.network.trainable_variables, before)
      if np.array_equal(old, v.numpy())
    ]
    # The softmax of attention is invariant to the bias of the keys.
    self.assertEmpty([name for name in still if "/key/bias" not in name])

  def test_bad_settings(self):
    for settings, message in (
      ({"contrast": "hart"}, "contrast is 'hart'; expected one of easy"),
      ({"warmup_contrast": "soft"}, "warmup_contrast is 'soft'"),
      ({"warmup_epochs": -1}, "warmup_epochs is -1; expected 0 or more"),
      ({"warmup_epochs": 1, "contrast": "avc"}, "'avc' pools the viewpoints"),
      ({"temperature": 0.0}, "temperature is 0.0; expected more than 0"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        self.task(**settings)
    with self.assertRaisesRegex(ValueError, "got AudioVisualModel: set train.network"):
      spatial_alignment.SpatialAlignment(network=tiny_av_model.make(), num_videos=9)
    self.assertIsInstance(self.network, av_model.AudioVisualModel)


class RunTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.mkdtemp(dir=os.path.dirname(cls.data_dir))
    cls.data_dir = tiny_alignment.make_data(os.path.join(folder, "data"))

  def train(self, name, **arguments):
    arguments = {
      "clip": tiny_alignment.CLIP,
      "network": tiny_alignment.tiny_network,
      "task": tiny_alignment.task,
      **arguments,
    }
    return tiny_run.train(self.data_dir, self.path(name), **arguments)

  def test_a_run_goes_on_as_if_it_had_never_stopped(self):
    # Two epochs of two steps; the first is the warm-up.
    settings = {
      "schedule": _constant, "network": functools.partial(tiny_alignment.tiny_network, dropout=0.5)
    }  # fmt: skip
    self.train("whole", **settings)
    for epochs in (1, 2):
      self.train("parts", num_epochs=epochs, **settings)
    self.assert_same_state(tiny_run.saved(self.path("parts")), tiny_run.saved(self.path("whole")))
    warmups = [
      line["in_warmup"]
      for line in metrics.read(self.path("whole/metrics.jsonl"))
      if "in_warmup" in line
    ]
    self.assertEqual(warmups, [1.0, 0.0])

  def test_two_replicas_learn_what_one_does(self):
    result = subprocess.run(
      [sys.executable, "-c", _TWO_REPLICAS, self.data_dir, self.folder],
      cwd=source_tree.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    self.assertEqual(result.returncode, 0, result.stderr)
    one, two = (tiny_run.saved(self.path(name)) for name in ("one", "two"))
    self.assertEqual(set(one), set(two))
    start = tiny_run.saved(self.path("one"), 2)
    moved = 0.0
    for name, value in one.items():
      if value.dtype != object:
        np.testing.assert_allclose(two[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
        if "network" in name:
          moved = max(moved, np.abs(value - start[name]).max())
    self.assertGreater(moved, 1e-3)


def _constant(**_):
  return tf.keras.optimizers.schedules.PiecewiseConstantDecay([0], [1e-2, 1e-2])


if __name__ == "__main__":
  unittest.main()
