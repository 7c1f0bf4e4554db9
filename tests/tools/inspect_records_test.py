"""Tests of the command that inspects records, as it is called."""

import functools
import os
import tempfile

import cv2
from absl.testing import absltest

from tests import command
from tests.data.building import build_case

_run = functools.partial(command.run_tool, "inspect_records")


class InspectRecordsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.data_dir, self.info = build_case.build_small(folder.name)
    self.picture = os.path.join(folder.name, "contact.png")

  def test_a_good_data_set(self):
    process = _run(f"--data_dir={self.data_dir}", f"--output={self.picture}")
    self.assertEqual(process.returncode, 0, process.stderr)
    for text in ("4 clips", "24x16 (6), 4 Hz", "800 Hz, 1 channel", "all passed"):
      self.assertIn(text, process.stdout)
    self.assertRegex(process.stdout, r"even +test +0 train +3  #+")
    self.assertGreater(cv2.imread(self.picture).std(), 20)

  def test_a_damaged_data_set(self):
    os.remove(os.path.join(self.data_dir, self.info.shards("train")[0].file))
    process = _run(f"--data_dir={self.data_dir}")
    self.assertEqual(process.returncode, 1)
    self.assertIn("PROBLEM", process.stdout)
    self.assertIn("checks failed", process.stderr)

  def test_an_image_that_cannot_be_saved_is_reported_before_the_checks(self):
    for path, message in (
      ("/nowhere/contact.png", "no such folder '/nowhere'"),
      ("contact.tfrecord", "name that ends in .png"),
    ):
      process = _run(f"--data_dir={self.data_dir}", f"--output={path}")
      self.assertEqual(process.returncode, 1)
      self.assertIn(message, process.stderr)
      self.assertNotIn("Checking", process.stderr)
      self.assertNotIn("Traceback", process.stderr)

  def test_no_data_set(self):
    process = _run("--data_dir=/nowhere")
    self.assertEqual(process.returncode, 1)
    self.assertIn("/nowhere", process.stderr)
    self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  absltest.main()
