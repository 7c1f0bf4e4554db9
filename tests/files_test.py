"""Tests of atomic files and of locked folders."""

import errno
import json
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


  def test_a_full_disk_names_the_file(self):
    for error in (OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EFBIG, "large")):
      with self.assertRaises(OSError) as raised, files.whole_file(self.path):
        raise error
      found = raised.exception
      self.assertEqual((found.errno, found.filename), (error.errno, self.path))
    # An error of another file, which is read in the block.
    with self.assertRaises(FileNotFoundError) as raised, files.whole_file(self.path):
      open("/nowhere/x")  # noqa: SIM115
    self.assertEqual(raised.exception.filename, "/nowhere/x")
    self.assertEqual(os.listdir(self.folder), [])


class JsonTest(unittest.TestCase):

  def test_objects_and_lists(self):
    with tempfile.TemporaryDirectory() as folder:
      path = os.path.join(folder, "a.json")
      for text, kind in (('{"a": [1]}', dict), ("[1]", list)):
        with open(path, "w", encoding="utf-8") as f:
          f.write(text)
        self.assertEqual(files.read_json(path, kind), json.loads(text))

  def test_what_is_refused(self):
    for text, kind, message in (
      ("[]", dict, "a.json is JSON, but contains .*; expected an object"),
      ("{}", list, "expected a list"),
      ("7", dict, "contains 7; expected an object"),
      ("", dict, "a.json is not JSON"),
      (b"\0" * 40, dict, "a.json is not JSON"),
      (b"\xff\xfe{", dict, "a.json is not JSON"),
      ("[" * 100_000, list, "a.json is nested too deeply|a.json is not JSON"),
      ('{"a":' * 100_000 + "1" + "}" * 100_000, dict, "a.json is nested too deeply"),
    ):
      with self.subTest(message), self.assertRaisesRegex(files.JsonError, message):
        files.parse_json(text, "a.json", kind)


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

  def test_abandoned_files_are_of_processes_that_are_gone(self):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with tempfile.TemporaryDirectory() as folder:
      path = os.path.join(folder, "page.html")
      names = [f"{path}.tmp-{number}" for number in (gone.pid, os.getpid(), 10**30)]
      for name in [*names, f"{folder}/other.html.tmp-{gone.pid}"]:
        with open(name, "w", encoding="utf-8"):
          pass
      self.assertCountEqual(files.abandoned(path), [names[0], names[2]])


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


class LockedFolderTest(unittest.TestCase):

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name

  def test_makes_folders_and_takes_back_what_stays_empty(self):
    path = os.path.join(self.folder, "a", "b")
    with files.locked_folder(path, "in use"):
      self.assertTrue(os.path.isdir(path))
      with self.assertRaisesRegex(files.FolderInUseError, "in use"):
        with files.locked_folder(path, "in use"):
          self.fail("it is locked")
    self.assertEqual(os.listdir(self.folder), [])
    with self.assertRaises(RuntimeError), files.locked_folder(path, "in use"):
      with open(os.path.join(path, "kept"), "w", encoding="utf-8"):
        raise RuntimeError
    self.assertTrue(os.path.exists(os.path.join(path, "kept")))

  def test_folders_that_were_there_stay(self):
    path = os.path.join(self.folder, "there")
    os.mkdir(path)
    with files.locked_folder(path, "in use"):
      pass
    self.assertTrue(os.path.isdir(path))


class ChangesTest(unittest.TestCase):

  def test_lines(self):
    before = files.as_json({"same": (1, 2), "gone": None, "other": "a"})
    now = files.as_json({"same": [1, 2], "other": "b", "new": 1})
    self.assertEqual(
      files.changes(before, now),
      ["  gone: None -> (not set)", "  new: (not set) -> 1", "  other: 'a' -> 'b'"],
    )


if __name__ == "__main__":
  unittest.main()
