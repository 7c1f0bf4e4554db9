"""Tests of images and audio as data URIs."""

import base64
import io

import numpy as np
import soundfile
from absl.testing import absltest, parameterized
from matplotlib.figure import Figure
from PIL import Image

from avssl_tf.report import inline_media


def _decoded(uri: str, media_type: str) -> io.BytesIO:
  head, content = uri.split(",")
  assert head == f"data:{media_type};base64", head
  return io.BytesIO(base64.b64decode(content))


class InlineMediaTest(parameterized.TestCase):

  def test_a_picture_keeps_its_colours(self):
    pixels = np.full((20, 30, 3), (200, 40, 10), np.uint8)
    image = Image.open(_decoded(inline_media.picture(pixels), "image/webp"))
    self.assertEqual(image.size, (30, 20))
    np.testing.assert_allclose(np.asarray(image.convert("RGB")), pixels, atol=8)

  def test_an_animation_has_all_frames_at_their_rate(self):
    frames = np.zeros((5, 16, 16, 3), np.uint8)
    frames[np.arange(5), :, :, 1] = 50 * np.arange(5)[:, None, None]
    image = Image.open(_decoded(inline_media.animation(frames, 8.0), "image/webp"))
    self.assertEqual(image.n_frames, 5)
    for number in range(5):
      image.seek(number)
      image.load()
      self.assertEqual(image.info["duration"], 125)
      found = np.asarray(image.convert("RGB"))[8, 8]
      np.testing.assert_allclose(found, frames[number, 8, 8], atol=8)

  def test_one_frame_is_a_picture(self):
    uri = inline_media.animation(np.zeros((1, 16, 16, 3), np.uint8), 8.0)
    self.assertEqual(getattr(Image.open(_decoded(uri, "image/webp")), "n_frames", 1), 1)

  @parameterized.parameters((8000, 8000), (10000, 11025), (24000, 24000), (96000, 48000))
  def test_sound_keeps_its_pitch_level_and_length(self, rate_hz, expected_hz):
    time_sec = np.arange(rate_hz) / rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time_sec)
    for waveform in (tone, np.stack([tone, 0 * tone], axis=1)):
      found, found_hz = soundfile.read(
        _decoded(inline_media.sound(waveform, rate_hz), "audio/mpeg"), always_2d=True
      )
      self.assertEqual(found_hz, expected_hz)
      self.assertAlmostEqual(len(found) / found_hz, 1.0, delta=0.2)  # MP3 has whole blocks.
      middle = found[len(found) // 4 : len(found) // 4 + found_hz // 2]
      self.assertAlmostEqual(np.sqrt(np.mean(middle[:, 0] ** 2)), 0.354, delta=0.04)
      spectrum = np.abs(np.fft.rfft(middle[:, 0]))
      self.assertAlmostEqual(np.argmax(spectrum) * 2, 1000, delta=4)
      if waveform.ndim == 2:
        self.assertLess(np.sqrt(np.mean(middle[:, 1] ** 2)), 0.02)

  def test_what_is_too_loud_is_clipped(self):
    uri = inline_media.sound(np.full(8000, 7.0), 8000)
    self.assertLess(np.abs(soundfile.read(_decoded(uri, "audio/mpeg"))[0]).max(), 2.0)

  def test_a_drawing(self):
    figure = Figure((2, 1), dpi=50)
    self.assertEqual(
      Image.open(_decoded(inline_media.drawing(figure), "image/png")).size, (100, 50)
    )


if __name__ == "__main__":
  absltest.main()
