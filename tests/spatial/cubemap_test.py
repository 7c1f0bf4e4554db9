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


class CubemapTest(test_base.TestCase):

  def test_agrees_with_ffmpeg(self):
    vectors = directions.unit_vectors(*ambisonics.pixel_directions(128, 256)).numpy()
    picture = np.round((vectors + 1) * 127.5).astype(np.uint8)
    cube = _ffmpeg(picture, "e", "eac", 384, 256)
    found = cubemap.to_equirect(tf.constant(cube[np.newaxis]), 64)[0].numpy().astype(int)
    expected = _ffmpeg(cube, "eac", "e", 128, 64).astype(int)
    # FFmpeg also interpolates across the edges where faces meet that are apart in the layout.
    self.assertLessEqual(np.abs(found - expected).max(), 5)
    self.assertLess(np.abs(found - expected).mean(), 0.5)
    small = np.stack(ambisonics.pixel_directions(64, 128))
    truth = (directions.unit_vectors(*small).numpy() + 1) * 127.5
    self.assertLess(np.abs(found - truth).max(), 5)

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
