"""Tests of replacing a SavedModel atomically: foreign files survive, nothing is mixed."""

import contextlib
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from avssl_tf import files
from avssl_tf.inference import saved_model_folder
from tests import source_tree

_FILES = (
  "saved_model.pb",
  "variables/variables.index",
  f"{saved_model_folder.EXTRA_DIR}/{saved_model_folder.INPUT_SPEC_FILE}",
)
_EXPORT = """
import sys
from avssl_tf.inference import saved_model_folder
from tests.inference import saved_model_folder_test
with saved_model_folder.replaced(sys.argv[1], True) as folder:
  saved_model_folder_test.fill(folder, "theirs")
  print("exporting", flush=True)
  sys.stdin.readline()
"""


class _Killed(BaseException):
  pass


def fill(folder, text):
  """Writes files that imitate a SavedModel."""
  for name in _FILES:
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
      f.write(text)


class SavedModelFolderTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name
    self.target = self.path("model")

  def path(self, name):
    return os.path.join(self.folder, name)

  def export(self, text, target=None, overwrite=True):
    with saved_model_folder.replaced(target or self.target, overwrite) as folder:
      fill(folder, text)

  def content(self, folder=None):
    texts = set()
    for name in _FILES:
      with open(os.path.join(folder or self.target, name), encoding="utf-8") as f:
        texts.add(f.read())
    self.assertEqual(len(texts), 1, "Two SavedModels are mixed.")
    return texts.pop()

  def victim(self, name):
    path = self.path(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
      f.write("work")
    return path

  def assert_refused(self, text):
    with self.assertRaisesRegex((FileExistsError, files.FolderInUseError), text):
      self.export("new")

  @contextlib.contextmanager
  def killed_at(self, number):
    """Stops at rename `number` without cleaning up, like a kill."""
    rename, calls = os.rename, []

    def killing(*paths):
      calls.append(paths)
      if len(calls) == number:
        raise _Killed
      rename(*paths)

    with mock.patch.object(os, "rename", killing), self.assertRaises(_Killed):
      with mock.patch.object(saved_model_folder, "_put_back"):
        with mock.patch.object(saved_model_folder, "_delete"):
          yield

  def test_new_replaced_and_refused(self):
    self.export("first", overwrite=False)
    with self.assertRaisesRegex(FileExistsError, "already contains a SavedModel"):
      self.export("second", overwrite=False)
    self.assertEqual(self.content(), "first")
    self.export("second")
    self.assertEqual(self.content(), "second")
    self.assertEqual(os.listdir(self.folder), ["model"])

  def test_neighbours_of_any_name_survive(self):
    self.export("first")
    names = ("model.old/thesis.tex", "model.tmp/thesis.tex", ".model.export-abcdefgh/thesis.tex")
    victims = [self.victim(name) for name in names]
    os.makedirs(self.path("elsewhere/new"))
    victims.append(self.victim("elsewhere/new/saved_model.pb"))
    os.symlink("elsewhere", self.path(".model.export-linklink"))
    self.export("second")
    self.assertEqual(self.content(), "second")
    for path in victims:
      self.assertTrue(os.path.exists(path), path)

  def test_foreign_files_inside(self):
    self.export("first")
    for name in ("thesis.tex", "variables/thesis.tex", "assets/vocabulary.txt", "0001/a"):
      with self.subTest(name):
        path = self.victim(f"model/{name}")
        self.assert_refused(f"{self.target} contains '{name.partition('/a')[0]}'")
        self.assertTrue(os.path.exists(path))
        self.assertEqual(self.content(), "first")
        os.remove(path)
        if name == "0001/a":
          os.rmdir(os.path.dirname(path))

  def test_foreign_file_that_comes_during_the_export(self):
    self.export("first")
    with self.assertRaisesRegex(FileExistsError, "contains 'thesis.tex'"):
      with saved_model_folder.replaced(self.target, True) as folder:
        fill(folder, "second")
        path = self.victim("model/thesis.tex")
    self.assertTrue(os.path.exists(path))
    self.assertEqual(self.content(), "first")
    self.assertEqual(os.listdir(self.folder), ["model"])

  def test_saved_model_of_another_program(self):
    path = self.victim("model/saved_model.pb")
    self.assert_refused("was not written by avssl_tf")
    self.assertTrue(os.path.exists(path))

  def test_target_that_is_a_link(self):
    self.export("theirs", self.path("theirs"))
    for target in ("theirs", "nowhere"):
      with self.subTest(target):
        os.symlink(target, self.target)
        self.assert_refused(f"'{self.target}' is a symbolic link to '{target}'")
        self.assertEqual(self.content(self.path("theirs")), "theirs")
        os.remove(self.target)

  def test_file_at_the_target(self):
    path = self.victim("model")
    self.assert_refused("is not a SavedModel")
    self.assertTrue(os.path.isfile(path))

  def test_an_empty_folder_survives_a_failure(self):
    os.mkdir(self.target)
    with self.assertRaisesRegex(OSError, "disk full"):
      with saved_model_folder.replaced(self.target, False):
        raise OSError("disk full")
    self.assertEqual(os.listdir(self.folder), ["model"])

  def test_error_between_the_renames(self):
    self.export("first")
    rename, calls = os.rename, []

    def failing(*paths):
      calls.append(paths)
      if len(calls) == 2:
        raise OSError("input/output error")
      rename(*paths)

    with mock.patch.object(os, "rename", failing), self.assertRaisesRegex(OSError, "input/output"):
      self.export("second")
    self.assertEqual(self.content(), "first")
    self.assertEqual(os.listdir(self.folder), ["model"])

  def test_killed_at_every_step(self):
    for number, expected in ((1, "first"), (2, "first")):
      with self.subTest(number):
        self.export("first")
        with self.killed_at(number):
          self.export("second")
        works = [name for name in os.listdir(self.folder) if name.startswith(".model.export-")]
        self.assertEqual(len(works), 1)
        place = self.path(f"{works[0]}/old") if number == 2 else self.target
        self.assertEqual(self.content(place), expected)
        self.assertEqual(self.content(self.path(f"{works[0]}/new")), "second")
        with self.assertRaisesRegex(FileExistsError, "already contains a SavedModel"):
          self.export("third", overwrite=False)  # The previous content is restored, not replaced.
        self.assertEqual(self.content(), "first")
        self.assertEqual(os.listdir(self.folder), ["model"])

  def test_killed_before_the_old_one_is_deleted(self):
    self.export("first")
    with mock.patch.object(saved_model_folder, "_delete"):
      self.export("second")
    self.assertEqual(len(os.listdir(self.folder)), 2)
    self.export("third")
    self.assertEqual(self.content(), "third")
    self.assertEqual(os.listdir(self.folder), ["model"])

  def test_left_overs_that_hold_foreign_files_stay(self):
    self.export("first")
    with mock.patch.object(saved_model_folder, "_delete"):
      self.export("second")
    work = next(name for name in os.listdir(self.folder) if name != "model")
    path = self.victim(f"{work}/old/thesis.tex")
    with self.assertLogs("absl", "WARNING") as logs:
      self.export("third")
    self.assertIn("old/thesis.tex", "".join(logs.output))
    self.assertTrue(os.path.exists(path))
    self.assertEqual(self.content(), "third")

  def test_two_processes(self):
    self.export("first")
    with subprocess.Popen(
      [sys.executable, "-c", _EXPORT, self.target], cwd=source_tree.ROOT,
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
      self.assertEqual(process.stdout.readline(), "exporting\n")
      self.assert_refused("Another process is exporting")
      self.assertEqual(self.content(), "first")
      self.export("other", self.path("other"))  # Another target in the same folder.
      process.communicate("\n")
    self.assertEqual(process.returncode, 0)
    self.assertEqual(self.content(), "theirs")
    self.assertEqual(sorted(os.listdir(self.folder)), ["model", "other"])

  def test_killed_process(self):
    self.export("first")
    with subprocess.Popen(
      [sys.executable, "-c", _EXPORT, self.target], cwd=source_tree.ROOT,
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
      self.assertEqual(process.stdout.readline(), "exporting\n")
      process.kill()
    self.assertEqual(self.content(), "first")
    self.assertEqual(len(os.listdir(self.folder)), 2)
    self.export("second")
    self.assertEqual(self.content(), "second")
    self.assertEqual(os.listdir(self.folder), ["model"])

  def test_target_that_another_process_replaced(self):
    with self.assertRaisesRegex(files.FolderInUseError, "was replaced by another process"):
      with saved_model_folder.replaced(self.target, True) as folder:
        fill(folder, "second")
        os.rmdir(self.target)
        fill(self.target, "theirs")
    self.assertEqual(self.content(), "theirs")
    self.assertEqual(os.listdir(self.folder), ["model"])


if __name__ == "__main__":
  unittest.main()
