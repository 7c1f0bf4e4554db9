"""Tests of the probe of runs on 360° clips."""

import os
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import datasets
from avssl_tf.evaluation.alignment import view_features, viewpoint_retrieval
from avssl_tf.evaluation.alignment.alignment_probe import AlignmentProbe
from avssl_tf.evaluation.alignment.binary_alignment import AVCBin, AVSABin
from avssl_tf.evaluation.alignment.view_features import ViewFeatures
from avssl_tf.evaluation.frozen.linear_probe import LinearProbe
from avssl_tf.evaluation.results import Results
from avssl_tf.inference import features
from avssl_tf.inference.encoder import Encoder
from avssl_tf.training import run_probe
from tests import test_base, tiny_alignment, tiny_run


class AlignmentProbeTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, folder)
    cls.data_dir = tiny_alignment.make_data(os.path.join(folder, "data"), num_train=24)

  def test_measures_all_tasks(self):
    model = tiny_alignment.built_network()
    found = AlignmentProbe(label_parts=("shape", "motion"), c_grid=(0.1,), max_train_clips=20)(
      model, self.data_dir, tiny_alignment.CLIP
    )
    expected = [
      "viewpoint_retrieval", "viewpoint_retrieval_video_to_audio",
      "viewpoint_retrieval_audio_to_video", "avsa_bin_1", "avsa_bin_3", "avc_bin_1", "avc_bin_3",
      *(f"linear_{m}{part}" for part in ("", "_shape", "_motion") for m in ("video", "audio")),
      "num_train_clips",
    ]  # fmt: skip
    self.assertEqual(list(found), [f"probe/{name}" for name in expected])
    encoder = Encoder.of_model(model, tiny_alignment.CLIP, 8000, 4)
    train, test = (
      view_features.extract(encoder, self.data_dir, split, 1, 16, turned=True, max_clips=count)
      for split, count in (("train", 20), ("test", None))
    )
    # The same as the protocols that it combines.
    for protocol in (AVSABin(without_translation=False), AVCBin(without_translation=False)):
      for name, value in protocol.scores(encoder, train, test).items():
        self.assertAlmostEqual(found[f"probe/{name}"], value, places=5)
    for name, value in viewpoint_retrieval.scores(encoder, test).items():
      self.assertAlmostEqual(found[f"probe/{name}"], value, places=6)
    line = run_probe.summary(found)
    for part in ("viewpoint retrieval ", "AVSA-Bin 3 ", "AVC-Bin 1 ", "linear ", "on 20 clips"):
      self.assertIn(part, line)

  def test_linear_classifiers_of_views_and_of_parts_of_names(self):
    names = [f"{shape}_{motion}" for shape in "ab" for motion in "xyz"]
    labels = self.rng.integers(-1, 6, [60, 3])
    # Features determine only the first part of the name; unlabelled views are skipped.
    video = np.where(labels[..., np.newaxis] < 3, -1.0, 1.0) + 0.1 * self.rng.normal(
      size=[60, 3, 4]
    )
    views = ViewFeatures(
      video.astype(np.float32), np.zeros([60, 3, 4], np.float32), None, labels
    )
    found = AlignmentProbe(label_parts=("first", "last"))._linear(views, views, names)
    self.assertEqual(found["linear_video_first"], 1.0)
    self.assertLess(found["linear_video_last"], 0.7)
    self.assertLess(found["linear_video"], 0.7)
    with self.assertRaisesRegex(ValueError, "label_parts is .'one',.; expected one name"):
      AlignmentProbe(label_parts=("one",))._linear(views, views, names)
    nothing = ViewFeatures(views.video, views.audio, None, np.full([60, 3], -1))
    self.assertEqual(AlignmentProbe()._linear(nothing, nothing, names), {})

  def test_protocols_of_ordinary_clips_take_each_view_for_one(self):
    encoder = Encoder.of_model(
      tiny_alignment.built_network(), tiny_alignment.CLIP, 8000, 4
    )
    results = Results(os.path.join(self.get_temp_dir(), f"{self.id()}.json"), {})
    LinearProbe(c_grid=(0.1,), windows_per_clip=2)(encoder, self.data_dir, results, "")
    self.assertRegex(results.table(), r"(?m)^linear_video +[0-9.]+$")
    dataset = datasets.evaluation_dataset(self.data_dir, "test", tiny_alignment.CLIP, 3)
    rows = features.extract(encoder, dataset)
    self.assert_shape(rows.video_features, [24, 8])
    self.assertAllEqual(rows.indices, np.repeat(np.arange(8), 3))
    self.assertAllEqual(
      rows.labels, np.concatenate([batch["view_label"].numpy().ravel() for batch in dataset])
    )

  def test_records_of_another_kind(self):
    folder = tiny_run.make_data(os.path.join(self.get_temp_dir(), "planar"), 2)
    with self.assertRaisesRegex(ValueError, "are of ordinary video"):
      AlignmentProbe()(tiny_alignment.built_network(), folder, tiny_alignment.CLIP)


if __name__ == "__main__":
  tf.test.main()
