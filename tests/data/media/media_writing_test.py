"""Tests of writing audio and videos, and reading them back."""

import errno
import io
import os
import unittest
from fractions import Fraction

import av
import numpy as np
from absl.testing import parameterized
from scipy.io import wavfile

from avssl_tf import keys
from avssl_tf.data.media import media_streams, media_writing
from avssl_tf.data.metadata import spatial_media
from tests import media_variants, spatial_files

_TONES_HZ = (300, 700, 1500, 4000)


def _tones(duration_sec, rate_hz=24000):
  """W Y Z X as four tones: float32 `[samples, 4]`."""
  tones = [media_variants.sine(duration_sec, rate_hz, f)[0] for f in _TONES_HZ]
  return np.stack(tones, axis=-1)


def _blocks(samples, length=5000):
  return [samples[i : i + length] for i in range(0, len(samples), length)]


def _heard(path):
  """Time of the first sample, and all samples, `[channels, samples]`."""
  with av.open(path) as container:
    frames = list(container.decode(audio=0))
  return frames[0].time, np.concatenate([f.to_ndarray() for f in frames], axis=1)


def _packets(path):
  with av.open(path) as container:
    return [(p.pts * p.time_base, bytes(p)) for p in container.demux(video=0) if p.size]


class _FullDisk(io.BytesIO):

  def write(self, data):
    if self.tell() + len(data) > 20000:
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return super().write(data)


