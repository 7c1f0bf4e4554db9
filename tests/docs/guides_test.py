"""Runs the Python examples of the guides on one small run, its SavedModel and its embeddings."""

import json
import os
import re
import unittest

import gin
import numpy as np
import tensorflow as tf

from avssl_tf.applications.embedding import embed
from avssl_tf.inference import serving
from avssl_tf.training import loading, strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import media_variants, source_tree, tiny_run

_GUIDES = source_tree.ROOT / "docs" / "guides"
# Pages whose examples run here; that of trust.md runs in train_test.py.
_PAGES = ("applications.md", "checkpoints.md", "export.md", "scaling.md")


def _blocks(page: str) -> list[str]:
  text = (_GUIDES / page).read_text(encoding="utf-8")
  return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class GuidesTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.root = os.path.dirname(cls.data_dir)
    run = os.path.join(cls.root, "runs", "avid")
    os.makedirs(run)
    tiny = os.path.join(cls.root, "tiny.gin")
    with open(tiny, "w", encoding="utf-8") as f:
      f.write(tiny_run.GIN)
    configuration.parse(
      [str(source_tree.ROOT / "gin/avid.gin"), tiny],
      [f'data_dir = "{cls.data_dir}"', "train.probe = None", "num_epochs = 1"],
    )
    trainer.train(model_dir=run, strategy=strategies.create())
    trained = loading.load(run)
    serving.export(
      trained.network, trained.input_spec, os.path.join(cls.root, "exported", "avid_cma")
    )
    gin.clear_config()
    videos = os.path.join(cls.root, "videos")
    os.mkdir(videos)
    frames = media_variants.pictures_at(media_variants.regular_times(25, end_sec=1.0))
    media_variants.write_media(
      os.path.join(videos, "a.mp4"), frames, media_variants.sine(1.0)
    )
    for name in ("embeddings.npz", "embeddings.parquet"):
      job = embed.Job(input=videos, output=os.path.join(cls.root, name))
      embed.run(trained.encoder, trained.weights, run, job)

  def test_every_example_is_run(self):
    pages = {path.name for path in _GUIDES.glob("*.md") if _blocks(path.name)}
    self.assertEqual(pages - {"trust.md"}, set(_PAGES))

  def test_export(self):
    served, loaded = _blocks("export.md")
    names = self._run(served, {"frames": tf.zeros([3, 2, 16, 16, 3], tf.uint8)})
    self.assertEqual(names["features"].shape[0], 3)
    np.testing.assert_allclose(tf.norm(names["embedding"], axis=1), np.ones(3), rtol=1e-5)
    spec = serving.InputSpec.load(os.path.join(self.root, "exported", "avid_cma"))
    heard = names["model"].signatures["embed_audio"](
      audio=tf.zeros([0, spec.num_samples, spec.num_channels])
    )
    self.assertEqual(set(heard), {"audio_features", "audio_embedding"})
    encoder = self._run(loaded, {})["encoder"]
    self.assertEqual(encoder.clip.frame_size, 16)

  def test_embeddings(self):
    (block,) = _blocks("applications.md")
    names = self._run(block, {})
    self.assertGreater(len(names["similarity"]), 0)
    np.testing.assert_array_less(np.abs(names["similarity"]), 1 + 1e-5)
    page = (_GUIDES / "applications.md").read_text(encoding="utf-8")
    listed = re.search(r"^## embed\n(.*?)^## ", page, re.MULTILINE | re.DOTALL).group(1)
    for name in names["index"].files:
      if name != "format":
        self.assertIn(f"`{name}`", listed)

  def test_scaling(self):
    (block,) = _blocks("scaling.md")
    names = self._run(block, {})
    with np.load(os.path.join(self.root, "embeddings.npz")) as expected:
      self.assertEqual(names["table"].num_rows, len(expected["id"]))
    self.assertIn("weights", json.loads(names["about"]))

  def test_checkpoints(self):
    (block,) = _blocks("checkpoints.md")
    names = self._run(block, {})
    self.assertIsInstance(names["network"], tf.keras.Model)
    self.assertEqual(names["encoder"].clip, names["trained"].clip)

  def _run(self, block, names):
    before = os.getcwd()
    os.chdir(self.root)
    try:
      exec(compile(block, "guide", "exec"), names)
    finally:
      os.chdir(before)
    return names


if __name__ == "__main__":
  unittest.main()
