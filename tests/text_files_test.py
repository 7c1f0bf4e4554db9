"""Tests of reading text files of other programs."""

import os
import tempfile
import unittest

from avssl_tf import files, text_files


class TextFilesTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.path = os.path.join(temporary.name, "text")

  def write(self, content: bytes) -> str:
    with open(self.path, "wb") as f:
      f.write(content)
    return self.path

  def test_marks_and_line_ends(self):
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
      for end in ("\n", "\r\n", "\r"):
        for names in (False, True):
          with self.subTest(encoding=encoding, end=end, names=names):
            self.write(f"path{end}é{end}".encode(encoding))
            expected = "path\ré\r" if names and end == "\r" else "path\né\n"
            self.assertEqual(text_files.read(self.path, names), expected)

  def test_big_endian(self):
    self.write(b"\xfe\xff" + "é\n".encode("utf-16-be"))
    self.assertEqual(text_files.read(self.path), "é\n")

  def test_what_is_no_text(self):
    with self.assertRaisesRegex(text_files.TextError, "text is not UTF-8 text.*line 2. Save it as"):
      text_files.read(self.write(b"a\ncaf\xe9\n"))
    self.assertEqual(text_files.read(self.path, names=True), os.fsdecode(b"a\ncaf\xe9\n"))

  def test_names_keep_carriage_returns(self):
    self.assertEqual(text_files.read(self.write(b"a\r\nb\n"), names=True), "a\r\nb\n")
    self.assertEqual(text_files.read(self.write(b"a\r\nb\r\n"), names=True), "a\nb\n")

  def test_json(self):
    for encoding in ("utf-8-sig", "utf-16"):
      self.write('{"a":\r\n "é"}\r\n'.encode(encoding))
      self.assertEqual(files.read_json(self.path), {"a": "é"})


if __name__ == "__main__":
  unittest.main()
