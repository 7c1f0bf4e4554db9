"""Tests that small files with excessive demands are refused before they use resources."""

import os
import re
import struct
import unittest
from fractions import Fraction

import av
import numpy as np
from absl.testing import parameterized

from avssl_tf.data.media import (
  clip_reading,
  media_limits,
  media_probe,
  picture_stream,
  sound_file,
  sound_stream,
)
from avssl_tf.data.media.media_limits import MediaError
from tests import hostile_media, media_variants, source_tree

# Frames of 16,000 x 16,000 pixels would take 256 MB at least.
_MOST_MB = 100


class PageTest(unittest.TestCase):

  def test_the_documented_limits_are_those_in_force(self):
    page = (source_tree.ROOT / "docs" / "guides" / "trust.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", page, re.MULTILINE))
    limits = media_limits
    for row, expected in (
      ("pixels of a decoded frame", f"{limits.MAX_PIXELS} "),
      ("pixels of a stored frame", f"{limits.MAX_STORED_PIXELS} "),
      ("long side over short side, with square pixels", f"{limits.MAX_ASPECT:g}"),
      ("memory of the frames, or of the audio, of one clip", f"{limits.MAX_CLIP_BYTES} bytes"),
      ("sample rate", f"{limits.MIN_SAMPLE_RATE_HZ} to {limits.MAX_SAMPLE_RATE_HZ} Hz"),
      ("channels", f"{limits.MAX_CHANNELS}"),
      (
        "frame rate that a file states",
        f"at most {limits.MAX_FRAME_RATE_HZ} Hz",
      ),
      ("gap without video and audio", f"{limits.MAX_GAP_SEC:g} s"),
      ("duration", f"{limits.MAX_DURATION_SEC:g} s"),
      ("clips or windows of a file", f"{limits.MAX_CLIPS}"),
    ):
      self.assertTrue(rows[row].startswith(expected), f"{row}: {rows[row]}; expected {expected}")


class SoundTest(media_variants.MediaTestCase):

  @parameterized.parameters(1, 999, 2_000_000, 2_000_000_000)
  def test_rate(self, rate_hz):
    path = hostile_media.write_wav(os.path.join(self.folder, "a.wav"), rate_hz)
    with self.assertRaisesRegex(MediaError, f"sample rate out of bounds: {rate_hz} Hz; expected"):
      media_probe.probe(path, ("audio",))
    with self.assertRaisesRegex(MediaError, "sample rate out of bounds"):
      sound_file.read_sound(path, 24000, 1)
    with self.assertRaisesRegex(MediaError, "sample rate out of bounds"):
      with sound_stream.open_mono(path, 24000):
        pass

  @parameterized.parameters(1000, 8000, 384_000)
  def test_rates_that_are_in_use(self, rate_hz):
    path = hostile_media.write_wav(os.path.join(self.folder, "a.wav"), rate_hz)
    self.assertEqual(media_probe.probe(path, ("audio",)).sample_rate_hz, rate_hz)

  def test_channels(self):
    path = hostile_media.write_wav(os.path.join(self.folder, "a.wav"), 8000, 900, 512)
    with self.assertRaisesRegex(MediaError, "too many channels: 512; expected at most 64"):
      media_probe.probe(path, ("audio",))
    path = hostile_media.write_wav(os.path.join(self.folder, "b.wav"), 8000, 900, 64)
    self.assertEqual(media_probe.probe(path, ("audio",)).num_channels, 64)

  @parameterized.parameters(0xFFFFFFF0, 0xFFFFFFFF)
  def test_wav_that_claims_4_gb(self, claimed_bytes):
    path = os.path.join(self.folder, "a.wav")
    hostile_media.write_wav(path, 8000, claimed_bytes=claimed_bytes)
    hostile_media.reset_peak_memory()
    self.assertAlmostEqual(media_probe.probe(path, ("audio",)).duration_sec, 5.0)
    self.assertEqual(sound_file.read_sound(path, 8000, 1).shape, (40000, 1))
    self.assertLess(hostile_media.peak_memory_mb(), _MOST_MB)

  def test_rf64_that_claims_exabytes(self):
    path = hostile_media.write_rf64(os.path.join(self.folder, "a.wav"), 2**61)
    with self.assertRaisesRegex(MediaError, "truncated: the audio stream ends at 0.83 s"):
      media_probe.probe(path, ("audio",))

  def test_clip_that_would_not_fit(self):
    # A minute of 64 channels at 1 MHz.
    path = hostile_media.write_wav(os.path.join(self.folder, "a.wav"), 1_000_000, 2000, 64)
    with self.assertRaisesRegex(MediaError, "clip too large: its audio would take .* GiB"):
      clip_reading.read_clip(path, 0, 60.0, modalities=("audio",), num_channels=None)


