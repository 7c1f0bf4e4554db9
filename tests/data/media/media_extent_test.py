"""Tests of the ends of files: they are measured, not estimated or placeholders."""

import os
import struct
import unittest
from fractions import Fraction

import av
import numpy as np
from absl.testing import parameterized

from avssl_tf.data.media import clip_reading, media_extent, media_probe, media_streams, sound_stream
from avssl_tf.data.media.media_limits import MediaError
from tests import media_variants

_SEC = 4.0
_RATE_HZ = 44100


class _Pipe:
  """A file that is not seekable."""

  def __init__(self, path):
    self._file = open(path, "wb")
    self.write, self.close = self._file.write, self._file.close


def _sound(duration_sec=_SEC, rate_hz=_RATE_HZ):
  """Noise, which takes many bits, followed by silence."""
  noise = np.random.default_rng(0).uniform(-1, 1, round(duration_sec * rate_hz))
  noise *= np.where(np.arange(len(noise)) < len(noise) / 2, 0.5, 0.0)
  return noise.astype(np.float32)[None]


def _write(target, kind, video_codec, audio_codec, rate_hz=_RATE_HZ, times_sec=None, **options):
  """Writes distinct frames and audio, each of `_SEC`."""
  packets = []
  with av.open(target, "w", format=kind, options=options) as output:
    if video_codec:
      video = output.add_stream(video_codec, rate=25)
      video.height, video.width, video.pix_fmt = 48, 96, "yuv420p"
      video.codec_context.gop_size = 12
      video.bit_rate = 300_000
      if video_codec == "libx264":
        video.codec_context.options = {"preset": "ultrafast"}
    if audio_codec:
      audio = output.add_stream(audio_codec, rate=rate_hz, layout="mono")
    if video_codec:
      for k in range(round(_SEC * 25)) if times_sec is None else [round(25 * t) for t in times_sec]:
        picture = np.full((48, 96, 3), 60 + k, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = k, Fraction(1, 25)
        packets += video.encode(frame)
      packets += video.encode(None)
    if audio_codec:
      packets += media_variants.encode_sound(audio, _sound(rate_hz=rate_hz), "mono", rate_hz, 0)
    for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
      output.mux(packet)


class EndsTest(media_variants.MediaTestCase):

  def path(self, name):
    return os.path.join(self.folder, name)

  def assert_whole(self, path, modalities=("video", "audio"), expected_sec=_SEC, delta=0.05):
    """Everything is measured, and can be read."""
    info = media_probe.probe(path, modalities)
    self.assertAlmostEqual(info.duration_sec, expected_sec, delta=delta)
    for start_sec in (0.0, info.duration_sec - 0.5):
      clip = clip_reading.read_clip(
        path, start_sec, info.duration_sec, short_side=32, modalities=modalities,
        accept_silence=True,
      )  # fmt: skip
      if "video" in modalities:
        self.assertLen(clip.frames, round((info.duration_sec - start_sec) * 16))
    return clip

  @parameterized.parameters(
    ("a.mpg", "vob", "mpeg2video", "mp2", 48000),
    ("a.vob", "vob", "mpeg2video", "ac3", 48000),
    ("b.mpg", "mpeg", "mpeg1video", "mp2", 48000), ("c.mpg", "vob", "libx264", "mp2", 48000),
    ("a.ts", "mpegts", "libx264", "aac", 48000), ("b.ts", "mpegts", "mpeg2video", "mp2", 48000),
    ("a.avi", "avi", "mpeg4", "libmp3lame", 44100), ("b.avi", "avi", "libx264", "pcm_s16le", 44100),
    ("a.flv", "flv", "libx264", "aac", 44100), ("a.mkv", "matroska", "libx264", "aac", 44100),
    ("a.webm", "webm", "libvpx", "libopus", 48000), ("a.nut", "nut", "mpeg4", "libmp3lame", 44100),
  )  # fmt: skip
  def test_writers_that_could_not_seek(self, name, kind, video_codec, audio_codec, rate_hz):
    path = self.path(name)
    _write(_Pipe(path), kind, video_codec, audio_codec, rate_hz)
    self.assert_whole(path, delta=0.06)
    self.assert_whole(path, ("video",), delta=0.06)
    self.assert_whole(path, ("audio",), delta=0.06)

  @parameterized.parameters(
    ("a.wav", "wav", "pcm_s16le"), ("a.au", "au", "pcm_s16be"), ("a.caf", "caf", "pcm_s16be"),
    ("a.flac", "flac", "flac"), ("a.mp3", "mp3", "libmp3lame"), ("a.aac", "adts", "aac"),
    ("a.ac3", "ac3", "ac3"), ("a.mka", "matroska", "flac"), ("a.tta", "tta", "tta"),
  )  # fmt: skip
  def test_sound_of_writers_that_could_not_seek(self, name, kind, codec):
    path = self.path(name)
    _write(_Pipe(path), kind, None, codec)
    self.assert_whole(path, ("audio",), delta=0.06)
    with sound_stream.open_mono(path, 24000) as stream:
      self.assertAlmostEqual(sum(map(len, stream.blocks())) / 24000, _SEC, delta=0.06)
      self.assertEqual(stream.shortfall_sec(), 0.0)

  def test_mp3_without_a_header_of_its_length(self):
    """The bit rate of the beginning does not predict the end."""
    data = []
    for rate in ("320000", "32000"):
      path = self.path("part.mp3")
      with av.open(path, "w", options={"write_xing": "0", "id3v2_version": "0"}) as output:
        audio = output.add_stream("libmp3lame", rate=44100, layout="mono")
        audio.codec_context.options = {"b": rate}
        output.mux(media_variants.encode_sound(audio, _sound(), "mono", 44100, 0))
      with open(path, "rb") as f:
        data.append(f.read())
    for order in (data, data[::-1]):
      path = self.path("whole.mp3")
      with open(path, "wb") as f:
        f.write(b"".join(order))
      self.assert_whole(path, ("audio",), 2 * _SEC, delta=0.1)

  def test_mp3_that_states_its_padding(self):
    path = self.path("a.mp3")
    _write(path, "mp3", None, "libmp3lame")
    # FFmpeg 7, in PyAV for Python 3.9 and 3.10, reads the padding of at most a frame as well.
    delta = 0.001 if av.library_versions["libavformat"][0] > 61 else 1152 / _RATE_HZ
    duration_sec = media_probe.probe(path, ("audio",)).duration_sec
    self.assertAlmostEqual(duration_sec, _SEC, delta=delta)

  def test_adts_whose_beginning_takes_most_bits(self):
    path = self.path("a.aac")
    _write(path, "adts", None, "aac")
    with av.open(path) as container:
      self.assertLess(container.duration / av.time_base, 0.9 * _SEC)
    self.assert_whole(path, ("audio",), delta=0.06)

  @parameterized.parameters(0, 2**31 - 1, 2**31, 2**32 - 1, 2**31 - 4096, 2**32 - 37)
  def test_placeholders_of_wav(self, size):
    path = self.path("a.wav")
    _write(path, "wav", None, "pcm_s16le")
    with open(path, "r+b") as f:
      data = f.read()
      f.seek(data.index(b"data") + 4)
      f.write(struct.pack("<I", size))
    self.assert_whole(path, ("audio",), delta=0.001)

  @parameterized.parameters(0, 10, 2**30, 2**31 - 1, 2**32 - 1)
  def test_placeholders_of_avi(self, count):
    path = self.path("a.avi")
    _write(_Pipe(path), "avi", "mpeg4", "pcm_s16le")
    with open(path, "rb") as f:
      data = bytearray(f.read())
    at = data.find(b"strh")
    while at >= 0:
      struct.pack_into("<I", data, at + 8 + 32, count)
      at = data.find(b"strh", at + 1)
    with open(path, "wb") as f:
      f.write(data)
    self.assert_whole(path)

  @parameterized.parameters(-1.0, 0.0, 1.5, _SEC - 0.1)
  def test_durations_of_flv(self, duration_sec):
    path = self.path("a.flv")
    _write(path, "flv", "libx264", "aac")
    with open(path, "r+b") as f:
      data = f.read()
      f.seek(data.index(b"duration") + 9)
      f.write(struct.pack(">d", duration_sec))
    self.assert_whole(path)

  @parameterized.parameters(0.0, 1500.0, 1000 * _SEC - 100)
  def test_durations_of_matroska(self, duration_ms):
    path = self.path("a.mkv")
    _write(path, "matroska", "libx264", "aac")
    with open(path, "r+b") as f:
      data = f.read()
      f.seek(data.index(b"\x44\x89") + 3)
      f.write(struct.pack(">d", duration_ms))
    self.assert_whole(path)

  @parameterized.parameters(0, 1500, 2**32 - 1)
  def test_durations_of_fragmented_mp4(self, duration):
    path = self.path("a.mp4")
    _write(path, "mp4", "libx264", "aac", movflags="frag_keyframe+empty_moov")
    with open(path, "rb") as f:
      data = bytearray(f.read())
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20), (b"mehd", 8)):
      at = data.find(box)
      while at >= 0:
        struct.pack_into(">I", data, at + offset, duration)
        at = data.find(box, at + 1)
    with open(path, "wb") as f:
      f.write(data)
    self.assert_whole(path)

  def test_truncated_files_are_found_all_the_same(self):
    for name, kind, audio_codec, options in (
      ("a.mp4", "mp4", "aac", {"movflags": "faststart"}), ("a.mkv", "matroska", "aac", {}),
      ("a.flv", "flv", "aac", {}), ("a.avi", "avi", "pcm_s16le", {}),
    ):  # fmt: skip
      path = self.path(name)
      _write(path, kind, "libx264", audio_codec, **options)
      media_variants.truncate(path, 0.4)
      with self.assertRaisesRegex(MediaError, "truncated"):
        media_probe.probe(path)
      with sound_stream.open_mono(path, 24000) as stream:
        present_sec = sum(map(len, stream.blocks())) / 24000
        self.assertAlmostEqual(stream.shortfall_sec(), _SEC - present_sec, delta=0.1)


