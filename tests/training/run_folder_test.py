"""Tests of the folder of a run."""

import inspect
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import gin

from avssl_tf.training import configuration, run_folder, settings
from tests import source_tree


class RunFolderTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.model_dir = os.path.join(folder.name, "runs", "x")

  def write(self, name, text=""):
    path = os.path.join(self.model_dir, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
      f.write(text)
    return path

  def test_new_folder_is_made(self):
    with run_folder.claimed(self.model_dir):
      self.assertEqual(os.listdir(self.model_dir), [])

  def test_folder_of_a_run_is_taken_again(self):
    self.write(run_folder.OPERATIVE_CONFIG)
    self.write("checkpoints/ckpt-3.index")
    with run_folder.claimed(self.model_dir):
      pass
    with run_folder.claimed(self.model_dir):
      pass

  def test_run_killed_while_it_wrote_its_first_file(self):
    self.write(f"{run_folder.OPERATIVE_CONFIG}.tmp")
    with run_folder.claimed(self.model_dir):
      pass

  def test_other_files_are_left_alone(self):
    path = self.write("thesis.tex", "years of work")
    with self.assertRaisesRegex(FileExistsError, "holds 'thesis.tex', but no run"):
      with run_folder.claimed(self.model_dir):
        pass
    self.assertTrue(os.path.exists(path))

  def test_file_in_the_way(self):
    os.makedirs(os.path.dirname(self.model_dir))
    with open(self.model_dir, "w", encoding="utf-8") as f:
      f.write("")
    with self.assertRaises(OSError):
      with run_folder.claimed(self.model_dir):
        pass

  def test_one_process_at_a_time(self):
    script = (
      "import sys; from avssl_tf.training import run_folder\n"
      "with run_folder.claimed(sys.argv[1]): print('claimed', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
      [sys.executable, "-c", script, self.model_dir], cwd=source_tree.ROOT,
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
      self.assertEqual(process.stdout.readline(), "claimed\n")
      with self.assertRaisesRegex(settings.ConfigurationError, "another process is training"):
        with run_folder.claimed(self.model_dir):
          pass
      process.kill()
    with run_folder.claimed(self.model_dir):  # A killed process keeps nothing.
      pass

  def test_clear(self):
    for name in (run_folder.OPERATIVE_CONFIG, "metrics.jsonl", "checkpoints/a", "tensorboard/b/c"):
      self.write(name)
    outside = tempfile.mkdtemp()
    self.addCleanup(os.rmdir, outside)
    os.symlink(outside, os.path.join(self.model_dir, "link"))
    run_folder.clear(self.model_dir)
    self.assertEqual(os.listdir(self.model_dir), [])
    self.assertTrue(os.path.isdir(outside))


@gin.register(module="run_folder_test")
def part_of_a_run(width=1, depth=2):
  return width, depth


class CheckUnchangedTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.model_dir = folder.name
    self.addCleanup(gin.clear_config)
    self.use()

  def use(self, **bindings):
    gin.clear_config()
    for name, value in bindings.items():
      gin.bind_parameter(f"part_of_a_run.{name}", value)
    gin.get_configurable("part_of_a_run")()

  def test_new_run(self):
    self.assertEqual(run_folder.check_unchanged(self.model_dir), "")

  def test_same_configuration(self):
    run_folder.save_configuration(self.model_dir)
    self.assertEqual(run_folder.check_unchanged(self.model_dir), "")
    self.use(width=1)  # As by default.
    self.assertEqual(run_folder.check_unchanged(self.model_dir), "")

  def test_changed_configuration(self):
    run_folder.save_configuration(self.model_dir)
    self.use(width=5)
    with self.assertRaisesRegex(settings.ConfigurationError, r"  part_of_a_run.width: 1 -> 5\n"):
      run_folder.check_unchanged(self.model_dir)
    with mock.patch.object(run_folder, "CHANGEABLE", ("part_of_a_run.",)):
      changes = run_folder.check_unchanged(self.model_dir)
    self.assertEqual(changes, "  part_of_a_run.width: 1 -> 5")
    with mock.patch.object(run_folder, "CHANGEABLE", ("part_of_a_run.width",)):
      self.use(width=5, depth=1)
      with self.assertRaisesRegex(settings.ConfigurationError, "depth: 2 -> 1") as caught:
        run_folder.check_unchanged(self.model_dir)
    self.assertNotIn("width", str(caught.exception))

  def test_what_may_change_exists(self):
    configuration.parse(["gin/avid.gin"])
    for name in run_folder.CHANGEABLE:
      selector, _, parameter = name.partition(".")
      function = gin.get_configurable(selector)
      if parameter:
        self.assertIn(parameter, inspect.signature(function).parameters)

  def test_saved_file_is_one_that_gin_reads(self):
    self.use(width=3)
    run_folder.save_configuration(self.model_dir)
    gin.clear_config()
    gin.parse_config_file(os.path.join(self.model_dir, run_folder.OPERATIVE_CONFIG))
    self.assertEqual(gin.get_configurable("part_of_a_run")(), (3, 2))
    self.assertEqual(os.listdir(self.model_dir), [run_folder.OPERATIVE_CONFIG])


if __name__ == "__main__":
  unittest.main()
