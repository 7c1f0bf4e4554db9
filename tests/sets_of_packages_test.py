"""Tests that files of each set of packages can be read, and runs resumed, with the other one.

`files_of_a_set.make` made the archives, one with each set.
"""

import os
import shutil
import tempfile
import zipfile

import gin
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from avssl_tf import data
from avssl_tf.applications.embedding.embedding_file import EmbeddingFile
from tests import files_of_a_set, source_tree

_SETS = ("tensorflow-2.15", "tensorflow-2.21")


class SetsOfPackagesTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)
    self.addCleanup(gin.clear_config)
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")

  def path(self, *names):
    return os.path.join(self.folder, *names)

  def extract(self, name):
    """Extracts an archive; returns what its set computed."""
    archive = source_tree.ROOT / "tests" / "testdata" / f"{name}.zip"
    with zipfile.ZipFile(archive) as f:
      f.extractall(self.folder)
    return dict(np.load(self.path("expected.npz")))

  @parameterized.parameters(*_SETS)
  def test_runs_and_saved_models_compute_the_same(self, name):
    expected = self.extract(name)
    for model_dir in (self.path("run"), self.path("run", "saved_model")):
      found = files_of_a_set.embeddings(model_dir, self.path("data"))
      for modality, values in found.items():
        np.testing.assert_allclose(values, expected[modality], atol=1e-5, err_msg=modality)

  @parameterized.parameters(*_SETS)
  def test_runs_resume_with_the_same_losses(self, name):
    """Weights, slots of the optimiser, memory banks, positive sets and random numbers agree."""
    expected = self.extract(name)
    losses = files_of_a_set.third_epoch(self.folder)
    self.assertLen(losses["loss"], 4)
    for key, values in losses.items():
      np.testing.assert_allclose(values, expected[key], rtol=1e-4, err_msg=key)

  @parameterized.parameters(*_SETS)
  def test_embedding_files_agree(self, name):
    self.extract(name)
    own = EmbeddingFile.open(files_of_a_set.embed_media(self.folder, self.path("own.npz")))
    stored = EmbeddingFile.open(self.path("embeddings.npz"))
    for modality in ("video", "audio"):
      rows, values = stored.embeddings(modality)
      own_rows, own_values = own.embeddings(modality)
      np.testing.assert_array_equal(own_rows, rows)
      # Versions of FFmpeg and OpenCV decode and resize with other rounding.
      np.testing.assert_allclose(own_values, values, atol=1e-2, err_msg=modality)

  def test_the_sets_build_the_same_records(self):
    clips = []
    for name in _SETS:
      self.extract(name)
      spec = data.ClipSpec(num_frames=2, frame_rate_hz=8.0, frame_size=16, audio_sec=0.5)
      clips.append(list(data.evaluation_dataset(self.path("data"), "test", spec, batch_size=8)))
    for ours, theirs in zip(*clips):
      np.testing.assert_array_equal(ours["video"], theirs["video"])
      np.testing.assert_allclose(ours["audio"], theirs["audio"], atol=1e-4)


if __name__ == "__main__":
  absltest.main()
