"""Tests that the commands that a build prints run, on a miniature of each kind of source."""

import contextlib
import io
import json
import os
import re
import shlex
import tempfile

import gin
import tensorflow as tf
from absl.testing import absltest, parameterized

from avssl_tf.training import metrics, strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import command, source_tree
from tests.tools import published_miniatures as miniatures

_TINY = (
  "batch_size=2", "num_epochs=1", "train.clips_per_video=1", "train.batch_pictures=0",
  "ClipSpec.num_frames=2", "R2Plus1D.depth=6", "R2Plus1D.stage_widths=(4, 4, 4, 4)",
)  # fmt: skip
_TINY_AUDIO_NET = "AudioNet.stage_widths=(4, 4, 4, 4)"
# Networks and steps as small as they get, by the method's gin file.
_TINY_TRAINING = {
  "avid": (
    *_TINY, _TINY_AUDIO_NET, "ClipSpec.frame_size=16", "MLPHead.widths=(8, 4)",
    "AVID.num_negatives=2", "Probe.c_grid=(0.1,)",
  ),
  "avsa": (
    *_TINY, _TINY_AUDIO_NET, "ClipSpec.frame_size=16", "MLPHead.widths=(4,)",
    "Transformer.depth=1", "SpatialAlignment.warmup_epochs=0",
  ),
  "spatial_audio": (
    *_TINY, "ClipSpec.frame_size=32", "PanoramaEncoder.margin=32", "SpatialUNet.num_tracks=2",
    "AudioUNet.widths=(4, 4, 4, 4, 4)", "AudioUNet.moment_dim=4",
  ),
}  # fmt: skip
_TINY_EVALUATION = {
  "finetune": (
    "num_epochs=1", "Finetune.classifier_epochs=1", "Finetune.milestone_epochs=()",
    "clips_per_video=1", "num_frames=2", "Finetune.frame_size=16", "batch_size=2",
    "Finetune.windows_per_video=1", "Finetune.random_clips_per_video=1",
    "Finetune.folds=(('train1', 'test1'),)",
  ),
  "audio_svm": ("num_windows=1", "AudioSVM.sizes={'conv2x': (2, 2)}"),
  "retrieval": ("Retrieval.gallery_size=2", "Retrieval.ks=(1,)"),
  "viewpoint_retrieval": (),
}  # fmt: skip
_BUILD = ("--short_side=32",)
_BUILD_360 = ("--short_side=32", "--max_failure_rate=0")


def _commands(printed: str) -> dict[str, list[str]]:
  """The words of each command that is proposed in a text, by what it is for."""
  found = re.findall(r"^(Inspect|Train|Evaluate): +python (.*)$", printed, re.MULTILINE)
  return {name: shlex.split(words) for name, words in found}


def _values(words, flag):
  return [word.partition("=")[2] for word in words if word.startswith(f"--{flag}=")]


