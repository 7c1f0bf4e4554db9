"""Tests of equi-angular cubemaps, against FFmpeg's own conversion."""

import fractions

import av
import numpy as np
import tensorflow as tf

from avssl_tf.spatial import ambisonics, cubemap, directions
from tests import test_base


def _ffmpeg(picture, source, target, width, height):
  """Converts uint8 `[H, W, 3]` between projections by the filter v360."""
  graph = av.filter.Graph()
  frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
  frame.pts, frame.time_base = 0, fractions.Fraction(1, 25)
  steps = [
    graph.add_buffer(
      width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    ),
    graph.add("format", "gbrp"),  # Not all formats of pixels are known to it.
    graph.add("v360", f"{source}:{target}:w={width}:h={height}"),
    graph.add("format", "rgb24"),
    graph.add("buffersink"),
  ]
  for one, other in zip(steps, steps[1:]):
    one.link_to(other)
  graph.configure()
  steps[0].push(frame)
  return steps[-1].pull().to_ndarray()


def _vectors_of_pixels(height):
  return directions.unit_vectors(*ambisonics.pixel_directions(height, 2 * height)).numpy()


def _bytes(vectors):
  return np.round((vectors + 1) * 127.5).astype(np.uint8)


class CubemapTest(test_base.TestCase):

  def test_layout_is_that_of_ffmpeg(self):
    picture = _bytes(_vectors_of_pixels(128))
    cube = _ffmpeg(picture, "e", "eac", 384, 256)
    found = cubemap.to_equirect(tf.constant(cube[np.newaxis]), 64)[0].numpy().astype(int)
    # A face in a wrong place would be wrong by 100 and more; FFmpeg itself is up to 5 off.
    self.assertLess(np.abs(found - _bytes(_vectors_of_pixels(64))).max(), 7)
    expected = _ffmpeg(cube, "eac", "e", 128, 64).astype(int)
    self.assertLess(np.abs(found - expected).max(), 7)

  def test_pixels_lie_at_equal_angles(self):
    angles = (2 * np.arange(128) + 1) / 128 - 1
    right, down = np.meshgrid(*(np.tan(angles * np.pi / 4),) * 2)
    faces = [
      centre + right[..., np.newaxis] * to_right + down[..., np.newaxis] * to_bottom
      for centre, to_right, to_bottom in cubemap._FACES
    ]
    cube = np.concatenate([np.concatenate(row, axis=1) for row in (faces[:3], faces[3:])])
    cube /= np.linalg.norm(cube, axis=-1, keepdims=True)
    found = cubemap.to_equirect(tf.constant(cube[np.newaxis], tf.float32), 64)[0]
    self.assertAllClose(found, _vectors_of_pixels(64), atol=4e-3)
    self.assertLess(np.abs(found - _vectors_of_pixels(64)).mean(), 1e-4)

  def test_several_frames(self):
    frames = tf.constant(self.rng.integers(0, 256, [3, 20, 30, 3]), tf.uint8)
    converted = cubemap.to_equirect(frames, 16)
    self.assert_shape(converted, [3, 16, 32, 3], tf.uint8)
    self.assertAllEqual(converted[1:2], cubemap.to_equirect(frames[1:2], 16))

  def test_frames_that_are_no_cubemap(self):
    with self.assertRaisesRegex(ValueError, "A frame has 40x20 pixels; an equi-angular cubemap"):
      cubemap.to_equirect(tf.zeros([1, 20, 40, 3]), 16)


if __name__ == "__main__":
  tf.test.main()
