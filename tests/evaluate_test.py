"""Tests of the evaluation command on a run, a SavedModel and a converted checkpoint."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import unittest

import gin
import numpy as np

from avssl_tf.data.records import dataset_info
from avssl_tf.inference import serving
from avssl_tf.training import conversion, loading, strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import published_checkpoint, source_tree, tiny_run

# Calls the command with several lists of flags in one process; prints the result of each call.
_COMMANDS = """
import contextlib
import io
import json
import sys
from absl import flags
from avssl_tf import evaluate

for line in json.load(sys.stdin):
  flags.FLAGS.unparse_flags()
  for name in ("gin_file", "gin_param", "model_dir", "data_dir", "output_dir", "overwrite"):
    flags.FLAGS[name].unparse()
  ending, output = None, io.StringIO()
  try:
    with contextlib.redirect_stdout(output):
      sys.argv = ["evaluate", *line]
      evaluate.main()
  except SystemExit as error:
    ending = error.code and str(error.code)
  print("ENDING", json.dumps([ending, output.getvalue()]), flush=True)
"""
# Parses the file of each task, and the files that extend one according to their headers.
_CONFIGURATIONS = """
import glob
import re
import gin
from avssl_tf import evaluate
from avssl_tf.evaluation import protocol
from avssl_tf.training.configurations import configuration

tasks = glob.glob("gin/evaluate/*.gin")
followed = {}
for path in sorted(glob.glob("gin/evaluate/scale/*.gin")):
  with open(path, encoding="utf-8") as f:
    text = f.read()
  assert f"--gin_file={path}" in text, path
  followed[path] = f"gin/evaluate/{re.search('--task=([a-z_]+)', text)[1]}.gin"
for files in [[path] for path in tasks] + [[task, path] for path, task in followed.items()]:
  configuration.parse(files, used_by="evaluate")
  configuration.check_complete(protocol.evaluate)
  print(files[-1], type(gin.get_bindings("evaluate")["protocol"]).__name__)
