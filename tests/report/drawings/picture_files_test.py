"""Tests of the check of output files of images."""

import os
import tempfile
import unittest

from avssl_tf.report.drawings import picture_files


class PictureFilesTest(unittest.TestCase):

  def test_says_what_is_wrong_before_the_work(self):
    with tempfile.TemporaryDirectory() as folder:
      picture_files.check(os.path.join(folder, "picture.png"), "--output")
      with self.assertRaisesRegex(ValueError, "--output=.*picture.gif: .* ends in .png or .jpg"):
        picture_files.check(os.path.join(folder, "picture.gif"), "--output")
      with self.assertRaisesRegex(ValueError, "--output=.*: no such folder '.*nowhere'"):
        picture_files.check(os.path.join(folder, "nowhere", "picture.png"), "--output")


if __name__ == "__main__":
  unittest.main()
