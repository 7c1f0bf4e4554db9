"""Tests that the tutorials work: each page is executed, command after command, at small size."""

import functools
import json
import math
import os
import re
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.training import metrics
from tests import media_variants, source_tree, tutorial_pages
from tests.tools import published_miniatures

# Gin files of the smallest sizes, which come after those of the pages.
_TINY_NETWORKS = """
batch_size = 2
num_epochs = 1
train.clips_per_video = 1
train.batch_pictures = 0
train.log_every_steps = 1
R2Plus1D.depth = 6
R2Plus1D.stage_widths = (4, 4, 4, 4)
"""
_GIN_FILES = {
  "tiny_demo.gin": f"""{_TINY_NETWORKS}
num_epochs = 2
PlanarWorld.num_train = 24
PlanarWorld.num_test = 8
batch_size = 8
AudioNet.stage_widths = (4, 4, 4, 4)
AVID.num_negatives = 8
CMA.num_negatives = 8
CMA.num_positives = 4
CMA.warmup_epochs = 1
Probe.c_grid = (0.1,)
""",
  "tiny_videos.gin": f"""{_TINY_NETWORKS}
ClipSpec.frame_rate_hz = 8.0
ClipSpec.num_frames = 2
ClipSpec.frame_size = 32
AudioNet.stage_widths = (4, 4, 4, 4)
MLPHead.widths = (8, 4)
AVID.num_negatives = 2
Probe.c_grid = (0.1,)
""",
  "tiny_avsa.gin": f"""{_TINY_NETWORKS}
ClipSpec.num_frames = 2
ClipSpec.frame_size = 16
AudioNet.stage_widths = (4, 4, 4, 4)
MLPHead.widths = (4,)
Transformer.depth = 1
SpatialAlignment.warmup_epochs = 0
""",
  "tiny_spatial_audio.gin": f"""{_TINY_NETWORKS}
ClipSpec.num_frames = 2
ClipSpec.frame_size = 32
PanoramaEncoder.margin = 32
SpatialUNet.num_tracks = 2
AudioUNet.widths = (4, 4, 4, 4, 4)
AudioUNet.moment_dim = 4
""",
}


def _write_videos(folder: str) -> None:
  """Twelve short videos in two classes, and one without audio."""
  sound = media_variants.source_sound()[2:3]
  for label, (height, width) in (("park", (80, 120)), ("street", (90, 160))):
    os.makedirs(os.path.join(folder, label))
    for number in range(6):
      start_sec = 0.3 * number
      times = media_variants.regular_times(8, end_sec=2.5)
      frames = media_variants.pictures_at([t + start_sec for t in times], height, width)
      media_variants.write_media(
        os.path.join(folder, label, f"{number}.mp4"),
        [(t, frame) for t, (_, frame) in zip(times, frames)],
        sound[:, round(48000 * start_sec) :][:, : round(48000 * 2.5)],
      )
  published_miniatures.write_clip(folder, "street/no_audio.mp4", sound=False)


