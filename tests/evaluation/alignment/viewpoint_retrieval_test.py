"""Tests of retrieval among the viewpoints of a clip."""

import dataclasses
import os
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.evaluation.alignment import view_features, viewpoint_retrieval
from avssl_tf.evaluation.alignment.viewpoint_retrieval import ViewpointRetrieval, retrieve
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from tests import test_base, tiny_alignment, tiny_av_model, tiny_run


class RetrieveTest(test_base.TestCase):

  def unit(self, *shape):
    x = self.rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)

  def test_slow_oracle(self):
    predictions, targets = self.unit(40, 3, 4), self.unit(40, 3, 4)
    found = [
      int(np.argmax([predictions[n, k] @ targets[n, j] for j in range(3)]) == k)
      for n in range(40)
      for k in range(3)
    ]
    self.assertAllClose(retrieve(predictions, targets), np.mean(found))

  def test_perfect_and_collapsed(self):
    targets = self.unit(5, 4, 8)
    self.assertEqual(retrieve(targets, targets), 1.0)
    alike = np.repeat(targets[:, :1], 4, axis=1)
    self.assertAllClose(retrieve(self.unit(5, 4, 8), alike), 0.25)  # Chance.


class ProtocolTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, folder)
    cls.data_dir = tiny_alignment.make_data(os.path.join(folder, "data"), num_train=4)
    cls.planar_dir = tiny_run.make_data(os.path.join(folder, "planar"), num_train=2)

  def setUp(self):
    super().setUp()
    self.encoder = Encoder.of_model(
      tiny_alignment.built_network(), tiny_alignment.CLIP, 8000, 4
    )
    self.path = os.path.join(self.get_temp_dir(), f"{self.id()}.json")

  def test_measures_a_split_once(self):
    protocol = ViewpointRetrieval(windows_per_clip=2, batch_size=3)
    results = Results(self.path, {})
    protocol(self.encoder, self.data_dir, results, "")
    found = results.get("test")
    views = view_features.extract(self.encoder, self.data_dir, "test", windows_per_clip=2)
    self.assert_shape(views.video, [16, 3, 8], tf.float32)
    expected = viewpoint_retrieval.scores(self.encoder, views)
    for name, value in expected.items():
      self.assertAllClose(found[name], value)
    self.assertAllClose(
      found["viewpoint_retrieval"],
      (
        found["viewpoint_retrieval_video_to_audio"] + found["viewpoint_retrieval_audio_to_video"]
      ) / 2,
    )  # fmt: skip
    # Existing results are not computed again.
    blind = dataclasses.replace(self.encoder, embed_video=None, embed_audio=None)
    protocol(blind, self.data_dir, results, "")

  def test_networks_and_records_of_another_kind(self):
    ordinary = Encoder.of_model(
      tiny_av_model.make(), tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1
    )
    for encoder, data_dir, message in (
      (ordinary, self.data_dir, "requires a network of 360° clips"),
      (self.encoder, self.planar_dir, "are of ordinary video; this task requires 360° clips"),
    ):
      with self.assertRaisesRegex(ValueError, message):
        ViewpointRetrieval()(encoder, data_dir, Results(self.path, {}), "")


if __name__ == "__main__":
  tf.test.main()
