"""Tests of the runs of a comparison as processes, with short scripts instead of training."""

import dataclasses
import os
import shutil
import sys
import tempfile
from unittest import mock

import gin
from absl.testing import absltest

from avssl_tf.comparison import run_series, seed_runs
from avssl_tf.comparison.seed_runs import Method
from avssl_tf.data.building.demo import DemoData
from avssl_tf.training.configurations.settings import ConfigurationError

_NOTE_THREADS = """
import os
names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
print("threads", [os.environ.get(name) for name in names])
"""
# Ends well only if all of `others` are running too.
_MEET = """
import os, sys, time
folder, own, others = sys.argv[1], sys.argv[2], sys.argv[3:]
open(os.path.join(folder, own), "w").close()
deadline = time.monotonic() + 30
while not all(os.path.exists(os.path.join(folder, other)) for other in others):
  if time.monotonic() > deadline:
    sys.exit(4)
  time.sleep(0.01)
"""


@dataclasses.dataclass(frozen=True)
class ScriptRun(seed_runs.Run):
  """A run that is a Python script with arguments."""

  script: tuple[str, ...] = ("",)

  def command(self):
    return [sys.executable, "-c", *self.script]


class SeriesTest(absltest.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)
    self.enter_context(mock.patch.object(DemoData, "build_if_missing"))
    self.ended = []

  def path(self, name):
    return os.path.join(self.folder, name)

  def run_of(self, name, *script, params=()):
    """A run called `name` that does `script`."""
    path = self.path(f"{name}-seed0")
    return ScriptRun(name, ("gin/avid.gin",), (*params, "seed=0"), 0, path, script or ("",))

  def train(self, runs, num_parallel=1, overwrite=False):
    missing = run_series.prepare(runs, overwrite)
    return run_series.train(missing, num_parallel, lambda run: self.ended.append(run.method))

  def log(self, name):
    with open(self.path(f"{name}-seed0.log"), encoding="utf-8") as f:
      return f.read()

  def test_a_failure_leaves_the_others_alone_and_is_tried_again(self):
    good, also_good = self.run_of("a"), self.run_of("c")
    bad = self.run_of("b", "import sys; sys.exit(3)")
    failures = self.train([good, bad, also_good])
    self.assertEqual(self.ended, ["a", "c"])
    self.assertLen(failures, 1)
    self.assertRegex(failures[0], "b, seed 0: the run in .*b-seed0 ended with status 3")
    self.assertEqual(self.train([good, self.run_of("b"), also_good]), [])
    self.assertEqual(self.ended, ["a", "c", "b"])

  def test_a_run_that_left_nothing_readable_leaves_the_others_alone(self):
    missing = run_series.prepare([self.run_of("a"), self.run_of("b")])

    def read(run):
      self.ended.append(run.method)
      raise ConfigurationError("no configuration there")

    self.assertEqual(
      run_series.train(missing, after_run=read),
      ["a, seed 0: no configuration there", "b, seed 0: no configuration there"],
    )
    self.assertEqual(self.ended, ["a", "b"])

  def test_runs_side_by_side(self):
    names = ("a", "b", "c")
    runs = [self.run_of(name, _MEET, self.folder, name, *names) for name in names]
    self.assertEqual(self.train(runs, num_parallel=3), [])
    self.assertCountEqual(self.ended, names)

  def test_does_no_more_at_once_than_it_may(self):
    # The first waits for the third, which only begins once the second has ended.
    runs = [
      self.run_of("a", _MEET, self.folder, "a", "c"),
      self.run_of("b"),
      self.run_of("c", _MEET, self.folder, "c", "a"),
    ]
    self.assertEqual(self.train(runs, num_parallel=2), [])
    self.assertEqual(self.ended[0], "b")

  def test_what_begins_with_another_waits_for_it(self):
    # The first ends once the third runs, which therefore came before the second.
    begin = f"train.init_from='{self.path('a-seed0')}'"
    runs = [
      self.run_of("a", _MEET, self.folder, "a", "c"),
      self.run_of("b", _MEET, self.folder, "b", "a", params=(begin,)),
      self.run_of("c", _MEET, self.folder, "c", "a"),
    ]
    self.assertEqual(self.train(runs, num_parallel=3), [])
    self.assertEqual(self.ended[-1], "b")
    circle = [
      self.run_of("d", params=(f"train.init_from='{self.path('e-seed0')}'",)),
      self.run_of("e", params=(f"train.init_from='{self.path('d-seed0')}'",)),
    ]
    self.assertIs(run_series._next(circle, []), circle[0])

  def test_those_side_by_side_share_the_cores(self):
    self.assertEqual(run_series.thread_limits(1), {})
    free = {k: v for k, v in os.environ.items() if k not in run_series.thread_limits(2)}
    with mock.patch.dict(os.environ, free, clear=True), mock.patch.object(
      os, "sched_getaffinity", return_value=set(range(7))
    ):
      self.train([self.run_of("a", _NOTE_THREADS)], num_parallel=2)
      with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "5"}):
        self.train([self.run_of("b", _NOTE_THREADS)], num_parallel=8)
    self.assertEqual(self.log("a"), "threads ['3', '3', '3']\n")
    self.assertEqual(self.log("b"), "threads ['5', '1', '1']\n")

  def test_failures_side_by_side_show_what_was_printed_last(self):
    script = "import sys; print('the begin', *range(9), sep='\\n'); sys.exit('Error: no data')"
    (failure,) = self.train([self.run_of("a", script)], num_parallel=2)
    self.assertIn("Error: no data", failure)
    self.assertNotIn("the begin", failure)
    self.assertIn("the begin", self.log("a"))

  def test_the_data_is_built_before_several_need_it(self):
    self.train([self.run_of("a")])
    DemoData.build_if_missing.assert_not_called()
    self.train([self.run_of("b")], num_parallel=2)
    DemoData.build_if_missing.assert_called_once()
    DemoData.build_if_missing.side_effect = ValueError("built by an older version")
    with self.assertRaisesRegex(ConfigurationError, "Method c: built by an older version"):
      self.train([self.run_of("c")], num_parallel=2)

  def test_an_interrupt_ends_what_is_running(self):
    run = self.run_of("a", "import time; time.sleep(60)")
    with mock.patch.object(run_series, "_first_ended", side_effect=KeyboardInterrupt) as ended:
      with self.assertRaises(KeyboardInterrupt):
        self.train([run])
    ((processes,), _) = ended.call_args
    self.assertEqual([process.returncode for process in processes.values()], [-15])
    self.assertEqual(list(run_series.prepare([run])), [run])

  def test_does_not_mix_configurations(self):
    self.train([self.run_of("a")])
    changed = self.run_of("a", params=["num_epochs=3"])
    with self.assertRaisesRegex(ConfigurationError, r"has changed since:(.|\n)*\+num_epochs = 3"):
      self.train([changed])
    self.train([changed], overwrite=True)
    self.assertEqual(self.ended, ["a", "a"])

  def test_leaves_folders_of_others_alone(self):
    os.makedirs(self.path("a-seed0/mine"))
    for overwrite in (False, True):
      with self.assertRaisesRegex(ConfigurationError, "this command did not write"):
        self.train([self.run_of("a")], overwrite=overwrite)
    self.assertTrue(os.path.exists(self.path("a-seed0/mine")))

  def write(self, name):
    path = self.path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
      f.write("years of work")
    return path

  def test_overwriting_deletes_nothing_of_others(self):
    run, other = self.run_of("a"), self.run_of("b")
    self.train([run, other], num_parallel=2)
    self.write("b-seed0/operative_config.gin")
    self.write("a-seed0/operative_config.gin")
    self.write("a-seed0/checkpoints/ckpt-1.index")
    for name in ("b-seed0/thesis.tex", "b-seed0/checkpoints/thesis.tex"):
      victim = self.write(name)
      with self.assertRaisesRegex(ConfigurationError, "b-seed0 contains .*thesis.tex"):
        self.train([run, other], overwrite=True)
      self.assertTrue(os.path.exists(victim))
      self.assertTrue(os.path.exists(self.path("a-seed0/checkpoints/ckpt-1.index")))
      os.remove(victim)
    os.rmdir(self.path("b-seed0/checkpoints"))
    self.train([run, other], overwrite=True)
    self.assertFalse(os.path.exists(self.path("a-seed0")))

  def test_links_to_others(self):
    run = self.run_of("a")
    self.train([run], num_parallel=2)
    victim = self.write("elsewhere/operative_config.gin")
    text = self.write("note.txt")
    os.remove(self.path("a-seed0.log"))
    for name, target in (("a-seed0", os.path.dirname(victim)), ("a-seed0.log", text)):
      os.symlink(target, self.path(name))
      with self.assertRaisesRegex(ConfigurationError, f"{name} is a symbolic link to"):
        self.train([run], overwrite=True)
      os.remove(self.path(name))
    self.assertTrue(os.path.exists(victim))
    self.assertTrue(os.path.exists(text))

  def test_files_of_others_in_the_place_of_the_record_and_the_log(self):
    for name, message in (
      ("a-seed0.json", "a-seed0.json is not a run record"),
      ("a-seed0.log", "a-seed0.log contains files that this command did not write"),
    ):
      victim = self.write(name)
      for overwrite in (False, True):
        with self.assertRaisesRegex(ConfigurationError, message):
          self.train([self.run_of("a")], num_parallel=2, overwrite=overwrite)
      with open(victim, encoding="utf-8") as f:
        self.assertEqual(f.read(), "years of work")
      os.remove(victim)

  def test_mistyped_settings_are_found_before_anything_runs(self):
    runs = [self.run_of("a"), self.run_of("b", params=["trian.batch_size=3"])]
    with self.assertRaisesRegex(ConfigurationError, "Method b"):
      self.train(runs)
    self.assertEqual(os.listdir(self.folder), [])

  def test_plans_are_done(self):
    runs = seed_runs.plan([Method("a", ("gin/avid.gin",))], [], ["0", "1"], self.folder)
    self.assertEqual(list(run_series.prepare(runs)), runs)


if __name__ == "__main__":
  absltest.main()
