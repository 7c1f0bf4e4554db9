"""Tests of viewports: geometry, seams, golden pixels, and sound and picture turned together."""

import math
import os

import numpy as np
import tensorflow as tf

from avssl_tf.spatial import ambisonics, directions, equirect
from tests import test_base

_TESTDATA = os.path.join(os.path.dirname(__file__), "..", "testdata")


def _picture_of_directions(height):
  """An image with the unit vectors of its pixels as colours: float32 `[1, H, 2H, 3]`."""
  return directions.unit_vectors(*ambisonics.pixel_directions(height, 2 * height))[tf.newaxis]


def _as_published(frames, center_fov):
  """A viewport with the grid of the reference; comments describe the differences.

  Args:
    frames: uint8 `[1, H, W, 3]`.
    center_fov: x and y of the centre and both fields of view, as fractions of the image.

  Returns:
    int `[48, 64, 3]`.
  """
  height, width = frames.shape[1:3]
  x, y, horizontal, vertical = center_fov
  # Half-extents of the plane are proportional to the field of view, not to the tangent of its
  # half, and the grid leaves its last row and column out.
  across = (2 * np.arange(64) / 64 - 1) * math.pi * horizontal
  down = (2 * np.arange(48) / 48 - 1) * math.pi / 2 * vertical
  plane = np.stack(np.broadcast_arrays(1.0, -across[np.newaxis], -down[:, np.newaxis]), axis=-1)
  elevation = tf.constant(math.pi * (0.5 - y), tf.float64)
  turned = directions.rotate(plane, directions.rotation(tf.zeros([], tf.float64), elevation))
  azimuth, elevation = directions.angles(turned)
  # The reference uses pixel corners as centres, and truncates the shift to whole columns.
  azimuth -= 2 * math.pi * (np.trunc((x - 0.5) * width) + 0.5) / width
  elevation -= math.pi * 0.5 / height
  vectors = tf.cast(directions.unit_vectors(azimuth, elevation), tf.float32)
  return equirect.sample(tf.constant(frames), vectors)[0].numpy().astype(int)


class EquirectTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    # Everywhere, with both poles and the seam among them.
    self.azimuth = tf.constant([0.0, math.pi, -2.0, 0.5, 2.5], tf.float32)
    self.elevation = tf.constant([0.0, 0.3, math.pi / 2, -1.5, -0.4], tf.float32)
    self.fov = (
      tf.constant([1.0, 1.5, 1.2, 0.6, 2.0], tf.float32),
      tf.constant([0.8, 1.5, 1.0, 0.7, 1.1], tf.float32),
    )

  def test_pixels_look_where_they_should(self):
    picture = _picture_of_directions(128)
    views = equirect.viewports(picture, self.azimuth, self.elevation, *self.fov, 24, 32)
    self.assert_shape(views, [5, 1, 24, 32, 3], tf.float32)
    vectors = equirect.viewport_directions(self.azimuth, self.elevation, *self.fov, 24, 32)
    vectors = tf.math.l2_normalize(vectors, axis=-1)
    # Bilinear interpolation of a smooth image: errors would be steps at the seam or a pole.
    self.assertAllClose(views[:, 0], vectors, atol=5e-4)

  def test_fields_of_view_are_angles(self):
    """The midpoints of the edges are half a field of view from the centre, within half a pixel."""
    size = 400
    vectors = equirect.viewport_directions(
      self.azimuth, self.elevation, *self.fov, size, size
    )
    centre = directions.unit_vectors(self.azimuth, self.elevation)
    for fov, edges in zip(
      self.fov,
      ((vectors[:, size // 2, 0], vectors[:, size // 2, -1]),
       (vectors[:, 0, size // 2], vectors[:, -1, size // 2])),
    ):  # fmt: skip
      for edge in edges:
        self.assertAllClose(directions.angle_between(centre, edge), fov / 2, atol=4 / size)

  def test_left_is_left_and_up_is_up(self):
    vectors = tf.math.l2_normalize(
      equirect.viewport_directions(
        tf.constant([0.0]), tf.constant([0.0]), tf.constant([1.0]), tf.constant([1.0]), 8, 8
      ),
      axis=-1,
    )[0]
    azimuth, elevation = directions.angles(vectors)
    self.assertAllGreater(azimuth[:, 0], 0.4)
    self.assertAllLess(azimuth[:, -1], -0.4)
    self.assertAllGreater(elevation[0], 0.3)
    self.assertAllLess(elevation[-1], -0.3)

  def test_golden_pixels(self):
    """The reference's viewports, by its own grid: see the comments for what it does otherwise."""
    golden = np.load(os.path.join(_TESTDATA, "spatial.npz"))
    frames = golden["equirect"][np.newaxis]
    for i in range(3):
      found = _as_published(frames, golden[f"viewport{i}/center_fov"])
      difference = np.abs(found - golden[f"viewport{i}/pixels"])
      self.assertLessEqual(difference.max(), 1)
      self.assertLess(difference.mean(), 0.01)  # Rounding alone.

  def test_columns_are_shifted_as_published(self):
    """The emulation above, at centres without golden pixels, compared with rotated frames."""
    golden = np.load(os.path.join(_TESTDATA, "spatial.npz"))
    frames = golden["equirect"][np.newaxis]
    width = frames.shape[2]
    # 0.0, 0.3, 0.7 and 0.99 columns beyond a whole number, to the right and to the left.
    for columns in (40.0, 40.3, 40.7, 40.99, -40.0, -40.3, -40.7, -40.99, 0.6, -0.6):
      center_fov = (0.5 + columns / width, 0.45, 0.15, 0.3)
      # First step of the reference: a shift by whole columns, truncated as by `int`.
      turned = np.roll(frames, -int(columns), axis=2)
      expected = _as_published(turned, (0.5, 0.45, 0.15, 0.3))
      difference = np.abs(_as_published(frames, center_fov) - expected)
      self.assertLessEqual(difference.max(), 1)
      self.assertLess(difference.mean(), 0.01)  # Rounding alone.

  def test_keeps_bytes_and_shapes(self):
    frames = tf.constant(self.rng.integers(0, 256, [3, 8, 16, 3]), tf.uint8)
    columns = tf.constant(np.stack(ambisonics.pixel_directions(8, 16)))
    vectors = directions.unit_vectors(columns[0], columns[1])
    self.assertAllEqual(equirect.sample(frames, vectors), frames)
    graph = tf.function(equirect.sample)(frames, vectors)
    self.assertAllEqual(graph, frames)
    self.assert_shape(graph, [3, 8, 16, 3], tf.uint8)

  def test_seam_and_poles_by_hand(self):
    frames = tf.constant(np.arange(8, dtype=np.float32).reshape(1, 2, 4, 1))
    vectors = directions.unit_vectors(
      tf.constant([math.pi, 0.75 * math.pi]), tf.constant([math.pi / 4, math.pi / 2])
    )
    # Between the last and the first column; between the first row and its other half.
    self.assertAllClose(equirect.sample(frames, vectors)[0, :, 0], [1.5, 1.0], atol=1e-5)

  def test_the_scene_turns_as_one(self):
    """A source on the sphere: seen in the middle of a view turned to it, and heard in front."""
    azimuth, elevation = 2.8, -0.6
    vector = directions.unit_vectors(tf.constant(azimuth), tf.constant(elevation))
    picture = tf.reduce_sum(_picture_of_directions(90) * vector, axis=-1, keepdims=True)
    source = tf.constant(self.rng.normal(size=[100, 1]), tf.float32)
    field = ambisonics.encode(source, tf.constant([azimuth]), tf.constant([elevation]))
    for yaw, pitch in ((azimuth, elevation), (2.5, -0.3), (-2.9, -0.9)):
      back = tf.transpose(directions.rotation(yaw, pitch))
      energy = ambisonics.energy_map(ambisonics.rotate(field, back), 90, 180)
      row, column = np.unravel_index(np.argmax(energy), [90, 180])
      heard = tf.stack([a[row, column] for a in ambisonics.pixel_directions(90, 180)])
      view = equirect.viewports(
        picture, *(tf.constant([a]) for a in (yaw, pitch, 2.0, 2.0)), 101, 101
      )[0, 0, :, :, 0]
      row, column = np.unravel_index(np.argmax(view), [101, 101])
      front = tf.zeros([1])
      plane = equirect.viewport_directions(front, front, front + 2.0, front + 2.0, 101, 101)[0]
      seen = tf.stack(directions.angles(plane[row, column]))
      self.assertAllClose(heard, seen, atol=0.05)
      expected = directions.angles(directions.rotate(vector, back))
      self.assertAllClose(seen, tf.stack(expected), atol=0.03)

  def test_frames_that_are_not_equirectangular(self):
    with self.assertRaisesRegex(ValueError, "A frame has 30x20 pixels; an equirectangular"):
      equirect.sample(tf.zeros([1, 20, 30, 3]), tf.ones([1, 3]))


if __name__ == "__main__":
  tf.test.main()
