"""Tests of measuring and drawing the sound directions of a recording."""

import os

import cv2
import numpy as np
import tensorflow as tf

from avssl_tf.report.drawings import sound_field_picture
from avssl_tf.spatial import ambisonics
from tests import test_base


class SoundFieldPictureTest(test_base.TestCase):

  def source(self, azimuth_deg, elevation_deg, amplitude):
    """A noise source with peaks of +-amplitude, float32 `[1000, 4]`."""
    signal = amplitude * np.sign(self.rng.normal(size=[1000, 1]))
    angles = np.float32(np.deg2rad([[azimuth_deg], [elevation_deg]]))
    return ambisonics.encode(tf.constant(signal, tf.float32), *angles).numpy()

  def test_parts_tell_level_and_direction(self):
    field = np.concatenate(
      [self.source(90, 0, 0.1), self.source(-45, 30, 1.0), np.zeros([1000, 4], np.float32)]
    )
    left, below, silent = sound_field_picture.measure(field, 500.0, 3)
    self.assertAllClose([left.start_sec, left.end_sec, silent.end_sec], [0.0, 2.0, 6.0])
    self.assertAllClose([left.level_db, below.level_db], [-20.0, 0.0], atol=1e-3)
    # With the resolution of the map.
    self.assertAllClose([left.azimuth_deg, left.elevation_deg], [90.0, 0.0], atol=1.1)
    self.assertAllClose([below.azimuth_deg, below.elevation_deg], [-45.0, 30.0], atol=1.1)
    # (1 + cos)^2 has the mean 4/3 over all directions, and is 4 in front.
    self.assertAllClose(below.prominence_db, 10 * np.log10(3.0), atol=0.05)
    heard = dict(zip((name for name, _, _ in sound_field_picture.DIRECTIONS), left.decoded_db))
    self.assertAllClose(heard["left"], -20.0 + 20 * np.log10(2.0), atol=1e-3)
    self.assertAllClose([heard["front"], heard["up"]], [-20.0, -20.0], atol=1e-3)
    self.assertLess(heard["right"], -100.0)
    self.assertEqual(silent.level_db, sound_field_picture.SILENT_DB)
    lines = sound_field_picture.table([left, below, silent]).splitlines()
    self.assertLen(lines, 4)
    self.assertRegex(lines[2], r"2.00-  4.00 +0.0 +-4\d° +\d+° +4.8 dB")
    self.assertIn("silent", lines[3])

  def test_draws_a_map_for_each_part(self):
    path = os.path.join(self.get_temp_dir(), "field.png")
    parts = sound_field_picture.measure(self.source(90, 0, 0.5), 500.0, 4)
    sound_field_picture.draw(parts, "noise", path)
    picture = cv2.imread(path).astype(int)
    self.assertGreater(picture.std(), 10)
    # The first map: bright on the left.
    height, width = picture.shape[:2]
    part = picture[: height // 2, : width // 4]
    half = part.shape[1] // 2
    yellow = part[..., 1] - part[..., 0]
    self.assertGreater(np.maximum(yellow[:, :half], 0).sum(), np.maximum(yellow[:, half:], 0).sum())

  def test_more_parts_than_samples(self):
    with self.assertRaisesRegex(ValueError, r"5 parts of 4 samples; expected 1\.\.4"):
      sound_field_picture.measure(np.zeros([4, 4], np.float32), 500.0, 5)


if __name__ == "__main__":
  tf.test.main()
