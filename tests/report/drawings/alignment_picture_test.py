"""Tests of the figure of 360° clips: outlines of views, and positions of the panels."""

import os

import cv2
import numpy as np
import tensorflow as tf

from avssl_tf.report.drawings import alignment_picture
from avssl_tf.report.drawings.alignment_picture import AlignedClip
from avssl_tf.spatial import directions
from tests import test_base


class OutlineTest(test_base.TestCase):

  def test_corners_and_middles_of_the_edges(self):
    # Half a pixel within the edge, where the outermost rays are.
    azimuth, elevation = alignment_picture.outline_deg(np.zeros(2), np.deg2rad([90.0, 60.0]))
    self.assertBetween(azimuth.max(), 44.0, 45.0)
    self.assertAllClose(azimuth.min(), -azimuth.max(), atol=1e-3)
    self.assertBetween(elevation.max(), 29.0, 30.0)
    self.assertAllClose([azimuth[0], elevation[0]], [azimuth[-1], elevation[-1]])

  def test_breaks_where_it_leaves_the_picture(self):
    azimuth, elevation = alignment_picture.outline_deg(
      np.deg2rad([175.0, 0.0]), np.deg2rad([60.0, 60.0])
    )
    self.assertEqual(np.isnan(azimuth).sum(), 2)
    self.assertAllEqual(np.isnan(azimuth), np.isnan(elevation))
    steps = np.abs(np.diff(azimuth))
    self.assertLess(np.nanmax(steps), 30.0)

  def test_every_point_is_as_far_as_the_view_reaches(self):
    direction = np.deg2rad([50.0, 25.0])
    azimuth, elevation = (
      np.float32(np.deg2rad(x))
      for x in alignment_picture.outline_deg(direction, np.deg2rad([50.0, 50.0]))
    )
    angles = directions.angle_between(
      directions.unit_vectors(*map(tf.constant, np.float32(direction))),
      directions.unit_vectors(tf.constant(azimuth), tf.constant(elevation)),
    )
    self.assertAllInRange(np.rad2deg(angles), 24.0, 34.0)  # Of the edges, and of the corners.


class DrawTest(test_base.TestCase):

  def clip(self, similarity, objects=True):
    return AlignedClip(
      title="a clip",
      frame=np.full([16, 32, 3], 90, np.uint8),
      energy=self.rng.random([10, 20]),
      views=np.stack([np.full([8, 8, 3], value, np.uint8) for value in (0, 250)]),
      direction_rad=np.float32([[0.0, 0.0], [3.0, 0.2]]),
      field_of_view_rad=np.float32([[1.0, 1.0], [1.2, 1.0]]),
      similarity=np.float32(similarity),
      objects_rad=np.float32([[0.1, 0.1], [2.0, 0.0]]) if objects else None,
      is_sounding=np.array([True, False]) if objects else None,
    )

  def test_matches(self):
    self.assertAllEqual(self.clip([[0.5, 0.1], [0.9, 0.2]]).matches, [0, 0])

  def test_draws_rows_of_clips(self):
    one, two = (os.path.join(self.get_temp_dir(), name) for name in ("one.png", "two.png"))
    right, wrong = self.clip(np.eye(2)), self.clip(1 - np.eye(2), objects=False)
    alignment_picture.draw([right]).savefig(one)
    alignment_picture.draw([right, wrong]).savefig(two)
    small, large = cv2.imread(one), cv2.imread(two)
    self.assertEqual(small.shape[1], large.shape[1])
    self.assertGreater(large.shape[0], 1.6 * small.shape[0])
    # Both views are drawn: large areas of their grey levels.
    for value in (0, 250):
      self.assertGreater((small == value).all(axis=-1).sum(), 5000)


if __name__ == "__main__":
  tf.test.main()