class PrintedCommandsTest(parameterized.TestCase):
  _own_run = ""

  def setUp(self):
    super().setUp()
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.folder = temporary.name
    self.root = self.path("input")
    # Quotes and spaces are quoted in what is printed.
    self.output = self.path("it's mine")

  def path(self, name):
    return os.path.join(self.folder, name)

  def build(self, source, *arguments):
    """Builds records; returns what was printed, and the proposed commands by their use."""
    built = command.run_tool(
      "make_tfrecords", f"--source={source}", f"--output_dir={self.output}", "--num_workers=0",
      *arguments,
    )  # fmt: skip
    self.assertEqual(built.returncode, 0, built.stderr)
    return built.stdout, _commands(built.stdout)

  def look(self, words):
    """Runs the proposed command that draws a contact sheet."""
    self.assertTrue((source_tree.ROOT / words[0]).is_file())
    self.assertEqual(_values(words, "data_dir"), [self.output])
    picture = self.path("contact.png")
    command.output_of(*(f"--output={picture}" if w == "--output=contact.png" else w for w in words))
    self.assertGreater(os.path.getsize(picture), 0)

  def train(self, words, as_a_command=False):
    """Trains as proposed with the smallest networks; returns what is printed.

    The export and the report at its end, which take most of the time, are those of a command.
    """
    (model_dir,) = _values(words, "model_dir")
    method = os.path.basename(model_dir)
    self.model_dir = self.path(method)
    bindings = _TINY_TRAINING[method]
    if as_a_command:
      words = [word for word in words if not word.startswith("--model_dir=")]
      flags = [f"--gin_param={binding}" for binding in bindings]
      printed = command.output_of(*words, f"--model_dir={self.model_dir}", *flags)
    else:
      printed = self.train_here(words, bindings)
    self.metrics = metrics.read(os.path.join(self.model_dir, "metrics.jsonl"))
    self.assertGreater(max(line["step"] for line in self.metrics), 0)
    return printed

  def train_here(self, words, bindings):
    """Trains in this process, by the flags of the command alone."""
    gin_files, gin_params = _values(words, "gin_file"), _values(words, "gin_param")
    self.assertLen(words, 3 + len(gin_files) + len(gin_params))
    self.assertEqual(words[:2], ["-m", "avssl_tf.train"])
    self.addCleanup(gin.clear_config)
    self.addCleanup(tf.keras.mixed_precision.set_global_policy, "float32")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
      configuration.parse(gin_files, [*gin_params, *bindings])
      configuration.check_complete(trainer.train)
      os.mkdir(self.model_dir)
      trainer.train(model_dir=self.model_dir, strategy=strategies.create(0))
    return printed.getvalue()

  def evaluate(self, words):
    """Runs the proposed evaluation on the run that `train` left; returns the measures."""
    (task,) = _values(words, "task")
    self.assertEqual(_values(words, "model_dir"), [f"runs/{os.path.basename(self.model_dir)}"])
    words = [word for word in words if not word.startswith("--model_dir=")]
    bindings = [f"--gin_param={binding}" for binding in _TINY_EVALUATION[task]]
    output = tempfile.mkdtemp(dir=self.folder)
    command.output_of(
      *words, f"--model_dir={self.model_dir}", f"--output_dir={output}", *bindings
    )
    with open(os.path.join(output, "results.json"), encoding="utf-8") as f:
      return json.load(f)

  def own_run(self):
    """A run on own videos, by the command that is printed for them; tests share it."""
    if not self._own_run:
      temporary = tempfile.TemporaryDirectory()
      self.addClassCleanup(temporary.cleanup)
      folder, output = self.folder, self.output
      self.folder = temporary.name
      self.output = self.path("own records")
      miniatures.folder(self.path("own"))
      _, commands = self.build("folder", f"--input_dir={self.path('own')}", *_BUILD)
      self.train(commands["Train"])
      type(self)._own_run = self.model_dir
      self.folder, self.output = folder, output
    self.model_dir = self._own_run
    self.metrics = metrics.read(os.path.join(self.model_dir, "metrics.jsonl"))

  def test_own_folder_and_sets_of_evaluation(self):
    self.own_run()
    self.assertIn("probe/linear_video", {key for line in self.metrics for key in line})
    for source, options in (("ucf101", _BUILD), ("hmdb51", _BUILD), ("esc50", ()), ("dcase", ())):
      with self.subTest(source):
        self.root, self.output = self.path(f"{source} files"), self.path(source)
        getattr(miniatures, source)(self.root)
        _, commands = self.build(source, f"--input_dir={self.root}", *options)
        self.assertNotIn("Train", commands)
        self.assertIn(f"gin/evaluate/scale/{source}.gin", _values(commands["Evaluate"], "gin_file"))
        self.assertNotEmpty(self.evaluate(commands["Evaluate"])["parts"])

  def test_manifest(self):
    path = miniatures.manifest(self.root)
    _, commands = self.build("csv", f"--input_csv={path}", *_BUILD)
    self.look(commands["Inspect"])
    self.train(commands["Train"], as_a_command=True)

  def test_manifest_of_test_clips_alone(self):
    self.own_run()
    path = miniatures.manifest(self.root, "test")
    _, commands = self.build("csv", f"--input_csv={path}", *_BUILD)
    self.assertNotIn("Train", commands)
    self.assertNotEmpty(self.evaluate(commands["Evaluate"])["parts"])

  def test_kinetics_without_a_test_list(self):
    miniatures.kinetics(self.root)
    printed, commands = self.build("kinetics", f"--input_dir={self.root}", *_BUILD)
    self.assertIn("no test split: the probe of a run uses 'validation'", printed)
    printed = self.train(commands["Train"])
    self.assertIn("has no split 'test': the probe uses 'validation'", printed)
    found = [line["step"] for line in self.metrics if "probe/knn_video" in line]
    self.assertEqual(found, [0, 2])

  def test_audioset(self):
    miniatures.audioset(self.root)
    _, commands = self.build("audioset", f"--input_dir={self.root}", *_BUILD)
    self.train(commands["Train"])

  def test_own_panoramas(self):
    miniatures.folder_360(self.root)
    _, commands = self.build(
      "folder", f"--input_dir={self.root}", "--projection=equirectangular", *_BUILD_360
    )
    self.look(commands["Inspect"])
    self.train(commands["Train"])

  def test_yt360(self):
    miniatures.yt360(self.root)
    _, commands = self.build("yt360", f"--input_dir={self.root}", *_BUILD_360)
    self.train(commands["Train"], as_a_command=True)

  def test_panoramas_to_test_on_alone(self):
    miniatures.folder_360(self.root)
    options = ("--projection=equirectangular", *_BUILD_360)
    _, commands = self.build("folder", f"--input_dir={self.root}", *options)
    self.train(commands["Train"])
    self.output = self.path("test alone")
    os.rename(self.path("input/train"), self.path("input/validation"))
    _, commands = self.build("folder", f"--input_dir={self.root}", *options)
    self.assertNotIn("Train", commands)
    self.assertNotEmpty(self.evaluate(commands["Evaluate"])["parts"])

  @parameterized.parameters(
    ("REC-Street", ()), ("YT-Clean", ("--flow",)), ("YT-Music", None), ("YT-All", None)
  )
  def test_spatial_audio_sets(self, name, options):
    miniatures.spatial_audio_set(self.root, name)
    source = name.lower().replace("-", "_")
    cutting = ("--clip_duration_sec=1", "--min_duration_sec=1")
    _, commands = self.build(
      source, f"--input_dir={self.root}", *_BUILD_360, *cutting, *(options or ())
    )
    self.assertIn(f"gin/scale/{source}.gin", _values(commands["Train"], "gin_file"))
    if options is not None:  # The four differ in their lists alone.
      self.train(commands["Train"], as_a_command=name == "REC-Street")

  @parameterized.parameters(("demo", "PlanarWorld"), ("demo360", "SphericalWorld"))
  def test_demo_worlds(self, source, world):
    _, commands = self.build(
      source, f"--gin_param={world}.num_train=8", f"--gin_param={world}.num_test=8"
    )
    self.train(commands["Train"])


if __name__ == "__main__":
  absltest.main()
