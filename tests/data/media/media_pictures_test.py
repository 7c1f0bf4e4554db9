"""Tests of the frames of clips: selection, orientation and size."""

from fractions import Fraction
from unittest import mock

import av
import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.data.media import clip_reading, media_pictures, media_probe, media_streams
from tests import media_variants


def _numbered_picture(number: int) -> np.ndarray:
  """A frame with a number in 10 binary digits, bright or dark blocks of 8 x 8."""
  digits = [(number >> k) & 1 for k in range(10)]
  row = np.repeat(np.array(digits, np.uint8) * 200 + 20, 8)
  return np.repeat(np.tile(row, (16, 1))[..., None], 3, axis=-1)


def _number_shown(picture: np.ndarray) -> int:
  blocks = picture.reshape(2, 8, 10, 8, 3).mean(axis=(0, 1, 3, 4))
  return sum(int(bright > 120) << k for k, bright in enumerate(blocks))


class PicturesTest(media_variants.MediaTestCase):
  @parameterized.product(start_sec=(0.0, 0.37, 11.3, 17.9), name=("a.mkv", "a.mov"))
  def test_each_is_the_one_on_screen(self, start_sec, name):
    rng = np.random.default_rng(1)
    steps_ms = rng.choice([10, 20, 33, 40, 500, 1000], p=[0.2, 0.3, 0.2, 0.2, 0.08, 0.02], size=400)
    times_ms = np.concatenate([[0], np.cumsum(steps_ms)])
    times_ms = times_ms[times_ms < 21000]
    pictures = [(Fraction(int(t), 1000), _numbered_picture(k)) for k, t in enumerate(times_ms)]
    path = self.write(
      name, pictures, media_variants.sine(21.0), pixel_format="yuv444p", keyframe_interval=37,
      audio_codec="pcm_s16le",
    )  # fmt: skip
    clip = clip_reading.read_clip(path, start_sec, start_sec + 2.0, frame_rate_hz=16, short_side=16)
    # The last frame with a time up to the requested one.
    expected = []
    for k in range(32):
      time_ms = round(start_sec * 1000) + k * 62.5
      expected.append(max(i for i, t in enumerate(times_ms) if t <= time_ms + 0.5))
    self.assertEqual([_number_shown(p) for p in clip.frames], expected)

  def test_b_pictures_and_long_steps_between_key_pictures(self):
    with av.open(media_variants.SOURCE) as container:
      times_sec, pictures = zip(*[(f.time, f) for f in container.decode(video=0)])
    clip = clip_reading.read_clip(media_variants.SOURCE, 2.1, 4.1, frame_rate_hz=5, short_side=90)
    for k, picture in enumerate(clip.frames):
      index = np.searchsorted(times_sec, 2.1 + k / 5 + 1e-3, side="right") - 1
      expected = pictures[index].reformat(160, 90, "rgb24", interpolation="AREA").to_ndarray()
      np.testing.assert_array_equal(picture, expected)

  def test_seeks(self):
    """A clip far into a file decodes frames only from the previous key frame on."""
    pictures = [(Fraction(k, 25), _numbered_picture(k)) for k in range(1000)]
    path = self.write(
      "a.mp4", pictures, media_variants.sine(40.0), time_base=Fraction(1, 25), keyframe_interval=50
    )
    added = []
    add = media_pictures.FramePicker.add
    with mock.patch.object(
      media_pictures.FramePicker, "add", lambda self, frame: (added.append(frame), add(self, frame))
    ):
      clip = clip_reading.read_clip(path, 30.0, 31.0, frame_rate_hz=25, short_side=16)
    self.assertEqual([_number_shown(p) for p in clip.frames], list(range(750, 775)))
    self.assertLess(len(added), 25 + 50 + 10)

  @parameterized.parameters(0, 90, 180, 270)
  def test_rotation(self, clockwise_deg):
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32] = 255  # Top left.
    path = self.write("a.mp4", [(k / 25, picture) for k in range(25)])
    media_variants.set_rotation(path, clockwise_deg)
    info = media_probe.probe(path)
    clip = clip_reading.read_clip(path, 0.0, 0.5, short_side=32)
    expected = np.rot90(picture, -clockwise_deg // 90)
    self.assertEqual((info.height, info.width), expected.shape[:2])
    self.assertEqual(clip.frames.shape, (8, *expected.shape))
    error = np.abs(clip.frames.astype(np.float32) - expected)
    self.assertLess(error.mean(), 12.0)

  def test_orientation_of_all_eight_matrices(self):
    stored = np.arange(6).reshape(2, 3)
    expected = {
      (1, 0, 0, 1): stored,
      (-1, 0, 0, 1): stored[:, ::-1],
      (1, 0, 0, -1): stored[::-1],
      (-1, 0, 0, -1): stored[::-1, ::-1],
      (0, 1, 1, 0): stored.T,
      (0, 1, -1, 0): np.rot90(stored, -1),
      (0, -1, 1, 0): np.rot90(stored, 1),
      (0, -1, -1, 0): stored[::-1, ::-1].T,
    }
    for (a, b, c, d), upright in expected.items():
      matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1], np.int32) << 16
      frame = mock.Mock(side_data={"DISPLAYMATRIX": matrix.tobytes()})
      turned = media_pictures.turn_upright(stored, media_pictures.orientation(frame))
      np.testing.assert_array_equal(turned, upright)

  def test_oblique_rotation(self):
    matrix = np.array([46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30], np.int32)
    frame = mock.Mock(side_data={"DISPLAYMATRIX": matrix.tobytes()}, rotation=-45)
    with self.assertRaisesRegex(clip_reading.MediaError, "rotated by -45 degrees"):
      media_pictures.orientation(frame)

  def test_pixels_that_are_not_square(self):
    path = self.write("a.mp4", aspect=Fraction(2, 1))
    info = media_probe.probe(path)
    self.assertEqual((info.height, info.width), (16, 160))
    clip = clip_reading.read_clip(path, 0.0, 0.5, short_side=8)
    self.assertEqual(clip.frames.shape, (8, 8, 80, 3))

  @parameterized.parameters(
    ((720, 1280), 256, (256, 455)),
    ((1280, 720), 256, (455, 256)),
    ((77, 113), 40, (40, 59)),
    ((100, 100), 256, (256, 256)),
    ((2, 1001), 1, (1, 500)),
  )
  def test_scaled_size(self, size, short_side, expected):
    self.assertEqual(media_pictures.scaled_size(size, short_side), expected)

  def test_shrinking_averages(self):
    """Fine stripes become grey; a filter without averaging would keep black or white."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, ::2] = 255
    path = self.write(
      "a.mkv", [(k / 25, picture) for k in range(25)], video_codec="ffv1", pixel_format="yuv444p"
    )
    clip = clip_reading.read_clip(path, 0.0, 0.5, short_side=16)
    np.testing.assert_allclose(clip.frames, 127, atol=3)

  def test_decodes_in_one_thread(self):
    with media_streams.open_streams(media_variants.SOURCE) as opened:
      self.assertEqual([s.codec_context.thread_count for s in opened.streams], [1, 1])


if __name__ == "__main__":
  absltest.main()