class MediaWritingTest(media_variants.MediaTestCase):

  def path(self, name):
    return os.path.join(self.folder, name)

  def test_wav_keeps_every_sample(self):
    field = np.random.default_rng(0).normal(0, 1.0, (30_001, 4)).astype(np.float32)
    self.assertGreater(np.abs(field).max(), 3)  # Beyond full scale.
    with open(self.path("a.wav"), "wb") as file:
      media_writing.write_wav(file, _blocks(field), 16000)
    rate_hz, found = wavfile.read(self.path("a.wav"))
    self.assertEqual((rate_hz, found.dtype), (16000, np.float32))
    np.testing.assert_array_equal(found, field)
    with av.open(self.path("a.wav")) as container:
      self.assertEqual(container.streams.audio[0].layout.name, "4 channels")

  def copied(self, source, sound, origin_sec=0.0):
    path = self.path("copied.mp4")
    with open(path, "w+b") as file:
      with media_streams.open_streams(source, (keys.VIDEO,)) as media:
        media_writing.write_copied_mp4(file, media, origin_sec, sound)
    return path

  @parameterized.parameters("a.mp4", "a.mkv", "late.mp4")
  def test_pictures_are_copied_bit_by_bit_and_stay_in_step(self, name):
    late = name == "late.mp4"
    start_sec = 0.4 if late else 0.0
    pictures = media_variants.pictures_at(
      media_variants.regular_times(25, start_sec=start_sec, end_sec=2.0)
    )
    source = self.write(name, pictures, duration_sec=2.0)
    field = np.zeros((48000, 4), np.float32)
    field[24000:24100] = 0.5  # A click at 1 s.
    sound = media_writing.Sound(_blocks(field), 24000, media_writing.AMBISONIC_LAYOUT, 0.25)
    path = self.copied(source, sound)
    before, after = _packets(source), _packets(path)
    self.assertEqual([time for time, _ in before], [time for time, _ in after])
    contents = [content for _, content in after]
    if name != "a.mkv":
      self.assertEqual([content for _, content in before], contents)
    self.assertEqual(min(time for time, _ in after), Fraction(start_sec).limit_denominator(100))
    first_sec, samples = _heard(path)
    self.assertEqual(samples.shape[0], 4)
    for channel in samples:
      self.assertAlmostEqual(first_sec + np.argmax(np.abs(channel)) / 48000, 1.25, delta=0.006)

  def test_time_begins_where_it_is_said_to(self):
    source = self.write("a.mkv", [(5.0 + k / 25, np.full((16, 32, 3), 9 * k, np.uint8))
                                  for k in range(20)], None)  # fmt: skip
    sound = media_writing.Sound([_tones(0.5)], 24000, media_writing.AMBISONIC_LAYOUT, 0.1)
    path = self.copied(source, sound, origin_sec=4.8)
    self.assertAlmostEqual(float(_packets(path)[0][0]), 0.2, places=3)

  def test_each_channel_is_found_where_the_file_says(self):
    source = self.write("a.mp4", duration_sec=1.5)
    field = _tones(1.5)
    sound = media_writing.Sound(_blocks(field), 24000, media_writing.AMBISONIC_LAYOUT)
    plain = self.copied(source, sound)
    marked = self.path("marked.mp4")
    with open(plain, "rb") as file, open(marked, "wb") as target:
      spatial_media.mark(file, target)
    channel_map = spatial_files.components_of(marked)
    with av.open(marked) as container:
      frame = next(container.decode(audio=0))
      # Players use the loudspeaker order of this layout, not that of AAC.
      self.assertEqual([c.name for c in frame.layout.channels], ["FL", "FR", "FC", "BC"])
    _, samples = _heard(marked)
    for channel, component in zip(samples, channel_map):
      spectrum = np.abs(np.fft.rfft(channel[12000:60000]))
      self.assertEqual(np.argmax(spectrum), _TONES_HZ[component])
      # Little crosstalk.
      others = [spectrum[f] for f in _TONES_HZ if f != _TONES_HZ[component]]
      self.assertLess(max(others), 0.01 * spectrum.max())
    # FFmpeg of PyAV 19 leaves out what the encoder added at the end.
    self.assertIn(len(samples[0]), (1.5 * 48000, 71 * 1024))

  def test_directions_survive_the_encoding(self):
    rng = np.random.default_rng(0)
    # Noise from one direction, which encoders tend to synthesise.
    weights = np.array([1.0, 0.6, -0.3, 0.5], np.float32)
    field = (0.2 * rng.normal(size=(48000, 1))).astype(np.float32) * weights
    source = self.write("a.mp4", duration_sec=2.0)
    sound = media_writing.Sound(_blocks(field), 24000, media_writing.AMBISONIC_LAYOUT)
    _, samples = _heard(self.copied(source, sound))
    samples = samples[:, 4800:90000]
    correlation = np.corrcoef(samples)[0, 1:]
    np.testing.assert_array_less(0.999, np.abs(correlation))
    found = samples @ samples[0] / (samples[0] @ samples[0])
    np.testing.assert_allclose(found, weights, atol=0.005)

  def test_encoded_pictures_are_what_common_players_play(self):
    frames = [(t, picture[:, :]) for t, picture in media_variants.pictures_at([0, 0.1, 0.15, 0.9])]
    path = self.path("a.mp4")
    sound = media_writing.Sound([_tones(1.0)[:, :2]], 24000, "stereo")
    with open(path, "w+b") as file:
      media_writing.write_encoded_mp4(file, iter(frames), (90, 160), 10.0, sound)
    with av.open(path) as container:
      video, audio = container.streams.video[0], container.streams.audio[0]
      self.assertEqual((video.codec_context.name, video.pix_fmt), ("h264", "yuv420p"))
      self.assertEqual((audio.codec_context.name, audio.rate, audio.layout.name),
                       ("aac", 48000, "stereo"))  # fmt: skip
      found = list(container.decode(video=0))
    np.testing.assert_allclose([f.time for f in found], [0, 0.1, 0.15, 0.9], atol=1e-4)
    for frame, (_, picture) in zip(found, frames):
      back = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
      self.assertLess(np.abs(back.astype(float) - picture).mean(), 5.0)

  def test_a_full_disk_is_told_as_such(self):
    noise = np.random.default_rng(0).normal(0, 0.3, (48000, 4)).astype(np.float32)
    source = self.write("a.mp4")
    with self.assertRaisesRegex(OSError, "No space left"):
      media_writing.write_wav(_FullDisk(), _blocks(noise), 16000)
    sound = media_writing.Sound(_blocks(noise), 16000, media_writing.AMBISONIC_LAYOUT)
    with self.assertRaisesRegex(OSError, "No space left"):
      with media_streams.open_streams(source, (keys.VIDEO,)) as media:
        media_writing.write_copied_mp4(_FullDisk(), media, 0.0, sound)


if __name__ == "__main__":
  unittest.main()
