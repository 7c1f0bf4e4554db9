"""Tests of the temporary file of a sound field."""

import os
import tempfile
import unittest

import numpy as np

from avssl_tf.applications import field_file


class FieldFileTest(unittest.TestCase):

  def setUp(self):
    folder = tempfile.TemporaryDirectory()
    self.addCleanup(folder.cleanup)
    self.folder = folder.name

  def test_what_was_written_is_read_in_any_parts(self):
    values = np.random.default_rng(0).normal(size=(2500, 4)).astype(np.float32)
    with field_file.FieldFile(self.folder, 1000) as field:
      # It leaves no file, however the process ends.
      self.assertEqual(os.listdir(self.folder), [])
      for start in range(0, 2500, 333):
        field.append(values[start : start + 333])
      field.append(values[:0])
      self.assertEqual((field.num_samples, field.duration_sec), (2500, 2.5))
      np.testing.assert_array_equal(field.read(100, 1777), values[100:1777])
      np.testing.assert_array_equal(field.read(-5, 3), values[:3])
      np.testing.assert_array_equal(field.read(2498, 2600), values[2498:])
      self.assertEqual(field.read(3000, 3100).shape, (0, 4))
      blocks = list(field.blocks())
      self.assertEqual(max(map(len, blocks)), 1000)
      np.testing.assert_array_equal(np.concatenate(blocks), values)
      self.assertAlmostEqual(field.peak, float(np.abs(values).max()))

  def test_loud_fields_are_lowered_and_no_others(self):
    for scale, gain, stereo_gain in ((0.5, 1.0, 1.0), (2.0, 0.4456, 0.5942)):
      with field_file.FieldFile(self.folder, 1000) as field:
        field.append(np.array([[1.0, 0.5, 0.0, -1.0]], np.float32) * scale)
        self.assertAlmostEqual(field.gain, gain, places=3)
        self.assertAlmostEqual(field.stereo_gain, stereo_gain, places=3)
        self.assertLessEqual(field.gain * field.peak, 0.8913)


if __name__ == "__main__":
  unittest.main()