class HeldPicturesTest(media_variants.MediaTestCase):

  @parameterized.product(
    kind=("mp4", "mkv", "webm", "ts", "flv", "avi", "mpg", "mov"),
    times_sec=((0.0,), (0.0, 0.04, 1.0)),
  )
  def test_the_last_picture_stays_while_there_is_sound(self, kind, times_sec):
    path = os.path.join(self.folder, f"a.{kind}")
    codecs = {
      "webm": ("libvpx", "libopus"), "avi": ("mpeg4", "libmp3lame"), "mpg": ("mpeg2video", "mp2")
    }.get(kind, ("libx264", "aac"))  # fmt: skip
    _write(path, None, *codecs, rate_hz=48000, times_sec=times_sec)
    info = media_probe.probe(path)
    self.assertAlmostEqual(info.duration_sec, _SEC, delta=0.06)
    for start_sec in (0.0, 2.0, 3.0):
      clip = clip_reading.read_clip(
        path, start_sec, start_sec + 0.9, short_side=32, accept_silence=True
      )
      self.assertLen(clip.frames, 14)
    end_sec = info.duration_sec
    last = clip_reading.read_clip(path, end_sec - 0.5, end_sec, short_side=32, accept_silence=True)
    expected = 60 + round(25 * times_sec[-1])
    self.assertAlmostEqual(last.frames.mean(), expected, delta=4)

  def test_pictures_alone_last_as_long_as_they_do(self):
    path = os.path.join(self.folder, "a.mkv")
    _write(path, None, "libx264", "aac", times_sec=(0.0, 1.0))
    self.assertLess(media_probe.probe(path, ("video",)).duration_sec, 2.5)

  def test_one_picture_of_an_hour(self):
    """No frame rate is too low: the frame is held."""
    path = os.path.join(self.folder, "a.mp4")
    _write(path, None, "libx264", "aac", times_sec=(0.0,))
    with open(path, "rb") as f:
      data = bytearray(f.read())
    at = data.index(b"stts") + 12
    with av.open(path) as container:
      ticks = 1 / container.streams.video[0].time_base
    struct.pack_into(">I", data, at + 4, int(3600 * ticks))
    for box, offset, unit in ((b"mvhd", 20, 1000), (b"tkhd", 24, 1000), (b"mdhd", 20, ticks)):
      struct.pack_into(">I", data, data.index(box) + offset, int(3600 * unit))
    struct.pack_into(">I", data, data.index(b"elst") + 12, 3600 * 1000)
    with open(path, "wb") as f:
      f.write(data)
    with av.open(path) as container:
      self.assertLess(container.streams.video[0].average_rate, Fraction(1, 3000))
    self.assertAlmostEqual(media_probe.probe(path).duration_sec, _SEC, delta=0.06)
    self.assertLen(clip_reading.read_clip(path, 1.0, 2.0, short_side=32).frames, 16)

  def test_pictures_that_break_off_are_not_held(self):
    path = os.path.join(self.folder, "a.mp4")
    _write(path, None, "libx264", "aac")
    with media_streams.open_streams(path) as streams:
      held = media_extent.held_until_sec
      self.assertEqual(held(streams, 1.0, _SEC, _SEC), 1.0)
      self.assertEqual(held(streams, _SEC, _SEC + 2, _SEC + 2), _SEC + 2)
      self.assertIsNone(held(streams, None, _SEC, _SEC))


if __name__ == "__main__":
  unittest.main()
