"""Tests of the progress bar of files."""

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


if __name__ == "__main__":
  unittest.main()
