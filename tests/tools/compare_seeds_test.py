"""Tests of the command that compares methods over seeds, with fake training."""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from unittest import mock

import gin
from absl import flags
from absl.testing import absltest

from avssl_tf import cli
from avssl_tf.comparison import run_series
from avssl_tf.comparison.seed_runs import Method, Run, plan, resolved_configuration
from avssl_tf.training.configurations.settings import ConfigurationError
from tests import source_tree
from tools import compare_seeds

# Fake training: writes the outputs of a run, or fails on request.
_FAKE_TRAINING = """
import json, os, sys
params = dict(a[len("--gin_param="):].split("=") for a in sys.argv if a.startswith("--gin_param="))
model_dir = next(a.split("=")[1] for a in sys.argv if a.startswith("--model_dir="))
os.makedirs(model_dir, exist_ok=True)
with open(os.path.join(model_dir, "calls"), "a") as f:
  f.write("x")
seed = int(params["seed"])
if os.path.exists(model_dir + "-fails"):
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
        self.assertEqual(values(["compare_seeds", f"--flagfile={file}"]), ["compare_seeds"])
        methods = [Method.parse(text) for text in values.method]
        self.assertGreater(len(methods), 1)
        runs = plan(methods, values.gin_param, values.seeds, values.output_dir)
        compare_seeds.Comparison(runs, values.output_dir, values.baseline)
        for run in runs[: len(methods)]:
          resolved_configuration(run)


def _run_here(work, stopped):
  """As `cli.main` ends the command, once the flags are read."""
  with cli._plain_endings(stopped):
    work()
  sys.exit()


class CommandTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.output_dir = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.output_dir)
    command = Run.command
    self.enter_context(
      mock.patch.object(
        Run, "command", lambda run: [sys.executable, "-c", _FAKE_TRAINING, *command(run)[3:]]
      )
    )
    self.printed = ""
    self.failures = []

  def path(self, *names):
    return os.path.join(self.output_dir, *names)

  def compare(self, seeds="0,1", **options):
    """Compares AVID with the supervised method; returns what the JSON file says."""
    methods = [Method("AVID", ("gin/avid.gin",)), Method("supervised", ("gin/supervised.gin",))]
    runs = plan(methods, [], seeds.split(","), self.output_dir)
    comparison = compare_seeds.Comparison(runs, self.output_dir, **options)
    with contextlib.redirect_stdout(io.StringIO()) as out:
      self.failures = compare_seeds.compare(runs, comparison)
    self.printed = out.getvalue()
    with open(self.path(compare_seeds.COMPARISON_FILE), encoding="utf-8") as f:
      return json.load(f)

  def main(self):
    """Does AVID with seed 0 as the command does."""
    values = flags.FlagValues()
    compare_seeds.define_flags(values)
    values([
      "compare_seeds", "--method=AVID: gin/avid.gin", f"--output_dir={self.output_dir}", "--seeds=0"
    ])  # fmt: skip
    with contextlib.ExitStack() as patches:
      patches.enter_context(mock.patch.object(compare_seeds, "FLAGS", values))
      patches.enter_context(mock.patch.object(compare_seeds, "define_flags"))
      # Flags of this process are those of many commands, some of them required.
      patches.enter_context(mock.patch.object(compare_seeds.cli, "main", _run_here))
      compare_seeds.main()

  def num_calls(self, run):
    return os.path.getsize(self.path(run, "calls"))

  def test_compares(self):
    result = self.compare()
    rows = result["rows"]
    self.assertEqual(list(rows), ["untrained", "AVID", "supervised"])
    self.assertAlmostEqual(rows["untrained"]["linear_video"]["mean"], 0.105)
    self.assertAlmostEqual(rows["AVID"]["linear_video"]["mean"], 0.35)
    self.assertAlmostEqual(rows["AVID"]["linear_video"]["std"], 0.1 / 2**0.5)
    self.assertAlmostEqual(rows["supervised"]["linear_video"]["mean"], 0.85)
    self.assertAlmostEqual(rows["AVID"]["training_sec"]["mean"], 3.2)
    self.assertEqual(rows["AVID"]["training_sec"]["n"], 2)
    self.assertAlmostEqual(result["runs"]["AVID"]["1"]["trained"]["linear_video"], 0.4)
    self.assertEqual(result["differences"], {})

  def test_shows_what_is_known_after_each_run(self):
    self.compare()
    tables = [text.split("\n\n")[0] for text in self.printed.split("\n%")[1:]]
    self.assertLen(tables, 4)
    self.assertNotIn("supervised", tables[0])
    self.assertIn("supervised           80.0 ", tables[1])
    self.assertIn("supervised           80.0 ", tables[2])
    self.assertIn("supervised     85.0 ± 7.1 ", tables[3])

  def test_subtracts_the_baseline(self):
    result = self.compare(baseline="AVID")
    (row,) = result["differences"].values()
    self.assertAlmostEqual(row["linear_video"]["mean"], 0.5)
    self.assertAlmostEqual(row["linear_video"]["std"], 0)
    self.assertIn("points       linear video", self.printed)
    self.assertIn("supervised    +50.0 ± 0.0", self.printed)

  def test_draws_curves_where_there_are_some(self):
    self.compare(plot=True)
    self.assertIn("No curves", self.printed)
    self.assertFalse(os.path.exists(self.path(compare_seeds.CURVES_FILE)))
    with open(self.path("AVID-seed1", "metrics.jsonl"), "a", encoding="utf-8") as f:
      f.writelines(json.dumps({"step": step, "loss": 0.5}) + "\n" for step in (20, 30))
    shutil.copy(self.path("AVID-seed1", "metrics.jsonl"), self.path("AVID-seed0"))
    self.compare(plot=True)
    self.assertIn(f"Curves: {self.path(compare_seeds.CURVES_FILE)}", self.printed)
    with open(self.path(compare_seeds.CURVES_FILE), "rb") as f:
      self.assertEqual(f.read(4), b"\x89PNG")

  def test_refuses_a_baseline_that_is_no_method(self):
    with self.assertRaisesRegex(ConfigurationError, "no such method; expected one of AVID, su"):
      self.compare(baseline="avid")
    self.assertEqual(os.listdir(self.output_dir), [])

  def test_repeats_no_finished_run_and_takes_further_seeds(self):
    self.compare("0")
    result = self.compare("0,1")
    self.assertEqual(self.num_calls("AVID-seed0"), 1)
    self.assertEqual(self.num_calls("AVID-seed1"), 1)
    self.assertEqual(result["rows"]["AVID"]["linear_video"]["n"], 2)
    self.compare("0,1", markdown=True)
    self.assertIn("\n| supervised | 85.0 ± 7.1 | 3 ± 0 |", self.printed)

  def test_tables_what_did_not_fail(self):
    with open(self.path("AVID-seed0-fails"), "w", encoding="utf-8"):
      pass
    rows = self.compare()["rows"]
    self.assertLen(self.failures, 1)
    self.assertEqual(list(rows), ["untrained", "AVID", "supervised"])
    self.assertEqual(rows["AVID"]["linear_video"]["n"], 1)
    self.assertEqual(rows["supervised"]["linear_video"]["n"], 2)
    self.assertEqual(rows["untrained"]["linear_video"]["n"], 2)
    os.remove(self.path("AVID-seed0-fails"))
    self.assertEqual(self.compare()["rows"]["AVID"]["linear_video"]["n"], 2)
    self.assertEqual(self.failures, [])
    self.assertEqual(self.num_calls("AVID-seed0"), 2)
    self.assertEqual(self.num_calls("AVID-seed1"), 1)

  def test_the_exit_status_tells_of_failures(self):
    self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    with open(self.path("AVID-seed0-fails"), "w", encoding="utf-8"):
      pass
    with self.assertRaises(SystemExit) as raised:
      self.main()
    self.assertRegex(raised.exception.code, "1 of 1 runs failed(.|\n)*AVID, seed 0: the run in")
    os.remove(self.path("AVID-seed0-fails"))
    with self.assertRaises(SystemExit) as raised:
      self.main()
    self.assertIsNone(raised.exception.code)

  def test_a_kill_stops_like_an_interrupt(self):
    self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))

    def kill(processes):
      self.processes = list(processes.values())
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(10)

    with mock.patch.object(run_series, "_first_ended", kill):
      errors = io.StringIO()
      with self.assertRaises(SystemExit) as raised, contextlib.redirect_stderr(errors):
        self.main()
    self.assertEqual(raised.exception.code, 143)
    self.assertRegex(errors.getvalue(), "Stopped, including active runs. Rerun the command")
    self.assertNotIn(None, [process.returncode for process in self.processes])


if __name__ == "__main__":
  absltest.main()
