"""From real videos to a served model, by the command line.

A real video, cut and encoded into many files good and bad (`media_variants`), goes through
`tools/make_tfrecords.py`, `python -m avssl_tf.train` at a tiny size and
`python -m avssl_tf.export`, each in a separate process; the outputs are checked here.
"""

import json
import math
import os
import shutil
import tempfile

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records import dataset_info
from avssl_tf.report import run_report
from avssl_tf.report.reported_run import ReportedRun
from avssl_tf.training import loading
from tests import browser, command, media_variants, source_tree, test_base

# Folder of each file; classes are kinds of container. Each good file gives 3 clips of 1.5 s.
TRAIN = {
  "mp4": ("stereo_30hz.mp4", "rotated_90.mp4", "truncated.mp4", "text.mp4"),
  "other": (
    "surround.mkv", "variable_rate.mkv", "pcm_u8_mono.avi", "pcm_u8_stereo.mov", "odd_size.mkv",
  ),
}  # fmt: skip
TEST = {
  "mp4": ("sound_later.mp4", "no_sound.mp4"),
  "other": ("opus_vp9.webm", "rotated_180.mov", "film_rate_22khz.mov"),
}
CLIPS_PER_FILE = 3
TINY = """
batch_size = 4
num_epochs = 2
train.clips_per_video = 1
learning_rate = 2e-3
ClipSpec.frame_rate_hz = 8.0
ClipSpec.frame_size = 32
ClipSpec.audio_sec = 1.0
R2Plus1D.depth = 6
R2Plus1D.stage_widths = (4, 8, 8, 16)
AudioNet.stage_widths = (4, 8, 8, 16)
MLPHead.widths = (16, 8)
AVID.num_negatives = 16
"""


def _make_records(input_dir: str, output_dir: str, *flags: str) -> str:
  return command.output_of(
    str(source_tree.ROOT / "tools" / "make_tfrecords.py"),
    "--source=folder", f"--input_dir={input_dir}", f"--output_dir={output_dir}",
    "--num_workers=1", "--num_shards=2", "--max_failure_rate=0.5",
    "--frame_rate_hz=8", "--short_side=40", *flags,
  )  # fmt: skip


def _json_lines(path: str) -> list[dict]:
  with open(path, encoding="utf-8") as f:
    return [json.loads(line) for line in f]


def _variables(model_dir: str) -> dict[str, np.ndarray]:
  """All values of the latest checkpoint of a run."""
  reader = tf.train.load_checkpoint(os.path.join(model_dir, "checkpoints"))
  return {
    name: reader.get_tensor(name)
    for name in reader.get_variable_to_shape_map()
    if name != "_CHECKPOINTABLE_OBJECT_GRAPH" and not name.startswith("save_counter")
  }


class EndToEndTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, cls.folder)
    cls.videos = cls.path("videos")
    os.mkdir(cls.videos)
    media_variants.make_variants(cls.videos)
    cls.flat_report = _make_records(cls.videos, cls.path("flat"))

    for split, classes in (("train", TRAIN), ("test", TEST)):
      for label, names in classes.items():
        os.makedirs(cls.path("classes", split, label))
        for name in names:
          shutil.copy(cls.path("videos", name), cls.path("classes", split, label, name))
    cls.data_dir = cls.path("records")
    _make_records(
      cls.path("classes"), cls.data_dir, "--clip_duration_sec=1.5", "--min_duration_sec=1"
    )

    with open(cls.path("tiny.gin"), "w", encoding="utf-8") as f:
      f.write(TINY)
    cls.model_dir = cls.path("run")
    cls.train_command = (
      "-m", "avssl_tf.train",
      "--gin_file=gin/avid.gin", "--gin_file=gin/scale/small.gin",
      f"--gin_file={cls.path('tiny.gin')}", f"--gin_param=data_dir='{cls.data_dir}'",
      f"--model_dir={cls.model_dir}",
    )  # fmt: skip
    cls.train_report = command.output_of(*cls.train_command)
    cls.metrics = _json_lines(os.path.join(cls.model_dir, "metrics.jsonl"))

  @classmethod
  def path(cls, *names: str) -> str:
    return os.path.join(cls.folder, *names)

  def test_flat_folder_becomes_clips_without_labels(self):
    info = dataset_info.DatasetInfo.load(self.path("flat"))
    # A tenth of the files is held out for testing: 2 of 20, some of them unusable.
    self.assertEqual(
      sum(info.num_clips(split) for split in info.splits), len(media_variants.GOOD_VARIANTS)
    )
    self.assertLessEqual(info.num_clips("test") if "test" in info.splits else 0, 2)
    self.assertEqual(info.label_names, [])
    self.assertEqual((info.sample_rate_hz, info.num_channels), (24000, 1))

  def test_every_file_that_cannot_be_used_is_listed_with_its_reason(self):
    failures = _json_lines(self.path("flat", "failures.jsonl"))
    reasons = {os.path.basename(failure["path"]): failure["reason"] for failure in failures}
    expected = {variant.name: variant.problem for variant in media_variants.BAD_VARIANTS}
    expected["short.mp4"] = "too short: 0.400 s"  # Reported by the builder.
    self.assertEqual(set(reasons), set(expected))
    for name, reason in expected.items():
      self.assertIn(reason, reasons[name], name)
    self.assertRegex(self.flat_report, rf"failures +{len(expected)}\n")

  def test_folders_become_splits_and_classes(self):
    info = dataset_info.DatasetInfo.load(self.data_dir)
    self.assertEqual(info.label_names, ["mp4", "other"])
    failures = _json_lines(os.path.join(self.data_dir, "failures.jsonl"))
    failed = sorted(os.path.basename(failure["path"]) for failure in failures)
    self.assertEqual(failed, ["no_sound.mp4", "text.mp4", "truncated.mp4"])
    labels = {"train": [0] * 2 + [1] * 5, "test": [0] + [1] * 3}
    for split, expected in labels.items():
      clip = datasets.ClipSpec(num_frames=1, frame_size=16, audio_sec=0.1)
      dataset = datasets.evaluation_dataset(self.data_dir, split, clip, batch_size=100)
      batch = next(iter(dataset))
      # Records are in a random order.
      self.assertAllEqual(np.sort(batch[keys.LABEL]), np.repeat(expected, CLIPS_PER_FILE))
      self.assertAllEqual(batch[keys.INDEX], np.arange(len(expected) * CLIPS_PER_FILE))

  def test_losses_are_logged_and_finite(self):
    losses = {line["step"]: line["loss"] for line in self.metrics if "loss" in line}
    # 21 clips are 5 batches of 4 per epoch.
    self.assertEqual(max(losses), 10)
    for line in self.metrics:
      for name, value in line.items():
        self.assertTrue(math.isfinite(value), f"{name} at step {line['step']}")

  def test_probe_measures_before_and_after(self):
    probes = {line["step"]: line for line in self.metrics if "probe/linear_video" in line}
    self.assertEqual(set(probes), {0, 10})
    num_clips = dataset_info.DatasetInfo.load(self.data_dir).num_clips("test")
    shown = self.train_report[self.train_report.index("Probe of the frozen network") :]
    for line in probes.values():
      for name in ("linear_video", "linear_audio", "knn_video", "knn_audio"):
        # A share of the test clips.
        right = line[f"probe/{name}"] * num_clips
        self.assertAlmostEqual(right, round(right), places=4, msg=name)
        self.assertIn(f"{100 * line[f'probe/{name}']:.1f}", shown)
      self.assertGreaterEqual(line["probe/retrieval_r5"], line["probe/retrieval_r1"])
      # Any five of the clips are a share of all.
      self.assertGreater(line["probe/retrieval_r5"], 0)
    self.assertRegex(shown, r"untrained +trained\n")

  def test_spectrograms_are_normalised_by_those_of_the_records(self):
    loaded = loading.load(self.model_dir)
    batch = next(iter(datasets.evaluation_dataset(self.data_dir, "train", loaded.clip, 100)))
    normalised = loaded.network.audio_front_end(batch[keys.AUDIO])
    self.assertEqual(loaded.sample_rate_hz, 24000)
    self.assertAllClose(tf.reduce_mean(normalised, [0, 1, 3]), tf.zeros(129), atol=1e-3)
    self.assertAllClose(tf.math.reduce_std(normalised, [0, 1, 3]), tf.ones(129), rtol=1e-3)

  def test_exported_models_answer_as_the_trained_one(self):
    exported = self.path("exported")
    command.output_of(
      "-m", "avssl_tf.export", f"--model_dir={self.model_dir}", f"--output_dir={exported}"
    )
    loaded = loading.load(self.model_dir)
    batch = next(iter(datasets.evaluation_dataset(self.data_dir, "test", loaded.clip, 5)))
    expected = {
      f"{modality}_{name}": value
      for modality, outputs in loaded.network(batch).items()
      for name, value in outputs.items()
    }
    # That of the training command, and that of the export command.
    for folder in (os.path.join(self.model_dir, "saved_model"), exported):
      signatures = tf.saved_model.load(folder).signatures
      video, audio = batch[keys.VIDEO], batch[keys.AUDIO]
      answers = {
        **signatures["embed_video"](video=video), **signatures["embed_audio"](audio=audio)
      }
      self.assertAllClose(answers, expected, rtol=1e-5, atol=1e-5)
      both = signatures["serving_default"](video=video, audio=audio)
      self.assertAllClose(both, expected, rtol=1e-5, atol=1e-5)
    self.assertNotAllClose(expected["video_embedding"][0], expected["video_embedding"][4])

  def test_training_leaves_a_page(self):
    with browser.opened(os.path.join(self.model_dir, "report.html")) as (page, problems):
      self.assertGreater(page.locator("section#retrieval .card.own").count(), 0)
      self.assertEqual(problems, [])
    # For videos without labels, the page omits the parts that require labels.
    model_dir = shutil.copytree(self.model_dir, self.path("unlabelled"))
    path = os.path.join(model_dir, "operative_config.gin")
    with open(path, encoding="utf-8") as f:
      text = f.read()
    with open(path, "w", encoding="utf-8") as f:
      f.write(text.replace(self.data_dir, self.path("flat")))
    with browser.opened(run_report.write(ReportedRun(model_dir))) as (page, problems):
      self.assertIn("no labels", page.locator("section#run").inner_text())
      self.assertIn("classes of the clips", page.locator("section#retrieval").inner_text())
      self.assertGreater(page.locator("section#retrieval .card").count(), 10)
      self.assertEqual(page.locator(".card.right, .card.wrong").count(), 0)
      self.assertIn("are not known", page.locator("section#localisation").inner_text())
      self.assertEqual(problems, [])

  def test_same_command_again_changes_nothing(self):
    before = _variables(self.model_dir)
    report = command.output_of(*self.train_command)
    self.assertEqual(_json_lines(os.path.join(self.model_dir, "metrics.jsonl")), self.metrics)
    after = _variables(self.model_dir)
    self.assertEqual(set(after), set(before))
    for name, value in before.items():
      self.assertAllEqual(after[name], value, name)
    # The probe table at the end of the run is that of the first time.
    summary = "Probe of the frozen network"
    self.assertEqual(
      report[report.index(summary) :], self.train_report[self.train_report.index(summary) :]
    )


if __name__ == "__main__":
  tf.test.main()
