"""Tests of the command that compares methods over seeds; training is a stand-in."""

import json
import os
import shutil
import sys
import tempfile
from unittest import mock

import gin
from absl import flags
from absl.testing import absltest

from avssl_tf.training.seed_runs import Method, Run, plan, resolved_configuration
from avssl_tf.training.settings import ConfigurationError
from tests import source_tree
from tools import compare_seeds

# What stands in for training: writes what a run leaves, or fails where it is told to.
_FAKE_TRAINING = """
import json, os, sys
params = dict(a[len("--gin_param="):].split("=") for a in sys.argv if a.startswith("--gin_param="))
model_dir = next(a.split("=")[1] for a in sys.argv if a.startswith("--model_dir="))
os.makedirs(model_dir, exist_ok=True)
with open(os.path.join(model_dir, "calls"), "a") as f:
  f.write("x")
seed = int(params["seed"])
if os.path.exists(os.path.join(os.path.dirname(model_dir), f"fail-{seed}")):
  sys.exit(3)
method_bonus = 0.5 if "supervised" in model_dir else 0.0
lines = [
  {"step": 0, "probe/linear_video": 0.1 + seed / 100},
  {"step": 10, "loss": 1.0, "clips_per_sec": 100.0},
  {"step": 10, "probe/linear_video": 0.3 + seed / 10 + method_bonus},
]
with open(os.path.join(model_dir, "metrics.jsonl"), "w") as f:
  f.writelines(json.dumps(line) + "\\n" for line in lines)
with open(os.path.join(model_dir, "operative_config.gin"), "w") as f:
  f.write("train.batch_size = 32")
"""


class FlagFilesTest(absltest.TestCase):

  def test_all_make_comparisons(self):
    files = sorted((source_tree.ROOT / "gin" / "compare").glob("*.flags"))
    self.assertNotEmpty(files)
    self.addCleanup(gin.clear_config)
    for file in files:
      with self.subTest(file.name):
        values = flags.FlagValues()
        compare_seeds.define_flags(values)
        values(["compare_seeds.py", f"--flagfile={file}"])
        methods = [Method.parse(text) for text in values.method]
        self.assertGreater(len(methods), 1)
        for run in plan(methods, values.gin_param, ["0"], values.output_dir):
          resolved_configuration(run)


class CommandTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.output_dir = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.output_dir)
    command = Run.command
    self.enter_context(
      mock.patch.object(
        Run,
        "command",
        lambda run: [sys.executable, "-c", _FAKE_TRAINING, *command(run)[3:]],
      )
    )

  def path(self, *names):
    return os.path.join(self.output_dir, *names)

  def compare(self, seeds="0,1", gin_params=(), overwrite=False):
    methods = [Method("AVID", ("gin/avid.gin",)), Method("supervised", ("gin/supervised.gin",))]
    runs = plan(methods, list(gin_params), seeds.split(","), self.output_dir)
    path = self.path("comparison.json")
    compare_seeds.compare(runs, overwrite, with_raw_input=False, output_path=path)
    with open(path, encoding="utf-8") as f:
      return json.load(f)

  def num_calls(self, run):
    return os.path.getsize(self.path(run, "calls"))

  def test_compares(self):
    result = self.compare()
    columns = result["columns"]
    self.assertEqual(list(columns), ["untrained", "AVID", "supervised"])
    self.assertAlmostEqual(columns["untrained"]["linear_video"]["mean"], 0.105)
    self.assertAlmostEqual(columns["AVID"]["linear_video"]["mean"], 0.35)
    self.assertAlmostEqual(columns["AVID"]["linear_video"]["std"], 0.1 / 2**0.5)
    self.assertAlmostEqual(columns["supervised"]["linear_video"]["mean"], 0.85)
    self.assertAlmostEqual(columns["AVID"]["training_sec"]["mean"], 3.2)
    self.assertEqual(columns["AVID"]["training_sec"]["n"], 2)
    self.assertAlmostEqual(result["runs"]["AVID"]["1"]["trained"]["linear_video"], 0.4)

  def test_repeats_no_finished_run_and_takes_further_seeds(self):
    self.compare("0")
    result = self.compare("0,1")
    self.assertEqual(self.num_calls("AVID-seed0"), 1)
    self.assertEqual(self.num_calls("AVID-seed1"), 1)
    self.assertEqual(result["columns"]["AVID"]["linear_video"]["n"], 2)

  def test_goes_on_after_a_failure(self):
    with open(self.path("fail-1"), "w", encoding="utf-8"):
      pass
    with self.assertRaisesRegex(ConfigurationError, "AVID-seed1 ended with status 3"):
      self.compare()
    os.remove(self.path("fail-1"))
    self.compare()
    self.assertEqual(self.num_calls("AVID-seed0"), 1)
    self.assertEqual(self.num_calls("AVID-seed1"), 2)

  def test_does_not_mix_configurations(self):
    self.compare("0")
    changed = r"has changed since:(.|\n)*\+num_epochs = 3"
    with self.assertRaisesRegex(ConfigurationError, changed):
      self.compare("0", ["num_epochs=3"])
    self.compare("0", ["num_epochs=3"], overwrite=True)
    self.assertEqual(self.num_calls("AVID-seed0"), 1)

  def test_leaves_folders_of_others_alone(self):
    os.makedirs(self.path("AVID-seed0"))
    with open(self.path("AVID-seed0", "mine"), "w", encoding="utf-8"):
      pass
    for overwrite in (False, True):
      with self.assertRaisesRegex(ConfigurationError, "this command did not write"):
        self.compare("0", overwrite=overwrite)
    self.assertTrue(os.path.exists(self.path("AVID-seed0", "mine")))

  def test_mistyped_settings_are_found_before_anything_runs(self):
    with self.assertRaises(ConfigurationError):
      self.compare("0", ["trian.batch_size=3"])
    self.assertEqual(os.listdir(self.output_dir), [])


if __name__ == "__main__":
  absltest.main()
