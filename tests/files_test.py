"""Tests of atomic files and of locked folders."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

from avssl_tf import files


class WholeFileTest(unittest.TestCase):

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name
    self.path = os.path.join(self.folder, "a.json")

  def _write(self, text):
    with files.whole_file(self.path) as temporary, open(temporary, "w", encoding="utf-8") as f:
      f.write(text)

  def _read(self):
    with open(self.path, encoding="utf-8") as f:
      return f.read()

  def test_replaces_the_file(self):
    self._write("old")
    self._write("new")
    self.assertEqual(self._read(), "new")
    self.assertEqual(os.listdir(self.folder), ["a.json"])

  def test_keeps_the_old_file_after_an_error(self):
    self._write("old")
    with self.assertRaises(RuntimeError), files.whole_file(self.path) as temporary:
      with open(temporary, "w", encoding="utf-8") as f:
        f.write("half")
      raise RuntimeError
    self.assertEqual(self._read(), "old")
    self.assertEqual(os.listdir(self.folder), ["a.json"])


class LeftoversTest(unittest.TestCase):

  def test_lists_own_files_of_killed_processes_alone(self):
    with tempfile.TemporaryDirectory() as folder:
      for name in ("a.json.tmp-12", "b.txt.tmp-12", "a.json.tmp-x", "a.json", "xa.json.tmp-1"):
        with open(os.path.join(folder, name), "w", encoding="utf-8"):
          pass
      os.mkdir(os.path.join(folder, "a.json.tmp-13"))
      os.symlink(os.path.join(folder, "a.json"), os.path.join(folder, "a.json.tmp-14"))
      found = files.leftovers(folder, re.compile(r"a\.json"))
      self.assertEqual(found, [os.path.join(folder, "a.json.tmp-12")])


class LockedTest(unittest.TestCase):

  def test_keeps_other_processes_out_and_leaves_nothing_behind(self):
    code = (
      "import sys; from avssl_tf import files\n"
      "with files.locked(sys.argv[1], 'in use'): print('inside')"
    )

    def other():
      command = [sys.executable, "-c", code, folder]
      return subprocess.run(command, capture_output=True, text=True, check=False)

    with tempfile.TemporaryDirectory() as folder:
      with files.locked(folder, "in use"):
        refused = other()
        self.assertEqual(refused.returncode, 1)
        self.assertIn("FolderInUseError: in use", refused.stderr)
      self.assertEqual(other().stdout, "inside\n")
      self.assertEqual(os.listdir(folder), [])

  def test_needs_a_folder(self):
    with tempfile.NamedTemporaryFile() as file, self.assertRaises(NotADirectoryError):
      with files.locked(file.name, "in use"):
        pass


if __name__ == "__main__":
  unittest.main()
