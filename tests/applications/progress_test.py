"""Tests of progress bars."""

import io
import unittest
from unittest import mock

from avssl_tf.applications import progress


class _Terminal(io.StringIO):

  def isatty(self):
    return True


class MediaBarTest(unittest.TestCase):

  def test_it_tells_seconds_of_the_file_and_the_speed(self):
    with mock.patch("sys.stderr", _Terminal()):
      with progress.MediaBar("drawing", 20.0) as bar:
        bar.reach(5.0)
        self.assertRegex(str(bar), r"drawing  25%\|.*\| 5/20 s \[.*<.*, [\d.]+x real time\]")
        # A little more than was announced.
        bar.reach(20.4)
        self.assertRegex(str(bar), r"drawing 100%\|.*\| 20/20 s")
      with progress.MediaBar("drawing", None) as bar:
        bar.reach(5.0)
        self.assertRegex(str(bar), r"drawing 5 s \[.*, [\d.]+x real time\]")

  def test_it_stays_off_what_is_no_terminal(self):
    with mock.patch("sys.stderr", io.StringIO()) as terminal:
      with progress.MediaBar("drawing", 20.0) as bar:
        bar.reach(5.0)
      self.assertEqual(terminal.getvalue(), "")


class FileBarTest(unittest.TestCase):

  def test_it_tells_files_and_the_rate(self):
    with mock.patch("sys.stderr", _Terminal()), progress.FileBar("embedding", 8, 2) as bar:
      bar.advance(0.5)
      bar.set_postfix_str("3 windows")
      self.assertRegex(
        str(bar), r"embedding  31%\|.*\| 2\.5/8 files \[.*<.*, .*file/s, 3 windows\]"
      )

  def test_it_stays_in_a_log(self):
    with mock.patch("sys.stderr", io.StringIO()) as log:
      with progress.FileBar("embedding", 2) as bar:
        for _ in range(11):
          bar.advance(0.2)
        self.assertEqual(bar.n, 2)
      self.assertIn("2.0/2 files", log.getvalue())


if __name__ == "__main__":
  unittest.main()
