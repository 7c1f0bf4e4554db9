"""Tests that frames get their times, and that valid packets are not treated as damaged."""

import os
import struct
import unittest
from fractions import Fraction
from unittest import mock

import av
import numpy as np
from absl.testing import parameterized

from avssl_tf.data.media import (
  clip_reading,
  decoding,
  media_probe,
  picture_stream,
  sound_file,
  sound_stream,
)
from avssl_tf.data.media.media_limits import MediaError
from tests import media_variants

_RATE_HZ = 25
# A delimiter, a message and filler data: H.264 units without a frame.
_NO_PICTURES = (b"\x09\xf0", b"\x06\x05\x04abcd\x80", b"\x0c\xff\xff\x80")


def numbered(count, size=(48, 96)):
  """Frames with their number encoded as the width of a bar."""
  for k in range(count):
    picture = np.full((*size, 3), 30, np.uint8)
    picture[:, : 1 + k % 90] = 220
    yield Fraction(k, _RATE_HZ), picture


def numbers(frames):
  """Numbers of `numbered` frames, up to a step or two of the codec."""
  return [int(round((f[:, :, 0].mean(axis=0) > 125).sum() * 96 / f.shape[1])) - 1 for f in frames]


class DecodingTest(media_variants.MediaTestCase):

  def read_all(self, path, modalities=("video", "audio")):
    """All frames at their rate, and the audio."""
    info = media_probe.probe(path, modalities)
    return info, clip_reading.read_clip(
      path, 0.0, info.duration_sec, frame_rate_hz=_RATE_HZ, short_side=48, modalities=modalities
    )

  def assert_numbered(self, frames, count, tolerance=1):
    found = np.array(numbers(frames))
    self.assertLessEqual(abs(len(found) - count), 1)
    np.testing.assert_allclose(found, np.arange(len(found)), atol=tolerance)

  def h264_in_program_stream(self, num_b_frames):
    """Small frames share packets of the container, each with one time."""
    path = os.path.join(self.folder, "a.mpg")
    packets = []
    with av.open(path, "w", format="vob") as output:
      video = output.add_stream("libx264", rate=_RATE_HZ)
      video.height, video.width, video.pix_fmt = 48, 96, "yuv420p"
      video.codec_context.gop_size = 12
      video.codec_context.options = {
        "preset": "ultrafast", "x264-params": f"bframes={num_b_frames}:b-adapt=0"
      }  # fmt: skip
      audio = output.add_stream("mp2", rate=48000, layout="mono")
      for number, (_, picture) in enumerate(numbered(80)):
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, _RATE_HZ)
        packets += video.encode(frame)
      packets += video.encode(None)
      tone = media_variants.sine(3.2)
      packets += media_variants.encode_sound(audio, tone, "mono", 48000, 0)
      for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
        output.mux(packet)
    with av.open(path) as container:
      times = [f.pts for f in container.decode(video=0)]
    self.assertGreater(times.count(None), 40)
    return path

  @parameterized.parameters(0, 2)
  def test_h264_in_program_streams(self, num_b_frames):
    path = self.h264_in_program_stream(num_b_frames)
    _, clip = self.read_all(path)
    self.assert_numbered(clip.frames, 80)
    info, clip = self.read_all(path, ("video",))
    self.assertAlmostEqual(info.duration_sec, 3.2, delta=0.02)
    self.assert_numbered(clip.frames, 80)
    # Also after a seek.
    clip = clip_reading.read_clip(path, 2.4, 3.0, frame_rate_hz=_RATE_HZ, short_side=48)
    np.testing.assert_allclose(numbers(clip.frames), np.arange(60, 75), atol=1)
    with picture_stream.open_pictures(path, projection=None) as pictures:
      times_sec = [time_sec for time_sec, _ in pictures.frames()]
      self.assertEqual(pictures.num_damaged, 0)
    # FFmpeg returns one of the times twice.
    self.assertBetween(len(times_sec), 79, 80)
    self.assertLess(np.diff(times_sec).max(), 2 / _RATE_HZ + 1e-3)
    self.assertAlmostEqual(times_sec[-1] - times_sec[0], 79 / _RATE_HZ, delta=1e-3)

  def test_windows_media_audio(self):
    """The decoder returns an additional frame at the end, without a time."""
    path = os.path.join(self.folder, "a.asf")
    with av.open(path, "w", format="asf") as output:
      audio = output.add_stream("wmav2", rate=44100, layout="mono")
      audio.bit_rate = 64000
      tone = media_variants.sine(2.0, 44100)
      packets = media_variants.encode_sound(audio, tone, "mono", 44100, 0)
      for packet in packets:
        output.mux(packet)
    with av.open(path) as container:
      frames = list(container.decode(audio=0))
    self.assertIsNone(frames[-1].pts)
    info, clip = self.read_all(path, ("audio",))
    self.assertAlmostEqual(info.duration_sec, 2.0, delta=0.1)
    self.assertGreater(np.abs(clip.waveform[-4800:]).max(), 0.3)
    with sound_stream.open_mono(path, 44100) as stream:
      samples = np.concatenate(list(stream.blocks()))
    self.assertEqual(len(samples), sum(frame.samples for frame in frames))
    self.assertEqual((stream.num_damaged, stream.gap_sec), (0, 0.0))
    self.assertEqual(len(sound_file.read_sound(path, 44100, 1)), len(samples))

  def test_only_a_first_frame_without_a_time_is_an_error(self):
    path = os.path.join(self.folder, "a.h264")
    with av.open(path, "w", format="h264") as output:
      video = output.add_stream("libx264", rate=_RATE_HZ)
      video.height, video.width, video.pix_fmt = 48, 96, "yuv420p"
      for _, picture in numbered(20):
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        output.mux(video.encode(frame))
      output.mux(video.encode(None))
    with self.assertRaisesRegex(MediaError, "without presentation times, from the first one on"):
      media_probe.probe(path, ("video",))

  @parameterized.product(kind=("mp4", "mkv", "flv"), unit=_NO_PICTURES, place=(0, 10))
  def test_packets_of_h264_without_pictures(self, kind, unit, place):
    path = os.path.join(self.folder, f"a.{kind}")
    self.write_h264(path, {place: b"\0\0\0\1" + unit})
    _, clip = self.read_all(path, ("video",))
    self.assert_numbered(clip.frames, 30)
    with picture_stream.open_pictures(path, projection=None) as pictures:
      self.assertLen(list(pictures.frames()), 30)
      self.assertEqual(pictures.num_damaged, 0)

  def test_damage_is_damage_all_the_same(self):
    path = os.path.join(self.folder, "a.mkv")
    self.write_h264(path, {10: b"\0\0\0\1\x65" + b"\xff" * 30})
    with self.assertRaisesRegex(MediaError, "damaged"):
      self.read_all(path, ("video",))

  def write_h264(self, path, extra):
    packets = []
    with av.open(path, "w") as output:
      video = output.add_stream("libx264", rate=_RATE_HZ)
      video.height, video.width, video.pix_fmt = 48, 96, "yuv420p"
      time_base = video.codec_context.time_base = Fraction(1, 2 * _RATE_HZ)
      video.codec_context.options = {"preset": "ultrafast", "x264-params": "bframes=0"}
      for number, (_, picture) in enumerate(numbered(30)):
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = 2 * number, time_base
        packets += video.encode(frame)
      packets += video.encode(None)
      for number, packet in enumerate(packets):
        output.mux(packet)
        if number in extra:
          added = av.Packet(extra[number])
          added.time_base, added.stream, added.duration = packet.time_base, packet.stream, 1
          added.pts = added.dts = packet.pts + 1
          output.mux(added)

  @parameterized.parameters("video", "audio")
  def test_samples_of_no_bytes(self, kind):
    """To FFmpeg's decoders, a packet of no bytes would mean the end."""
    path = self.write("a.mp4", list(numbered(50)), media_variants.sine(2.0), video_codec="mjpeg",
      pixel_format="yuvj420p", time_base=Fraction(1, 25))  # fmt: skip
    with open(path, "rb") as f:
      data = bytearray(f.read())
    tables = [i for i in range(len(data)) if data[i : i + 4] == b"stsz"]
    at = tables[0 if kind == "video" else 1] + 16
    sizes = struct.unpack_from(">2I", data, at + 4 * 20)
    # The bytes of a sample become those of the previous one.
    struct.pack_into(">2I", data, at + 4 * 20, sum(sizes), 0)
    with open(path, "wb") as f:
      f.write(data)
    _, clip = self.read_all(path)
    self.assertGreaterEqual(len(clip.frames), 49)
    self.assertGreaterEqual(numbers(clip.frames)[-1], 47)
    self.assertGreater(np.abs(clip.waveform[-4800:]).max(), 0.3)
    with sound_stream.open_mono(path, 24000) as stream:
      self.assertAlmostEqual(sum(map(len, stream.blocks())) / 24000, 2.0, delta=0.05)
      self.assertEqual(stream.num_damaged, 0)
    with picture_stream.open_pictures(path, projection=None) as pictures:
      self.assertGreaterEqual(len(list(pictures.frames())), 49)
      self.assertEqual(pictures.num_damaged, 0)

  def test_sound_that_ends_within_a_sample(self):
    path = self.write("a.wav", None, media_variants.sine(1.0), audio_codec="pcm_s16le")
    with open(path, "r+b") as f:
      f.seek(0, os.SEEK_END)
      f.write(b"\x11")
      f.seek(40)
      size = int.from_bytes(f.read(4), "little")
    with open(path, "rb") as f:
      data = f.read()
    at = data.index(b"data") + 4
    size = struct.unpack_from("<I", data, at)[0]
    with open(path, "wb") as f:
      f.write(data[:at] + struct.pack("<I", size + 1) + data[at + 4 :])
    info, _ = self.read_all(path, ("audio",))
    self.assertAlmostEqual(info.duration_sec, 1.0, places=3)
    self.assertEqual(len(sound_file.read_sound(path, 48000, 1)), 48000)

  def test_pictures_follow_each_other_by_their_own_durations(self):
    frames = []
    for pts, duration in ((10, 40), (None, 0), (None, 60), (None, 40), (500, 40)):
      frame = av.VideoFrame(16, 16, "yuv420p")
      frame.pts, frame.time_base, frame.duration = pts, Fraction(1, 1000), duration
      frames.append(frame)
    stream = mock.Mock(type="video", average_rate=Fraction(20))
    decoder = decoding.Decoder(stream)
    packet = mock.Mock(size=1)
    packet.stream.codec_context.name = "mpeg4"
    packet.decode.return_value = frames
    times_sec = [float(f.pts * f.time_base) for f in decoder.frames(packet)]
    np.testing.assert_allclose(times_sec, [0.01, 0.05, 0.1, 0.16, 0.5], atol=1e-4)


if __name__ == "__main__":
  unittest.main()