class PicturesTest(media_variants.MediaTestCase):

  def test_narrow_frames(self):
    for size in ((16, 16000), (16000, 16)):
      path = os.path.join(self.folder, "a.mkv")
      hostile_media.write_at(path, hostile_media.SECOND, hostile_media.SECOND, size)
      hostile_media.reset_peak_memory()
      for read in (media_probe.probe, lambda path: clip_reading.read_clip(path, 0, 1.0)):
        with self.assertRaisesRegex(MediaError, f"frames too narrow: {size[1]}x{size[0]} with"):
          read(path)
      with self.assertRaisesRegex(MediaError, "frames too narrow"):
        with picture_stream.open_pictures(path, projection=None):
          pass
      self.assertLess(hostile_media.peak_memory_mb(), _MOST_MB)

  def test_narrow_pixels(self):
    path = self.write("a.mp4", aspect=Fraction(2))
    with open(path, "rb") as f:
      data = f.read()
    at = data.index(b"pasp") + 4
    for aspect, seen in (((200, 1), "16000x16"), ((1, 200), "0.4x16"), ((2**31 - 1, 1), ".*x16")):
      with open(path, "wb") as f:
        f.write(data[:at] + struct.pack(">II", *aspect) + data[at + 8 :])
      with self.assertRaisesRegex(MediaError, f"frames too narrow: {seen} with square pixels"):
        media_probe.probe(path)
    with self.assertRaisesRegex(MediaError, "frames too narrow"):
      media_limits.check_upright(16, 16 * 17)

  def test_frames_that_are_wide_and_in_use(self):
    path = os.path.join(self.folder, "a.mkv")
    hostile_media.write_at(path, hostile_media.SECOND, hostile_media.SECOND, (64, 64 * 12))
    clip = clip_reading.read_clip(path, 0, 0.5, short_side=32)
    self.assertEqual(clip.frames.shape[1:3], (32, 384))

  @parameterized.parameters("png", "mjpeg")
  def test_huge_frames(self, codec):
    huge = hostile_media.png(16000, 16000) if codec == "png" else hostile_media.jpeg(16000, 16000)
    small = hostile_media.png(32, 64) if codec == "png" else hostile_media.jpeg(32, 64)
    times = hostile_media.SECOND
    path = os.path.join(self.folder, "a.mov")
    for claimed, first in (((16000, 16000), huge), ((32, 64), huge), ((32, 64), small)):
      pictures = [(t, first if t < 0.5 else huge) for t in times]
      hostile_media.write_packets(path, codec, pictures, times, claimed)
      hostile_media.reset_peak_memory()
      with self.subTest(claimed=claimed, first=len(first)):
        reason = f"frames too large|frames of more than {media_limits.MAX_PIXELS} pixels"
        with self.assertRaisesRegex(MediaError, reason):
          clip_reading.read_clip(path, 0, 1.0)
        self.assertLess(hostile_media.peak_memory_mb(), _MOST_MB)

  @parameterized.parameters("libx264:ts", "libx264:mkv", "libvpx:webm")
  def test_huge_frames_of_codecs_that_predict(self, case):
    codec, kind = case.split(":")
    path = os.path.join(self.folder, f"a.{kind}")
    # Slightly above the limit: writing this takes memory as well.
    height, width = 8208, 8192
    with av.open(path, "w") as output:
      stream = output.add_stream(codec, rate=25)
      stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
      fast = {"preset": "ultrafast", "x264-params": "rc-lookahead=0:bframes=0:ref=1"}
      stream.codec_context.options = fast if codec == "libx264" else {"deadline": "realtime"}
      frame = av.VideoFrame(width, height, "yuv420p")
      frame.pts, frame.time_base = 0, Fraction(1, 25)
      output.mux([*stream.encode(frame), *stream.encode(None)])
    with self.assertRaisesRegex(MediaError, "frames too large: 8192x8208 pixels; expected at most"):
      media_probe.probe(path, ("video",))

  def test_clip_that_would_not_fit(self):
    path = os.path.join(self.folder, "a.mkv")
    hostile_media.write_at(path, hostile_media.SECOND, hostile_media.SECOND)
    with self.assertRaisesRegex(MediaError, "clip too large: its frames would take 10.1 GiB"):
      clip_reading.read_clip(path, 0, 0.9, short_side=4096, frame_rate_hz=120)

  def test_frame_rate(self):
    with self.assertRaisesRegex(MediaError, "frame rate out of bounds: 20000 Hz"):
      media_limits.check_frame_rate(20000)
    for rate_hz in (None, 29.97, 1 / 3600):
      media_limits.check_frame_rate(rate_hz)

  def test_frames_are_not_stored_that_cannot_be_read(self):
    self.assertLessEqual(media_limits.MAX_STORED_PIXELS, media_limits.MAX_PIXELS)
    self.assertEqual(np.prod([8192, 4096]), media_limits.MAX_STORED_PIXELS)


if __name__ == "__main__":
  unittest.main()
