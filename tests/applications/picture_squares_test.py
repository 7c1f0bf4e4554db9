"""Tests of cutting frames of any shape into squares, and of merging the maps of the squares."""

import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.applications.picture_squares import PictureSquares


class PictureSquaresTest(parameterized.TestCase):
  @parameterized.parameters(
    (720, 1280, (32, 57), 3),
    (1280, 720, (57, 32), 3),
    (480, 640, (32, 43), 2),
    (500, 510, (32, 32), 1),
    (100, 100, (32, 32), 1),
    (100, 400, (32, 128), 7),
  )
  def test_all_of_a_picture_in_squares_that_overlap(self, height, width, scaled, count):
    squares = PictureSquares(height, width, 32)
    self.assertEqual((squares.scaled, squares.count), (scaled, count))
    numbers = np.arange(scaled[0] * scaled[1]).reshape(*scaled, 1).repeat(3, axis=2)
    cut = squares.cut(numbers)
    self.assertEqual(cut.shape, (count, 32, 32, 3))
    self.assertEqual(len(np.unique(cut)), numbers.size // 3)
    np.testing.assert_array_equal(cut[0], numbers[:32, :32])
    np.testing.assert_array_equal(cut[-1], numbers[-32:, -32:])
    for one, other in zip(cut, cut[1:]):
      self.assertGreaterEqual(len(np.intersect1d(one, other)), 16 * 32)

  @parameterized.parameters((720, 1280), (1280, 720), (300, 300), (240, 320))
  def test_maps_of_a_smooth_picture_join_to_that_of_the_whole(self, height, width):
    squares = PictureSquares(height, width, 64)
    rows, columns = squares.scaled
    y, x = (np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns
    picture = 2.0 * y[:, np.newaxis] + x
    cut = squares.cut(np.repeat(picture[..., np.newaxis], 3, axis=2))[..., 0]
    maps = cut.reshape(squares.count, 8, 8, 8, 8).mean(axis=(2, 4)).astype(np.float32)
    joined = squares.join(maps)
    self.assertEqual(joined.dtype, np.float32)
    self.assertEqual(min(joined.shape), 8)
    self.assertEqual(joined.shape[0] > joined.shape[1], height > width)
    y, x = ((np.arange(size) + 0.5) / size for size in joined.shape)
    np.testing.assert_allclose(joined, 2.0 * y[:, np.newaxis] + x, atol=0.11)
    # Inside: only half a position at the edges is lost.
    inner = slice(1, -1)
    np.testing.assert_allclose(
      joined[inner, inner], (2.0 * y[:, np.newaxis] + x)[inner, inner], atol=0.02
    )

  def test_one_square_stays_as_it_is(self):
    maps = np.random.default_rng(0).random((1, 5, 5), np.float32)
    np.testing.assert_allclose(PictureSquares(64, 64, 20).join(maps), maps[0], atol=1e-6)


if __name__ == "__main__":
  absltest.main()
