"""Tests of the JPEG compression of frames."""

import cv2
import numpy as np
from absl.testing import absltest

from avssl_tf.data.records.jpeg import JpegSettings, encode_frames
from tests import media_variants


def _decode(jpegs):
  return np.stack([
    cv2.cvtColor(cv2.imdecode(np.frombuffer(j, np.uint8), 1), cv2.COLOR_BGR2RGB) for j in jpegs
  ])  # fmt: skip


def _psnr(a, b):
  return 10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2))


def _film(num_frames=24):
  """Highly detailed frames, 340x256."""
  pictures = media_variants.source_pictures()
  steps = np.linspace(0, len(pictures) - 1, num_frames).astype(int)
  return np.stack([
    cv2.resize(pictures[i], (340, 256), interpolation=cv2.INTER_AREA) for i in steps
  ])  # fmt: skip


class JpegTest(absltest.TestCase):
  def test_colours_are_right(self):
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    for channel in range(3):
      frames[channel, ..., channel] = 200
    self.assertLess(np.max(np.abs(_decode(encode_frames(frames, 1, JpegSettings())) * 1.0
                                  - frames)), 8)  # fmt: skip

  def test_ten_seconds_of_detailed_film_with_sound_fit_in_three_megabytes(self):
    frames = _film()
    jpegs = encode_frames(frames, 16, JpegSettings())
    pictures = np.mean([len(jpeg) for jpeg in jpegs]) * 160
    sound = 10 * 24000 * 4
    self.assertLess(pictures + sound, 3e6)
    self.assertGreater(pictures, 1.8e6)  # No smaller than necessary.
    self.assertGreater(_psnr(_decode(jpegs), frames), 29)

  def test_what_fits_has_the_quality_asked_for(self):
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in _film(8)])
    bounded = encode_frames(smooth, 16, JpegSettings())
    self.assertEqual(bounded, encode_frames(smooth, 16, JpegSettings(max_bytes_per_sec=None)))
    self.assertGreater(_psnr(_decode(bounded), smooth), 40)

  def test_the_largest_quality_that_fits_is_taken(self):
    frames = _film(8)
    for quality in (40, 63, 85):
      exact = encode_frames(frames, 8, JpegSettings(quality, max_bytes_per_sec=None))
      bound = sum(map(len, exact))
      settings = JpegSettings(max_bytes_per_sec=bound)
      found = encode_frames(frames, 8, settings)
      self.assertLessEqual(sum(map(len, found)), bound)
      self.assertGreater(sum(map(len, found)), 0.95 * bound)

  def test_the_quality_does_not_fall_below_the_minimum(self):
    frames = _film(4)
    found = encode_frames(frames, 16, JpegSettings(max_bytes_per_sec=10))
    self.assertEqual(found, encode_frames(frames, 16, JpegSettings(30, None)))

  def test_full_colour_resolution_keeps_thin_coloured_shapes(self):
    frames = np.zeros((1, 40, 40, 3), np.uint8)
    frames[0, ::2, :, 0] = 255
    frames[0, 1::2, :, 2] = 255
    psnr = {
      chroma: _psnr(_decode(encode_frames(frames, 1, JpegSettings(95, None, 30, chroma))), frames)
      for chroma in ("4:2:0", "4:4:4")
    }
    self.assertGreater(psnr["4:4:4"], psnr["4:2:0"] + 15)

  def test_bad_settings_are_refused(self):
    with self.assertRaisesRegex(ValueError, "quality is 0"):
      JpegSettings(quality=0)
    with self.assertRaisesRegex(ValueError, "4:2:0"):
      JpegSettings(chroma="4:1:1")


if __name__ == "__main__":
  absltest.main()
