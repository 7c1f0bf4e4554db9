"""Tests of deleting only known files."""

import os
import tempfile
import unittest

from avssl_tf import own_files

_TREE = {r"note\.txt": None, r"parts": {r"\d+\.npz": None, r"inner": {r"a": None}}, r"\d+": {}}


class OwnFilesTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.outside = os.path.join(folder.name, "outside")
    self.folder = os.path.join(folder.name, "folder")
    self.write("../outside/victim.npz")

  def write(self, name):
    path = os.path.normpath(os.path.join(self.folder, name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
      f.write(name)
    return path

  def link(self, name, target):
    os.symlink(target, os.path.join(self.folder, name))

  def fill(self):
    for name in ("note.txt", "note.txt.tmp-12", "parts/1.npz", "parts/2.npz.tmp-3"):
      self.write(name)
    self.write("parts/inner/a")

  def assert_refused(self, text):
    before = sorted(os.walk(self.folder))
    with self.assertRaisesRegex(own_files.ForeignFilesError, text):
      own_files.delete(self.folder, _TREE, "Do this.")
    self.assertEqual(sorted(os.walk(self.folder)), before)
    self.assertTrue(os.path.exists(os.path.join(self.outside, "victim.npz")))

  def test_known_names_go(self):
    self.fill()
    self.assertEqual(own_files.foreign(self.folder, _TREE), [])
    own_files.delete(self.folder, _TREE, "")
    self.assertFalse(os.path.exists(self.folder))
    own_files.delete(self.folder, _TREE, "")  # The folder does not exist.

  def test_other_names_are_listed(self):
    self.fill()
    self.write("parts/thesis.tex")
    self.write("parts/inner/b/c")
    self.assert_refused(r"folder contains 'parts/inner/b', 'parts/thesis.tex', .* Do this\.$")

  def test_many_are_counted(self):
    for number in range(8):
      self.write(f"file{number}")
    self.assert_refused("'file4' and 3 more")

  def test_kinds_count(self):
    self.write("note.txt/inside")
    self.write("parts")
    self.assert_refused("'note.txt', 'parts'")

  def test_links_are_foreign(self):
    self.fill()
    self.link("parts/3.npz", os.path.join(self.outside, "victim.npz"))
    self.link("7", self.outside)
    self.assert_refused("'7', 'parts/3.npz'")

  def test_folder_that_is_a_link(self):
    self.write("../real/note.txt")
    os.symlink("real", self.folder)
    with self.assertRaisesRegex(own_files.ForeignFilesError, "is a symbolic link to 'real'"):
      own_files.delete(self.folder, _TREE, "")
    self.assertEqual(os.listdir(self.folder), ["note.txt"])

  def test_file_in_the_place_of_the_folder(self):
    self.folder = self.write("note.txt")
    with self.assertRaisesRegex(own_files.ForeignFilesError, "is not a folder"):
      own_files.delete(self.folder, _TREE, "")

  def test_empty_keeps_others_and_deletes_one_last(self):
    self.fill()
    kept = self.write("parts/thesis.tex")
    own_files.empty(self.folder, _TREE, last="note.txt")
    self.assertEqual(os.listdir(self.folder), ["parts"])
    self.assertTrue(os.path.exists(kept))


if __name__ == "__main__":
  unittest.main()
