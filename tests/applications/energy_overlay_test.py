"""Tests of drawing energy maps of sound fields."""

import unittest

import numpy as np

from avssl_tf.applications import energy_overlay
from avssl_tf.spatial import ambisonics


def _field(azimuth_deg, elevation_deg, level=0.5):
  noise = level * np.random.default_rng(0).uniform(-1, 1, (2000, 1)).astype(np.float32)
  direction = np.deg2rad([[azimuth_deg], [elevation_deg]]).astype(np.float32)
  return ambisonics.encode(noise, *direction).numpy()


class EnergyOverlayTest(unittest.TestCase):

  def setUp(self):
    self.overlay = energy_overlay.EnergyOverlay(0.5)
    self.frame = np.full((60, 120, 3), 100, np.uint8)

  def test_a_single_source_shines_where_it_is(self):
    for azimuth_deg, elevation_deg in ((0, 0), (90, 0), (-120, 40), (180, -30)):
      found = self.overlay.concentration(_field(azimuth_deg, elevation_deg))
      self.assertAlmostEqual(found.max(), 1.0, places=1)
      self.assertEqual(found.min(), 0.0)
      row, column = np.unravel_index(np.argmax(found), found.shape)
      self.assertAlmostEqual(90 - (row + 0.5) * 4, elevation_deg, delta=4)
      off = 180 - (column + 0.5) * 4 - azimuth_deg
      self.assertLess(abs((off + 180) % 360 - 180), 5)
      drawn = self.overlay.draw(self.frame, _field(azimuth_deg, elevation_deg)).astype(int)
      changed = np.abs(drawn - 100).sum(axis=-1)
      row, column = (90 - elevation_deg) // 3, (180 - azimuth_deg) // 3 % 120
      self.assertGreater(changed[row, column], 50)
      # The other side is unchanged.
      self.assertGreater(np.mean(changed == 0), 0.3)

  def test_sound_from_everywhere_and_silence_are_not_drawn(self):
    everywhere = np.zeros((2000, 4), np.float32)
    everywhere[:, 0] = 0.3
    for field in (everywhere, 0 * everywhere, everywhere[:0], _field(0, 0, level=1e-4)):
      np.testing.assert_array_equal(self.overlay.draw(self.frame, field), self.frame)

  def test_faint_sound_is_drawn_faintly(self):
    levels = [0.5, 0.01, 0.004, 0.001]
    peaks = [self.overlay.concentration(_field(0, 0, level)).max() for level in levels]
    self.assertEqual(peaks, sorted(peaks, reverse=True))
    self.assertEqual(peaks[-1], 0.0)

  def test_there_is_no_seam_behind(self):
    drawn = self.overlay.draw(self.frame, _field(180, 0)).astype(int)
    self.assertLess(np.abs(drawn[:, 0] - drawn[:, -1]).max(), 12)


if __name__ == "__main__":
  unittest.main()
