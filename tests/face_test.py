"""Tests of the public face: what `import avssl_tf` gives, and what it leaves alone."""

import importlib
import inspect
import subprocess
import sys

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

import avssl_tf
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from tests import source_tree

_PACKAGES = ("avssl_tf", *(f"avssl_tf.{name}" for name in (
  "data", "evaluation", "inference", "losses", "models", "spatial", "tasks"
)))  # fmt: skip


class FaceTest(parameterized.TestCase):

  def test_importing_it_imports_nothing_else(self):
    code = "import sys, avssl_tf, avssl_tf.data, avssl_tf.losses; print(*sys.modules)"
    result = subprocess.run(
      [sys.executable, "-c", code], cwd=source_tree.ROOT, capture_output=True, text=True, check=True
    )
    modules = result.stdout.split()
    self.assertNotIn("tensorflow", modules)
    self.assertNotIn("numpy", modules)
    ours = sorted(name for name in modules if name.startswith("avssl_tf"))
    self.assertEqual(ours, ["avssl_tf", "avssl_tf.data", "avssl_tf.lazy", "avssl_tf.losses"])

  @parameterized.parameters(*_PACKAGES)
  def test_every_name_is_there_and_documented(self, package_name):
    package = importlib.import_module(package_name)
    self.assertNotEmpty(package.__all__)
    for name in package.__all__:
      with self.subTest(name):
        self.assertIn(name, dir(package))
        value = getattr(package, name)
        self.assertTrue(inspect.getdoc(value))
        self.assertIs(getattr(package, name), value)
    star = {}
    exec(f"from {package_name} import *", star)
    self.assertContainsSubset(package.__all__, star)

  @parameterized.parameters(*_PACKAGES)
  def test_other_names_are_not(self, package_name):
    package = importlib.import_module(package_name)
    with self.assertRaisesRegex(AttributeError, f"'{package_name}' has no attribute 'Nothing'"):
      package.Nothing  # noqa: B018

  def test_a_method_in_a_few_lines(self):
    clip = ClipSpec(num_frames=2, frame_size=16, audio_sec=0.5)
    self.assertIs(avssl_tf.data.ClipSpec, ClipSpec)
    network = avssl_tf.models.audio_visual("r2plus1d_6", embedding_dim=8)
    objective = avssl_tf.losses.AVID(num_rows=6, dim=8, num_negatives=2)
    optimizer = tf.keras.optimizers.Adam(1e-3)
    random = np.random.default_rng(0)
    batch = {
      "video": tf.constant(random.integers(0, 256, [2, clip.num_frames, 16, 16, 3]), tf.uint8),
      "audio": tf.constant(random.uniform(-1, 1, [2, 12000, 1]), tf.float32),
      "index": tf.constant([0, 5], tf.int64),
    }
    with tf.GradientTape() as tape:
      out = network(batch, training=True)
      embeddings = {name: out[name]["embedding"] for name in ("video", "audio")}
      losses = objective({**embeddings, "index": batch["index"]}, training=True)
    before = network.trainable_variables[0].numpy()
    optimizer.minimize(losses["loss"], network.trainable_variables, tape=tape)
    self.assertTrue(np.isfinite(losses["loss"]))
    self.assertTrue((before != network.trainable_variables[0].numpy()).any())


if __name__ == "__main__":
  absltest.main()
