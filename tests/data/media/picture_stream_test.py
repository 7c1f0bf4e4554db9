"""Tests of the frames of whole files as a stream and on a regular grid."""

import os
import unittest
from fractions import Fraction

import numpy as np
from absl.testing import parameterized

from avssl_tf.data.media import picture_stream
from avssl_tf.data.media.media_streams import MediaError
from tests import media_variants


def _gray(level, height=32, width=64):
  return np.full((height, width, 3), level, np.uint8)


def _grid(path, start_sec, rate_hz, height=16):
  """Opens a grid; also returns the list of converted frames."""
  context = picture_stream.open_pictures(path)
  stream = context.__enter__()
  converted = []

  def convert(frame):
    converted.append(frame.time)
    return stream.to_equirect(frame, height)

  grid = picture_stream.PictureGrid(stream.frames(), convert, start_sec, rate_hz)
  return context, grid, converted


class PictureStreamTest(media_variants.MediaTestCase):

  def video(self, times_sec, name="a.mkv", **options):
    """A video with frames of a brightness of ten times their numbers."""
    pictures = [(t, _gray(10 * k)) for k, t in enumerate(times_sec)]
    return self.write(name, pictures, **options)

  def test_ordinary_pictures_may_have_any_shape(self):
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 256, (3, 5, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    path = self.write("a.mp4", [(Fraction(k, 10), picture) for k in range(10)])
    with self.assertRaisesRegex(MediaError, "twice as wide as high"):
      with picture_stream.open_pictures(path):
        pass
    with picture_stream.open_pictures(path, projection=None) as stream:
      self.assertEqual((stream.height, stream.width), (48, 80))
      self.assertAlmostEqual(stream.estimated_duration_sec, 1.0, delta=0.15)
      grid = picture_stream.PictureGrid(
        stream.frames(), lambda frame: stream.to_rgb(frame, 24, 40), 0.0, 5.0
      )
      first = grid.take(0, 1)
      self.assertFalse(grid.ended)
      grid.take(4, 1)
      self.assertFalse(grid.ended)
      grid.take(5, 1)
      self.assertTrue(grid.ended)
    self.assertEqual(first.shape, (1, 24, 40, 3))
    self.assertLess(np.abs(first[0].astype(int)[4::8, 4::8] - picture[8::16, 8::16]).mean(), 15)

  def levels(self, path, start_sec, rate_hz, *takes):
    context, grid, _ = _grid(path, start_sec, rate_hz)
    self.addCleanup(context.__exit__, None, None, None)
    found = [grid.take(*take).mean(axis=(1, 2, 3)) for take in takes]
    return [np.round(levels / 10).astype(int).tolist() for levels in found]

  def test_the_picture_on_screen_at_each_time(self):
    path = self.video([Fraction(k, 10) for k in range(20)])
    # The first frame before its time, the last one after it.
    self.assertEqual(
      self.levels(path, -0.2, 5.0, (0, 4), (1, 3), (10, 3)), [[0, 0, 2, 4], [0, 2, 4], [18, 19, 19]]
    )
    self.assertEqual(self.levels(path, 0.05, 20.0, (3, 4)), [[2, 2, 3, 3]])

  def test_variable_rates_and_late_starts(self):
    path = self.video([0.5, 0.52, 0.9, 1.5, 1.51])
    self.assertEqual(
      self.levels(path, 0.0, 10.0, (0, 17)), [[0] * 6 + [1] * 3 + [2] * 6 + [3] + [4]]
    )

  def test_takes_overlap_and_hold_no_more_than_they_need(self):
    path = self.video([Fraction(k, 10) for k in range(20)])
    context, grid, converted = _grid(path, 0.0, 10.0)
    with self.assertRaisesRegex(ValueError, "frames before 6 are discarded"):
      for first in (0, 2, 4, 6, 5):
        grid.take(first, 4)
        self.assertEqual(grid.num_held, 4)
    self.assertLess(len(converted), 11)
    self.assertEqual(len(converted), len(set(converted)))
    context.__exit__(None, None, None)

  def test_shapes_that_nearly_fit_and_pixels_that_are_not_square(self):
    for height, width, aspect in ((62, 126, None), (32, 32, Fraction(2))):
      pictures = [(k / 10, _gray(10 * k, height, width)) for k in range(3)]
      path = self.write("a.mov", pictures, aspect=aspect, video_codec="mpeg4")
      with picture_stream.open_pictures(path) as stream:
        _, frame = next(stream.frames())
        self.assertEqual(stream.to_equirect(frame, 16).shape, (16, 32, 3))

  def test_cubemaps_become_equirectangular(self):
    # Left, front, right; below them bottom, back, top.
    faces = np.kron(np.array([[10, 90, 170], [50, 130, 210]]), np.ones((16, 16)))
    pictures = [(k / 10, np.stack([faces] * 3, -1).astype(np.uint8)) for k in range(3)]
    path = self.write("a.mkv", pictures, video_codec="ffv1", pixel_format="yuv444p")
    with picture_stream.open_pictures(path, "cubemap") as stream:
      self.assertEqual(stream.height, 32)
      _, frame = next(stream.frames())
      found = stream.to_equirect(frame, 32)[..., 0]
    places = [found[16, 16], found[16, 32], found[16, 48], found[30, 9], found[16, 0], found[1, 9]]
    np.testing.assert_allclose(places, [10, 90, 170, 50, 130, 210], atol=4)

  @parameterized.parameters(
    (32, 48, "equirectangular", "are 48x32; an equirectangular frame is twice as wide as high: "
     "if it is an equi-angular cubemap, pass --projection=cubemap"),
    (32, 64, "cubemap", "if it is an equirectangular frame, pass --projection=equirectangular"),
    (36, 64, "equirectangular", "scale it to 2:1, or convert it from its projection"),
    (32, 32, "equirectangular", "if it shows two eyes, .* pass --stereo_mode=top_bottom"),
    (16, 64, "equirectangular", "if it shows two eyes side by side, pass --stereo_mode=left_right"),
  )  # fmt: skip
  def test_other_shapes_are_told(self, height, width, projection, message):
    path = self.write("a.mkv", [(k / 10, _gray(9, height, width)) for k in range(3)])
    with self.assertRaisesRegex(MediaError, message):
      with picture_stream.open_pictures(path, projection):
        pass

  def test_after_damage_the_picture_before_stays(self):
    times = [Fraction(k, 10) for k in range(20)]
    # Each frame separately.
    path = self.video(times, "a.mov", video_codec="mjpeg", pixel_format="yuvj420p")
    media_variants.damage(path, "video", 7)
    with picture_stream.open_pictures(path) as stream:
      found = [round(time_sec * 10) for time_sec, _ in stream.frames()]
      self.assertEqual(stream.num_damaged, 1)
    self.assertEqual(found, [k for k in range(20) if k != 7])

  def test_files_without_pictures_are_told(self):
    path = os.path.join(self.folder, "sound.mp4")
    media_variants.write_media(path, None, media_variants.sine(0.5))
    with self.assertRaisesRegex(MediaError, "no video stream"):
      with picture_stream.open_pictures(path):
        pass


if __name__ == "__main__":
  unittest.main()
