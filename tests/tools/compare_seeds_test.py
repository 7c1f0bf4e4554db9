"""Tests of the command that compares methods over seeds; training is a stand-in."""

import json
import os
import shutil
import sys
import tempfile
from unittest import mock

import gin
from absl.testing import absltest

from avssl_tf.training import configuration
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


class PlanTest(absltest.TestCase):

  def test_all_methods_of_a_seed_come_before_the_next_seed(self):
    runs = compare_seeds.plan(
      ["gin/avid.gin", "gin/avid.gin,gin/scale/small.gin"], ["num_epochs=2"], ["4", "0"], "runs/x"
    )
    self.assertEqual(
      [run.model_dir for run in runs],
      [
        "runs/x/avid-seed4", "runs/x/avid+small-seed4",
        "runs/x/avid-seed0", "runs/x/avid+small-seed0",
      ],
    )  # fmt: skip
    self.assertEqual(
      runs[1].command(),
      [
        sys.executable, "-m", "avssl_tf.train",
        "--gin_file=gin/avid.gin", "--gin_file=gin/scale/small.gin",
        "--gin_param=num_epochs=2", "--gin_param=seed=4", "--model_dir=runs/x/avid+small-seed4",
      ],
    )  # fmt: skip

  def test_refuses_what_makes_no_comparison(self):
    for gin_files, seeds, message in (
      ([], ["0"], "Name a method"),
      (["gin/avid.gin"], [], "different integers"),
      (["gin/avid.gin"], ["0", "0"], "different integers"),
      (["gin/avid.gin"], ["0", "one"], "expected integers"),
      (["gin/avid.gin", "other/avid.gin"], ["0"], "Two methods are called 'avid'"),
    ):
      with self.subTest(message), self.assertRaisesRegex(compare_seeds.ComparisonError, message):
        compare_seeds.plan(gin_files, [], seeds, "runs/x")

  def test_configurations_have_the_seed_of_their_run(self):
    (run,) = compare_seeds.plan(["gin/avid.gin"], ["seed=7"], ["3"], "runs/x")
    self.addCleanup(gin.clear_config)
    self.assertIn("seed = 3", compare_seeds.resolved_configuration(run))
    (run,) = compare_seeds.plan(["gin/avid.gin"], ["train.seed=7"], ["3"], "runs/x")
    with self.assertRaisesRegex(compare_seeds.ComparisonError, "train.seed is not taken from"):
      compare_seeds.resolved_configuration(run)


class CommandTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.output_dir = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.output_dir)
    command = compare_seeds.Run.command
    self.enter_context(
      mock.patch.object(
        compare_seeds.Run,
        "command",
        lambda run: [sys.executable, "-c", _FAKE_TRAINING, *command(run)[3:]],
      )
    )

  def path(self, *names):
    return os.path.join(self.output_dir, *names)

  def compare(self, seeds="0,1", gin_params=(), overwrite=False):
    runs = compare_seeds.plan(
      ["gin/avid.gin", "gin/supervised.gin"], list(gin_params), seeds.split(","), self.output_dir
    )
    path = self.path("comparison.json")
    compare_seeds.compare(runs, overwrite, with_raw_input=False, output_path=path)
    with open(path, encoding="utf-8") as f:
      return json.load(f)

  def num_calls(self, run):
    return os.path.getsize(self.path(run, "calls"))

  def test_compares(self):
    result = self.compare()
    columns = result["columns"]
    self.assertEqual(list(columns), ["untrained", "avid", "supervised"])
    self.assertAlmostEqual(columns["untrained"]["linear_video"]["mean"], 0.105)
    self.assertAlmostEqual(columns["avid"]["linear_video"]["mean"], 0.35)
    self.assertAlmostEqual(columns["avid"]["linear_video"]["std"], 0.1 / 2**0.5)
    self.assertAlmostEqual(columns["supervised"]["linear_video"]["mean"], 0.85)
    self.assertAlmostEqual(columns["avid"]["training_sec"]["mean"], 3.2)
    self.assertEqual(columns["avid"]["training_sec"]["n"], 2)
    self.assertAlmostEqual(result["runs"]["avid"]["1"]["trained"]["linear_video"], 0.4)

  def test_repeats_no_finished_run_and_takes_further_seeds(self):
    self.compare("0")
    result = self.compare("0,1")
    self.assertEqual(self.num_calls("avid-seed0"), 1)
    self.assertEqual(self.num_calls("avid-seed1"), 1)
    self.assertEqual(result["columns"]["avid"]["linear_video"]["n"], 2)

  def test_goes_on_after_a_failure(self):
    with open(self.path("fail-1"), "w", encoding="utf-8"):
      pass
    with self.assertRaisesRegex(compare_seeds.ComparisonError, "avid-seed1 ended with status 3"):
      self.compare()
    os.remove(self.path("fail-1"))
    self.compare()
    self.assertEqual(self.num_calls("avid-seed0"), 1)
    self.assertEqual(self.num_calls("avid-seed1"), 2)

  def test_does_not_mix_configurations(self):
    self.compare("0")
    changed = r"has changed since:(.|\n)*\+num_epochs = 3"
    with self.assertRaisesRegex(compare_seeds.ComparisonError, changed):
      self.compare("0", ["num_epochs=3"])
    self.compare("0", ["num_epochs=3"], overwrite=True)
    self.assertEqual(self.num_calls("avid-seed0"), 1)

  def test_leaves_folders_of_others_alone(self):
    os.makedirs(self.path("avid-seed0"))
    with open(self.path("avid-seed0", "mine"), "w", encoding="utf-8"):
      pass
    for overwrite in (False, True):
      with self.assertRaisesRegex(compare_seeds.ComparisonError, "this command did not write"):
        self.compare("0", overwrite=overwrite)
    self.assertTrue(os.path.exists(self.path("avid-seed0", "mine")))

  def test_mistyped_settings_are_found_before_anything_runs(self):
    with self.assertRaises(configuration.ConfigurationError):
      self.compare("0", ["trian.batch_size=3"])
    self.assertEqual(os.listdir(self.output_dir), [])


if __name__ == "__main__":
  absltest.main()
