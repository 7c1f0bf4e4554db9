"""Tests of run folders."""

import contextlib
import inspect
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import gin

from avssl_tf import files, own_files
from avssl_tf.training import run_folder
from avssl_tf.training.configurations import configuration, settings
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
    with self.assertRaisesRegex(FileExistsError, "contains 'thesis.tex', but no run"):
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
      with self.assertRaisesRegex(files.FolderInUseError, "another process is training"):
        with run_folder.claimed(self.model_dir):
          pass
      process.kill()
    with run_folder.claimed(self.model_dir):  # A killed process holds no lock.
      pass

  def fill(self):
    """Writes a run with all files of this and earlier versions."""
    for name in (
      run_folder.OPERATIVE_CONFIG,
      f"{run_folder.OPERATIVE_CONFIG}.tmp",
      f"{run_folder.OPERATIVE_CONFIG}.tmp-12",
      "checkpoints/checkpoint",
      "checkpoints/ckpt-12.index",
      "checkpoints/ckpt-12.data-00000-of-00001",
      "checkpoints/ckpt-14.data-00000-of-00001.tempstate1234",
      "checkpoints/ckpt-14_temp/part-00000-of-00001.data-00000-of-00001",
      "metrics.jsonl",
      "metrics.jsonl.tmp",
      "video_ids.txt",
      "report.html",
      "report.html.tmp-99",
      "tensorboard/events.out.tfevents.1700000000.host.12.0.v2",
      "tensorboard/projector_config.pbtxt",
      "tensorboard/projector/video_audio_sprite.jpg",
      "saved_model/saved_model.pb",
      "saved_model/variables/variables.data-00000-of-00001",
      "saved_model/assets.extra/input_spec.json",
      "saved_model.old/saved_model.pb",
      "saved_model.tmp/saved_model.pb",
      ".saved_model.export-abcd1234/new/saved_model.pb",
      "evaluation/knn/results.json",
      "evaluation/localization/clips.csv",
      "evaluation/localization/work/clips-0123456789ab.csv",
      "evaluation/finetune/work/fold1/ckpt-3.index",
      "evaluation/audio_svm/work/features/train-00000.npz",
      "saved_model.evaluation/knn/results.json",
    ):
      self.write(name)

  def test_left_overs_of_killed_runs_are_swept(self):
    with run_folder.claimed(self.model_dir):
      pass
    kept = (
      "operative_config.gin", "metrics.jsonl", "checkpoints/ckpt-2.index",
      "checkpoints/ckpt-2.data-00000-of-00001", "checkpoints/notes.tmp-7", "report.html.tmp-7",
      "notes.tmp", "tensorboard/mine.tmp-1",
    )  # fmt: skip
    swept = (
      "operative_config.gin.tmp", "metrics.jsonl.tmp-12", "video_ids.txt.tmp",
      "checkpoints/checkpoint.tmp" + "0a" * 16, "checkpoints/checkpoint.tmp-31",
      "checkpoints/ckpt-4.index.tempstate123", "checkpoints/ckpt-4_temp/part-00000-of-00001.index",
      "tensorboard/projector/video.tsv.tmp-9",
    )  # fmt: skip
    for name in (*kept, *swept):
      path = os.path.join(self.model_dir, name)
      os.makedirs(os.path.dirname(path), exist_ok=True)
      with open(path, "w", encoding="utf-8"):
        pass
    with run_folder.claimed(self.model_dir):
      pass
    found = [
      os.path.relpath(os.path.join(folder, name), self.model_dir)
      for folder, _, names in os.walk(self.model_dir)
      for name in names
    ]
    self.assertEqual(sorted(found), sorted(kept))
    self.assertFalse(os.path.exists(os.path.join(self.model_dir, "checkpoints/ckpt-4_temp")))

  def test_clear(self):
    self.fill()
    run_folder.clear(self.model_dir)
    self.assertEqual(os.listdir(self.model_dir), [])

  def test_clear_deletes_nothing_beside_foreign_files(self):
    self.fill()
    outside = os.path.join(os.path.dirname(self.model_dir), "outside")
    os.makedirs(os.path.join(outside, "work"))
    for name in (
      "thesis.tex",
      "checkpoints/best/ckpt-3.index",
      "checkpoints/notes.txt",
      "tensorboard/other_run/events.out.tfevents.1",
      "saved_model/thesis.tex",
      "evaluation/notes.txt",
      "other_run/operative_config.gin",
    ):
      with self.subTest(name):
        path = self.write(name)
        before = sorted(os.walk(self.model_dir))
        with self.assertRaisesRegex(own_files.ForeignFilesError, name.rpartition("/")[0] or name):
          run_folder.clear(self.model_dir)
        self.assertEqual(sorted(os.walk(self.model_dir)), before)
        os.remove(path)
        with contextlib.suppress(OSError):
          os.removedirs(os.path.dirname(path))
    for name in ("link", "evaluation/elsewhere"):
      with self.subTest(name):
        os.symlink(outside, os.path.join(self.model_dir, name))
        with self.assertRaisesRegex(own_files.ForeignFilesError, name):
          run_folder.clear(self.model_dir)
        os.remove(os.path.join(self.model_dir, name))
    self.assertEqual(os.listdir(outside), ["work"])

  def test_clear_killed_half_way(self):
    self.fill()
    remove, calls = os.remove, []

    def killed(path):
      calls.append(path)
      if len(calls) > 9:
        raise KeyboardInterrupt
      remove(path)

    with mock.patch.object(os, "remove", killed), self.assertRaises(KeyboardInterrupt):
      run_folder.clear(self.model_dir)
    self.assertIn(run_folder.OPERATIVE_CONFIG, os.listdir(self.model_dir))
    with run_folder.claimed(self.model_dir):
      run_folder.clear(self.model_dir)
    self.assertEqual(os.listdir(self.model_dir), [])

  def test_folder_that_the_user_links(self):
    self.fill()
    link = f"{self.model_dir}-link"
    os.symlink(self.model_dir, link)
    with run_folder.claimed(link):
      run_folder.clear(link)
    self.assertEqual(os.listdir(self.model_dir), [])

  def test_parts_that_are_links_are_not_written_through(self):
    self.write(run_folder.OPERATIVE_CONFIG)
    for name in ("checkpoints", "metrics.jsonl", "tensorboard", "saved_model", "evaluation"):
      with self.subTest(name):
        link = os.path.join(self.model_dir, name)
        os.symlink("/nowhere", link)
        with self.assertRaisesRegex(own_files.ForeignFilesError, f"{link} is a symbolic link to"):
          with run_folder.claimed(self.model_dir):
            pass
        os.remove(link)
    os.symlink("/nowhere", os.path.join(self.model_dir, "data"))  # Not a file of a run.
    with run_folder.claimed(self.model_dir):
      pass


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
    self.use(width=1)  # As in the default.
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

  def test_every_optimizer_and_probe_may_change(self):
    configuration.parse(["gin/avid.gin"])
    registered = [selector.split(".") for selector in dict(gin.config._REGISTRY.items())]
    names = {
      name
      for *module, name in registered
      if module[-1:] == ["optimizers"] or name.endswith("Probe")
    } - {"LinearProbe"}  # A protocol of evaluation.
    self.assertLessEqual({"Adam", "Probe"}, names)
    self.assertLessEqual({f"{name}." for name in names}, set(run_folder.CHANGEABLE))

  def test_saved_file_is_one_that_gin_reads(self):
    self.use(width=3)
    run_folder.save_configuration(self.model_dir)
    gin.clear_config()
    gin.parse_config_file(os.path.join(self.model_dir, run_folder.OPERATIVE_CONFIG))
    self.assertEqual(gin.get_configurable("part_of_a_run")(), (3, 2))
    self.assertEqual(os.listdir(self.model_dir), [run_folder.OPERATIVE_CONFIG])


if __name__ == "__main__":
  unittest.main()
