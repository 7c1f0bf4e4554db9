"""Tests of the command that draws where the sound of a recording comes from, on a real one."""

import functools
import os
import tempfile
import unittest

import cv2
import numpy as np

from tests import command, media_variants

_RECORDING = os.path.join("tests", "testdata", "foa_acn_sn3d_48k.wav")

_run = functools.partial(command.run_tool, "draw_sound_field")


class DrawSoundFieldTest(unittest.TestCase):

  def setUp(self):
    super().setUp()
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name

  def path(self, name):
    return os.path.join(self.folder, name)

  def test_a_recording_turned_by_any_angles(self):
    # Its source is in front.
    for angles, azimuth, elevation in (((), 0, 0), (("--yaw_deg=60", "--pitch_deg=40"), 60, 40)):
      output = self.path("field.png")
      process = _run(f"--input={_RECORDING}", f"--output={output}", "--num_parts=2", *angles)
      self.assertEqual(process.returncode, 0, process.stderr)
      for line in process.stdout.splitlines()[1:3]:
        found = [float(value.rstrip("°")) for value in line.split() if value.endswith("°")]
        np.testing.assert_allclose(found, [azimuth, elevation], atol=4)
      self.assertIn(f"Image: {output}", process.stdout)
      self.assertGreater(cv2.imread(output).std(), 10)

  def test_mistakes_end_with_one_message(self):
    stereo = self.path("stereo.mkv")
    noise = np.random.default_rng(0).normal(0, 0.1, [2, 8000]).astype(np.float32)
    media_variants.write_media(stereo, None, noise, layout="stereo", audio_codec="flac")
    for arguments, message in (
      (["--input=nowhere.wav"], "--input=nowhere.wav: no such file"),
      ([f"--input={stereo}"], "has 2 channel(s); the first order has 4"),
      ([f"--input={_RECORDING}", "--channel_order=fuma", "--output=x.gif"], "ends in .png"),
      ([f"--input={_RECORDING}", "--num_parts=1000000"], "1000000 parts of"),
    ):
      process = _run(f"--output={self.path('field.png')}", *arguments)
      self.assertEqual(process.returncode, 1, message)
      self.assertIn(message, process.stderr)
      self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  unittest.main()
