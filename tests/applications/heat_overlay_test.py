"""Tests of drawing heat maps over frames."""

import numpy as np
from absl.testing import absltest

from avssl_tf.applications.heat_overlay import HeatOverlay


class HeatOverlayTest(absltest.TestCase):
  def test_nothing_hot_stays_as_it_is(self):
    frame = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(HeatOverlay().draw(frame, np.zeros([6, 8], np.float32)), frame)

  def test_the_hotter_the_less_of_the_frame_and_the_redder(self):
    frame = np.full([1, 5, 3], 100, np.uint8)
    frame[..., 2] = 200
    heat = np.float32([[0.0, 0.25, 0.5, 0.75, 1.0]])
    drawn = HeatOverlay().draw(frame, heat).astype(int)
    # Blue of the frame shines through, by 35% where it is hottest.
    self.assertAlmostEqual(drawn[0, -1, 2], 0.35 * 200, delta=15)
    redness = drawn[0, :, 0] - drawn[0, :, 2]
    self.assertEqual(redness.argmax(), 3 if redness[3] > redness[4] else 4)
    self.assertGreater(redness[-1], 40)
    self.assertLess(redness[0], 0)


if __name__ == "__main__":
  absltest.main()