"""
_SMALL = ("--gin_param=batch_size=8",)


class CommandTest(tiny_run.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    # One run of the real networks, and its SavedModel, for all tests.
    cls.folder_of_all = os.path.dirname(cls.data_dir)
    cls.model_dir = os.path.join(cls.folder_of_all, "run")
    os.mkdir(cls.model_dir)
    tiny = os.path.join(cls.folder_of_all, "tiny.gin")
    with open(tiny, "w", encoding="utf-8") as f:
      f.write(tiny_run.GIN)
    configuration.parse(
      [str(source_tree.ROOT / "gin/avid.gin"), tiny],
      [f'data_dir = "{cls.data_dir}"', "train.probe = None", "train.fill_memory = False"],
    )
    trainer.train(model_dir=cls.model_dir, strategy=strategies.create())
    loaded = loading.load(cls.model_dir)
    spec = loaded.input_spec
    cls.saved_model = os.path.join(cls.model_dir, "saved_model")
    serving.export(loaded.network, spec, cls.saved_model)
    gin.clear_config()

  def setUp(self):
    super().setUp()
    for name in ("evaluation", "saved_model.evaluation"):
      shutil.rmtree(os.path.join(self.model_dir, name), ignore_errors=True)

  def commands(self, *lines):
    """Runs the command with each list of flags; returns error (or None) and output of each."""
    result = subprocess.run(
      [sys.executable, "-c", _COMMANDS],
      cwd=source_tree.ROOT,
      input=json.dumps(lines),
      capture_output=True,
      text=True,
      check=False,
    )
    self.assertEqual(result.returncode, 0, result.stderr[-4000:])
    self.assertNotIn("Traceback", result.stderr)
    self.assertNotIn("Warning", result.stderr)
    return [
      json.loads(line[len("ENDING") :])
      for line in result.stdout.splitlines()
      if line.startswith("ENDING")
    ]

  def results(self, path):
    """Content of a results file."""
    with open(path, encoding="utf-8") as f:
      return json.load(f)

  def test_run_and_saved_model_measure_the_same(self):
    before = _files(self.saved_model)
    flags = [f"--model_dir={self.model_dir}", *_SMALL]
    exported = [f"--model_dir={self.saved_model}/", f"--data_dir={self.data_dir}", *_SMALL]
    tasks = {"linear_probe": "fold1", "knn": "fold1", "retrieval": "test"}
    endings = self.commands(
      *([f"--task={task}", *place] for task in tasks for place in (flags, exported))
    )
    for i, (task, part) in enumerate(tasks.items()):
      of_run = os.path.join(self.model_dir, "evaluation", task, "results.json")
      of_saved_model = os.path.join(f"{self.saved_model}.evaluation", task, "results.json")
      for path, (error, output) in zip((of_run, of_saved_model), endings[2 * i : 2 * i + 2]):
        self.assertIsNone(error)
        self.assertIn(path, output)
        for name, value in self.results(path)["parts"][part].items():
          self.assertRegex(output, rf"\n{name} +{100 * value:.1f}\n")
      found, expected = self.results(of_saved_model), self.results(of_run)
      self.assertEqual(set(found["parts"][part]), set(expected["parts"][part]))
      for name, value in expected["parts"][part].items():
        # Of 8 clips; one may be on the decision boundary.
        self.assertAlmostEqual(found["parts"][part][name], value, delta=0.13, msg=name)
      self.assertEqual(expected["settings"]["task"], task)
      self.assertRegex(expected["settings"]["weights"], r"^ckpt-6 \w{12}$")
      self.assertRegex(expected["settings"]["data"], r"^planar \w{12}$")
    self.assertEqual(_files(self.saved_model), before)
    loaded = loading.load(self.model_dir)
    self.assertEqual(loaded.clip.num_frames, 2)

  def test_resumes_refuses_other_settings_and_overwrites_nothing_else(self):
    folder = self.path("home")
    os.mkdir(folder)
    with open(os.path.join(folder, "thesis.tex"), "w", encoding="utf-8") as f:
      f.write("years of work")
    flags = ["--task=knn", f"--model_dir={self.model_dir}", f"--output_dir={folder}", *_SMALL]
    other = [*flags, "--gin_param=KNN.num_neighbors=1"]
    path = os.path.join(folder, "results.json")
    self.assertIsNone(self.commands(flags)[0][0])
    content = self.results(path)
    content["parts"]["fold1"]["knn_video"] = 0.777  # A value that no evaluation would return.
    with open(path, "w", encoding="utf-8") as f:
      json.dump(content, f)
    again, refused, overwritten = self.commands(flags, other, [*other, "--overwrite"])
    self.assertIsNone(again[0])
    self.assertRegex(again[1], r"knn_video +77.7")
    self.assertIn("KNN.num_neighbors: 20 -> 1", refused[0])
    self.assertIn("--overwrite", refused[0])
    self.assertIsNone(overwritten[0])
    self.assertEqual(self.results(path)["settings"]["KNN.num_neighbors"], 1)
    self.assertNotIn("77.7", overwritten[1])
    self.assertEqual(sorted(os.listdir(folder)), ["results.json", "thesis.tex"])

  def test_links_in_a_run_are_not_followed(self):
    model_dir, victim = self.path("received"), self.path("victim")
    shutil.copytree(self.model_dir, model_dir, ignore=shutil.ignore_patterns("evaluation"))
    os.makedirs(os.path.join(victim, "knn", "work", "fold1"))
    with open(os.path.join(victim, "knn", "results.json"), "w", encoding="utf-8") as f:
      f.write("{}")
    before = _files(victim)
    link = os.path.join(model_dir, "evaluation")
    os.symlink(victim, link)
    flags = ["--task=knn", f"--model_dir={model_dir}", "--overwrite", *_SMALL]
    error, _ = self.commands(flags)[0]
    self.assertIn(f"{link} is a symbolic link to '{victim}'", error)
    self.assertEqual(_files(victim), before)
    self.assertTrue(os.path.isdir(os.path.join(victim, "knn", "work", "fold1")))

  def test_converted_checkpoint(self):
    converted = self.path("converted")
    checkpoint = {"model": published_checkpoint.networks(np.random.default_rng(0))}
    conversion.convert(checkpoint, converted, "x.pth.tar")
    # Its clips are longer than those of the demo.
    config = os.path.join(converted, "operative_config.gin")
    with open(config, encoding="utf-8") as f:
      text = f.read()
    for old, new in (("audio_sec = 2.0", "audio_sec = 0.5"), ("size = 224", "size = 32")):
      self.assertIn(old, text)
      text = text.replace(old, new)
    with open(config, "w", encoding="utf-8") as f:
      f.write(text)
    more = self.path("more.gin")  # Gin files compose.
    with open(more, "w", encoding="utf-8") as f:
      f.write('split = "train[:10]"\nRetrieval.ks = (1,)\n')
    flags = ["--task=retrieval", f"--model_dir={converted}", f"--gin_file={more}", *_SMALL]
    unnamed, named = self.commands(flags, [*flags, f"--data_dir={self.data_dir}"])
    self.assertIn("pass --data_dir", unnamed[0])
    self.assertIsNone(named[0])
    self.assertIn("train[:10]", named[1])
    self.assertRegex(named[1], r"\nretrieval_r1 +\d+\.\d\n")
    self.assertNotIn("r5", named[1])

  def test_mistakes_end_with_one_message(self):
    info = dataset_info.DatasetInfo.load(self.data_dir)
    unlabelled = self.path("unlabelled")
    os.mkdir(unlabelled)
    splits = {
      name: [dataclasses.replace(s, labels=[-1] * len(s.labels)) for s in shards]
      for name, shards in info.splits.items()
    }
    dataclasses.replace(info, splits=splits, label_names=[]).save(unlabelled)
    model = f"--model_dir={self.model_dir}"
    cases = {
      "there is no gin/evaluate/nn.gin. The tasks are: ": ["--task=nn", model],
      "Did you mean num_neighbors?": ["--task=knn", model, "--gin_param=KNN.num_neighbours=2"],
      "'batch_sizes' is set, but nothing": ["--task=knn", model, "--gin_param=batch_sizes=2"],
      "KNN.batch_size is 'x'; expected int": ["--task=knn", model, "--gin_param=batch_size='x'"],
      "KNN.batch_size is 0; expected 1": ["--task=knn", model, "--gin_param=batch_size=0"],
      "ClipSpec.frame_size is set, but has no effect. Did you mean Finetune.frame_size": [
        "--task=finetune", model, "--gin_param=ClipSpec.frame_size=64"
      ],
      "ViewpointSpec.num_viewpoints is set, but": [
        "--task=knn", model, "--gin_param=ViewpointSpec.num_viewpoints=2"
      ],
      "KNN.num_neighbors, KNN.temperature, KNN.windows_per_clip, evaluate.protocol.": [
        "--task=knn", model, "--gin_param=Retrieval.gallery_size=10"
      ],
      "evaluate.data_dir is set, but has no effect": [
        "--task=knn", model, "--gin_param=evaluate.data_dir='x'"
      ],
      "or of a SavedModel": ["--task=knn", "--model_dir=nowhere"],
      "does not state which records": ["--task=knn", f"--model_dir={self.saved_model}"],
      "there is no (finished) data set": ["--task=knn", model, "--data_dir=nowhere"],
      "has 0 classes": ["--task=knn", model, f"--data_dir={unlabelled}"],
      "has 0 classes; expected": ["--task=linear_probe", model, f"--data_dir={unlabelled}"],
      "is empty": ["--task=retrieval", model, "--gin_param=split='test[8:]'"],
      "no split 'tset'": ["--task=knn", model, "--gin_param=folds=(('train','tset'),)"],
    }
    endings = self.commands(*cases.values())
    for message, (error, _) in zip(cases, endings):
      with self.subTest(message):
        self.assertIn(message, error or "no error")
        self.assertTrue(error.startswith("Error: "), error)
    self.assertFalse(os.path.exists(os.path.join(self.model_dir, "evaluation")))


def _files(folder):
  """Paths of all files in a folder."""
  return sorted(os.path.join(d, name) for d, _, names in os.walk(folder) for name in names)


class ConfigurationsTest(unittest.TestCase):

  def test_every_configuration_is_sound(self):
    found = subprocess.run(
      [sys.executable, "-c", _CONFIGURATIONS],
      cwd=source_tree.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    self.assertEqual(found.returncode, 0, found.stderr[-2000:])
    self.assertIn("gin/evaluate/scale/yt360.gin Segmentation\n", found.stdout)
    folder = source_tree.ROOT / "gin" / "evaluate"
    self.assertEqual(len(found.stdout.splitlines()), len(list(folder.glob("**/*.gin"))))


if __name__ == "__main__":
  unittest.main()