class TutorialsTest(absltest.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    temporary = tempfile.TemporaryDirectory()
    cls.addClassCleanup(temporary.cleanup)
    cls.folder = temporary.name
    tutorial_pages.make_checkout(cls.folder)
    for name, text in _GIN_FILES.items():
      with open(cls.path(name), "w", encoding="utf-8") as f:
        f.write(text)

  @classmethod
  @functools.cache
  def demo(cls):
    """Executes the first page; others use its run."""
    cls.tutorial("demo", [
      ("--output_dir=data/demo", "--output_dir=data/demo --num_workers=0 --gin_file=tiny_demo.gin"),
      ("--gin_file=gin/avid_cma.gin", "--gin_file=gin/avid_cma.gin --gin_file=tiny_demo.gin"),
      ("--gin_file=gin/avid.gin", "--gin_file=gin/avid.gin --gin_file=tiny_demo.gin"),
      ("--gin_param=num_epochs=10", "--gin_param=num_epochs=1"),
    ], only_training=["runs/avid"])  # fmt: skip

  @classmethod
  def path(cls, *names):
    return os.path.join(cls.folder, *names)

  @classmethod
  def tutorial(cls, page, smaller, only_training=()):
    """Executes a page; returns the variables of its Python code."""
    tutorial = tutorial_pages.Tutorial(page, cls.folder, smaller, only_training)
    tutorial.run()
    return tutorial.names

  def assert_files(self, *paths):
    for path in paths:
      self.assertGreater(os.path.getsize(self.path(path)), 0, path)

  def assert_trained(self, model_dir, probed):
    """Fails unless a run has finite losses, and measured `probed` before and after training."""
    log = metrics.read(self.path(model_dir, "metrics.jsonl"))
    values = [value for line in log for name, value in line.items() if name.startswith("loss")]
    self.assertNotEmpty(values)
    self.assertTrue(np.isfinite(values).all())
    self.assertLen([line for line in log if f"probe/{probed}" in line], 2)

  def json(self, *names):
    with open(self.path(*names), encoding="utf-8") as f:
      return json.load(f)

  def test_demo(self):
    self.demo()
    info = DatasetInfo.load(self.path("data", "demo"))
    self.assertEqual((info.num_clips("train"), info.num_clips("test")), (24, 8))
    self.assertLen(info.label_names, 16)
    for model_dir in ("runs/avid_cma", "runs/avid"):
      self.assert_trained(model_dir, "retrieval_r5")
    # The table of outputs on the page.
    self.assert_files(
      "data/sheet.png", "runs/avid_cma/report.html", "runs/avid_cma/operative_config.gin",
      "runs/avid_cma/saved_model/saved_model.pb", "runs/avid_cma/checkpoints/checkpoint",
      "runs/avid_cma/tensorboard/projector_config.pbtxt", "runs/avid/report.html",
    )  # fmt: skip

  def test_own_videos(self):
    _write_videos(self.path("videos"))
    names = self.tutorial("own_videos", [
      ("--output_dir=data/mine\n",
       "--output_dir=data/mine --num_workers=0 --frame_rate_hz=8 --short_side=40\n"),
      ("--gin_file=gin/scale/small.gin",
       "--gin_file=gin/scale/small.gin --gin_file=tiny_videos.gin"),
      ("[:900]", "[:8]"), ("[900:]", "[8:]"),
    ], only_training=["runs/mine", "runs/mine_validation"])  # fmt: skip
    info = DatasetInfo.load(self.path("data", "mine"))
    self.assertEqual((info.num_clips("train"), info.num_clips("test")), (10, 2))
    failure = self.json("data", "mine", "failures.jsonl")  # A single line.
    self.assertEqual(failure["reason"], "no audio stream")
    self.assertEqual(sorted(failure), ["end_sec", "path", "reason", "start_sec"])
    for model_dir in ("runs/mine", "runs/mine_validation"):
      self.assert_trained(model_dir, "linear_video")
    self.assert_files("data/sheet.png", "runs/mine/report.html", "heat.mp4")
    self.assertIn("retrieval_r5", json.dumps(
      self.json("runs", "mine", "evaluation", "retrieval", "results.json")
    ))  # fmt: skip
    self.assertNotEmpty(self.json("found.json"))
    self.assertEqual(
      sorted(names["index"].files),
      sorted([
        "id", "start_sec", "end_sec", "has_video", "has_audio", "video_features", "audio_features",
        "video_embeddings", "audio_embeddings", "about",
      ]),
    )  # fmt: skip
    self.assertEqual(names["similar"].shape, (13, 13))

  def test_video_360(self):
    published_miniatures.folder_360(self.path("videos360"))
    published_miniatures.yt360(self.path("yt360"))
    self.tutorial("video_360", [
      ("--short_side=224", "--short_side=32 --num_workers=0"),
      ("--gin_file=gin/scale/yt360.gin", "--gin_file=gin/scale/yt360.gin --gin_file=tiny_avsa.gin"),
      ("--gin_file=gin/scale/yt_all.gin",
       "--gin_file=gin/scale/yt_all.gin --gin_file=tiny_spatial_audio.gin"),
    ], only_training=["runs/avsa_mine", "runs/spatial_mine"])  # fmt: skip
    for name, rate_hz in (("mine360", 24000), ("mine360_audio", 48000)):
      info = DatasetInfo.load(self.path("data", name))
      self.assertEqual((info.projection, info.num_channels), ("equirectangular", 4))
      self.assertEqual((info.num_clips("train"), info.sample_rate_hz), (4, rate_hz))
    self.assert_trained("runs/avsa_mine", "viewpoint_retrieval")
    self.assert_trained("runs/spatial_mine", "all_error_db")
    self.assert_files(
      "field.png", "alignment.png", "field.wav", "video360.mp4", "map.mp4",
      "data/yt360/dataset_info.json",
    )  # fmt: skip

  def test_python(self):
    self.demo()
    os.makedirs(self.path("clips"))
    published_miniatures.write_clip(self.path("clips"), "clip.mp4")
    names = self.tutorial("python", [
      ("--output_dir=data/demo", "--output_dir=data/demo --num_workers=0 --gin_file=tiny_demo.gin"),
      ("videos/clip.mp4", "clips/clip.mp4"),
      ("batch_size=64", "batch_size=8"), ("take(3200)", "take(2)"),
      ("AVID(num_rows=num_videos, dim=64)", "AVID(num_rows=num_videos, dim=64, num_negatives=8)"),
      ("warmup_epochs=2)", "warmup_epochs=2, num_negatives=8, num_positives=4)"),
      ("steps_per_epoch=64", "steps_per_epoch=2"),
      ("--gin_file=my_method.gin", "--gin_file=my_method.gin --gin_file=tiny_demo.gin"),
    ])  # fmt: skip
    self.assertLessEqual(abs(float(names["similarity"])), 1.001)
    self.assertEqual(int(names["objective"].step), 2)
    self.assertTrue(math.isfinite(float(names["losses"]["loss"])))
    self.assertBetween(names["recalls"]["r5"], 0, 1)
    batch = names["batch"]
    for modality, outputs in names["restored"](batch).items():
      expected = names["network"](batch)[modality]["embedding"]
      np.testing.assert_allclose(outputs["embedding"], expected, atol=1e-5)
    self.assertTrue(np.isfinite(names["history"].history["loss"]).all())
    # Positive sets, mined after the warm-up, are restored with the model.
    self.assertEqual(int(names["model"].objective.mined), int(names["again"].objective.mined))
    for modality, embedding in names["again"](batch).items():
      np.testing.assert_allclose(embedding, names["model"](batch)[modality], atol=1e-5)
    self.assert_trained("runs/my_method", "retrieval_r5")
    self.assertEqual(names["encoder"].clip.frame_size, 32)
    self.assert_files("runs/my_method/report.html", "runs/my_method/saved_model/saved_model.pb")

  def test_serving(self):
    self.demo()
    names = self.tutorial("serving", [])
    embedding = names["audio"].numpy()
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-4)
    self.assertEqual(names["similarities"].shape, (4, 4))
    for answer in (names["by_grpc"], names["by_rest"]):
      np.testing.assert_allclose(answer["audio_embedding"], embedding, atol=1e-5)
    self.assertIn("uint8 [batch, 8, 32, 32, 3]", names["message"])
    self.assertIn(names["warmup"].model_spec.signature_name, names["model"].signatures)
    self.assertTrue(all(np.isfinite(value).all() for value in names["outputs"].values()))
    self.assertEqual(names["embedding"].shape, tf.TensorShape([1, 64]))
    page = (source_tree.ROOT / "docs" / "tutorials" / "serving.md").read_text(encoding="utf-8")
    shown = re.search(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL).group(1)
    self.assertEqual(names["spec"], json.loads(shown))


if __name__ == "__main__":
  absltest.main()
