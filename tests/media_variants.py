"""Creates media files for tests: a writer, many variants of a real video, and a test case."""

import dataclasses
import functools
import os
import shutil
import struct
import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Optional

import av
import numpy as np
from absl.testing import parameterized

SOURCE = os.path.join(os.path.dirname(__file__), "testdata", "big_buck_bunny_720p.mp4")


def write_media(
  path: str,
  pictures: Optional[Iterable[tuple[float, np.ndarray]]],
  samples: Optional[np.ndarray],
  *,
  layout: str = "mono",
  samples_rate_hz: int = 48000,
  sound_start_sec: float = 0.0,
  video_codec: str = "libx264",
  pixel_format: str = "yuv420p",
  time_base: Fraction = Fraction(1, 1000),
  keyframe_interval: int = 12,
  audio_codec: str = "aac",
  audio_layout: Optional[str] = None,
  audio_rate_hz: int = 48000,
  aspect: Optional[Fraction] = None,
  container_options: Optional[dict[str, str]] = None,
  video_options: Optional[dict[str, str]] = None,
  audio_options: Optional[dict[str, str]] = None,
) -> None:
  """Encodes video and audio into a file.

  Args:
    path: file to write; its extension selects the container.
    pictures: presentation times in seconds and uint8 RGB `[height, width, 3]`.
    samples: float32 `[channels, samples]`.
    layout: channel layout of `samples`.
    samples_rate_hz: rate of `samples`.
    sound_start_sec: presentation time of the first sample.
    video_codec: video encoder.
    pixel_format: pixel format of the encoder.
    time_base: unit of the timestamps of the frames.
    keyframe_interval: number of frames from one key frame to the next.
    audio_codec: audio encoder.
    audio_layout: encoded layout; default: that of the samples.
    audio_rate_hz: encoded sample rate.
    aspect: pixel aspect ratio.
    container_options: options of the muxer.
    video_options: additional options of the video encoder.
    audio_options: options of the audio encoder.
  """
  packets = []
  with av.open(path, "w", container_options=container_options or {}) as output:
    if pictures is not None:
      pictures = list(pictures)
      mean_rate_hz = (len(pictures) - 1) / (pictures[-1][0] - pictures[0][0])
      video = output.add_stream(video_codec, rate=Fraction(mean_rate_hz).limit_denominator(1001))
      video.height, video.width = pictures[0][1].shape[:2]
      video.pix_fmt = pixel_format
      video.time_base = video.codec_context.time_base = time_base
      video.codec_context.gop_size = keyframe_interval
      video.codec_context.thread_count = 1
      if aspect:
        video.codec_context.sample_aspect_ratio = aspect
      if video_codec == "libx264":
        video.codec_context.options = {"preset": "ultrafast", "crf": "18"}
      elif video_codec.startswith("libvpx"):
        video.codec_context.options = {"deadline": "realtime", "cpu-used": "8", "b": "1M"}
      else:
        video.codec_context.bit_rate = 2_000_000
      video.codec_context.options = {**video.codec_context.options, **(video_options or {})}
    if samples is not None:
      audio = output.add_stream(audio_codec, rate=audio_rate_hz, layout=audio_layout or layout)
      audio.codec_context.options = audio_options or {}
    if pictures is not None:
      packets += _encode_pictures(video, pictures, time_base)
    if samples is not None:
      start = round(sound_start_sec * samples_rate_hz)
      packets += encode_sound(audio, samples, layout, samples_rate_hz, start)
    for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
      output.mux(packet)


def _encode_pictures(stream, pictures, time_base: Fraction) -> list[av.Packet]:
  packets = []
  for time_sec, picture in pictures:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=stream.pix_fmt)
    frame.pts = round(Fraction(time_sec) / time_base)
    frame.time_base = time_base
    packets += stream.encode(frame)
  return packets + stream.encode(None)


def encode_sound(stream, samples, layout: str, rate_hz: int, start: int) -> list[av.Packet]:
  context = stream.codec_context
  context.open(strict=False)  # The frame size is known only then.
  resampler = av.AudioResampler(
    format=context.format.name,
    layout=context.layout.name,
    rate=context.sample_rate,
    frame_size=context.frame_size or 1024,
  )
  # Not planar: PyAV cannot create frames with more than seven planes.
  in_turn = np.ascontiguousarray(np.float32(samples).T).reshape(1, -1)
  frame = av.AudioFrame.from_ndarray(in_turn, "flt", layout)
  frame.sample_rate = rate_hz
  frame.time_base = Fraction(1, rate_hz)
  frame.pts = 0
  # Counted here, as resamplers do not keep a start before the first frame in all versions.
  pts = round(start * context.sample_rate / rate_hz)
  packets = []
  for resampled in resampler.resample(frame) + resampler.resample(None):
    resampled.pts = pts
    resampled.time_base = Fraction(1, context.sample_rate)
    pts += resampled.samples
    packets += stream.encode(resampled)
  return packets + stream.encode(None)


def set_rotation(path: str, clockwise_deg: int) -> None:
  """Makes players rotate the frames of an MP4 or QuickTime file (display matrix of its track).

  Box `tkhd` of ISO/IEC 14496-12, section 8.3.2: the matrix, then the size,
  which is zero for tracks without video.
  """
  cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise_deg]
  matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
  with open(path, "rb") as f:
    data = bytearray(f.read())
  found = 0
  at = data.find(b"tkhd")
  while at >= 0:
    offset = at + 4 + (52 if data[at + 4] == 1 else 40)
    if any(data[offset + 36 : offset + 44]):
      data[offset : offset + 36] = matrix
      found += 1
    at = data.find(b"tkhd", at + 1)
  if found != 1:
    raise ValueError(f"{path} has {found} tracks with pictures, expected 1.")
  with open(path, "wb") as f:
    f.write(data)


def truncate(path: str, keep: float) -> None:
  """Truncates a file after a fraction of its bytes."""
  os.truncate(path, int(os.path.getsize(path) * keep))


def damage(path: str, kind: str, number: int) -> None:
  """Overwrites all of one packet of the first stream of a kind, "video" or "audio"."""
  with av.open(path) as container:
    packets = list(container.demux(getattr(container.streams, kind)[0]))
  with open(path, "r+b") as f:
    f.seek(packets[number].pos)
    if not path.endswith((".mp4", ".mov")):  # The position is that of the packet's own header.
      f.seek(8, os.SEEK_CUR)
    f.write(b"\xff" * (packets[number].size - 8))


@functools.cache
def source_pictures() -> np.ndarray:
  """The real video at 25 Hz, uint8 RGB `[132, 90, 160, 3]`."""
  with av.open(SOURCE) as container:
    options = {"width": 160, "height": 90, "format": "rgb24", "interpolation": "AREA"}
    return np.stack([f.reformat(**options).to_ndarray() for f in container.decode(video=0)])


@functools.cache
def source_sound() -> np.ndarray:
  """Its audio, 5.1 at 48 kHz, float32 `[6, samples]`."""
  with av.open(SOURCE) as container:
    return np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)


def pictures_at(times_sec: Sequence[float], height: int = 90, width: int = 160):
  """Frames of the real video with their timestamps, cropped to at most 90 x 160."""
  pictures = source_pictures()
  for time_sec in times_sec:
    index = min(int(float(time_sec) * 25 + 1e-6), len(pictures) - 1)
    yield time_sec, np.ascontiguousarray(pictures[index, :height, :width])


def regular_times(rate_hz: Fraction, start_sec: float = 0.0, end_sec: float = 5.28) -> list:
  """Exact presentation times of a constant frame rate."""
  count = int((end_sec - start_sec) * rate_hz)
  return [Fraction(start_sec) + Fraction(k) / Fraction(rate_hz) for k in range(count)]


@dataclasses.dataclass(frozen=True)
class Variant:
  """A variant of the video.

  Attributes:
    name: name of the file.
    problem: part of the reason why it cannot be used; None for a good file.
    size: upright height and width.
    num_channels: number of audio channels.
    duration_sec: duration of the common interval of video and audio.
  """

  name: str
  problem: Optional[str] = None
  size: tuple[int, int] = (90, 160)
  num_channels: int = 1
  duration_sec: float = 5.28


VARIANTS = (
  Variant("stereo_30hz.mp4", num_channels=2),
  Variant("surround.mkv", num_channels=6),
  Variant("opus_vp9.webm", num_channels=2),
  Variant("pcm_u8_mono.avi"),
  Variant("pcm_u8_stereo.mov", num_channels=2),
  Variant("variable_rate.mkv"),
  Variant("rotated_90.mp4", size=(160, 90)),
  Variant("rotated_180.mov"),
  Variant("odd_size.mkv", size=(77, 113)),
  Variant("sound_later.mp4", duration_sec=4.68),
  Variant("film_rate_22khz.mov"),
  Variant("truncated.mp4", problem="truncated"),
  Variant("truncated.mkv", problem="truncated"),
  Variant("index_lost.mp4", problem="truncated or damaged"),
  Variant("no_sound.mp4", problem="no audio stream"),
  Variant("no_pictures.mp4", problem="no video stream"),
  Variant("silent.mp4", problem="the audio is silent throughout"),
  Variant("short.mp4", problem="shorter", duration_sec=0.4),
  Variant("text.mp4", problem="not a video"),
  Variant("empty.mp4", problem="empty file"),
)
GOOD_VARIANTS = tuple(variant for variant in VARIANTS if variant.problem is None)
BAD_VARIANTS = tuple(variant for variant in VARIANTS if variant.problem is not None)


def make_variants(directory: str) -> None:
  """Writes all of `VARIANTS` into a directory, 5 seconds each, in about 5 seconds."""

  def path(name: str) -> str:
    return os.path.join(directory, name)

  sound = source_sound()
  mono, stereo = sound[2:3], sound[:2]
  at_25_hz = list(pictures_at(regular_times(25)))
  irregular = np.cumsum(np.random.default_rng(0).choice([0.02, 0.04, 0.12], size=80)).tolist()
  irregular = [0.0] + [t for t in irregular if t < 5.24] + [5.24]

  write_media(
    path("stereo_30hz.mp4"), pictures_at(regular_times(30)), stereo, layout="stereo",
    time_base=Fraction(1, 30),
  )  # fmt: skip
  write_media(path("surround.mkv"), at_25_hz, sound, layout="5.1", audio_codec="ac3")
  write_media(
    path("opus_vp9.webm"), pictures_at(regular_times(10)), stereo, layout="stereo",
    video_codec="libvpx-vp9", audio_codec="libopus",
  )  # fmt: skip
  write_media(
    path("pcm_u8_mono.avi"), at_25_hz, mono, video_codec="mpeg4", audio_codec="pcm_u8",
    time_base=Fraction(1, 25), audio_rate_hz=11025,
  )  # fmt: skip
  write_media(
    path("pcm_u8_stereo.mov"), at_25_hz, stereo, layout="stereo", video_codec="mjpeg",
    pixel_format="yuvj420p", audio_codec="pcm_u8", time_base=Fraction(1, 25),
  )  # fmt: skip
  write_media(path("variable_rate.mkv"), pictures_at(irregular), mono, audio_codec="libmp3lame")
  write_media(path("rotated_90.mp4"), at_25_hz, mono)
  set_rotation(path("rotated_90.mp4"), 90)
  write_media(path("rotated_180.mov"), at_25_hz, mono, audio_codec="pcm_s16le")
  set_rotation(path("rotated_180.mov"), 180)
  write_media(
    path("odd_size.mkv"), pictures_at(regular_times(25), 77, 113), mono, video_codec="ffv1",
    pixel_format="yuv444p", audio_codec="flac",
  )  # fmt: skip
  write_media(path("sound_later.mp4"), at_25_hz, mono[:, 28800:], sound_start_sec=0.6)
  write_media(
    path("film_rate_22khz.mov"), pictures_at(regular_times(Fraction(24000, 1001))), mono,
    time_base=Fraction(1001, 24000), audio_rate_hz=22050,
  )  # fmt: skip

  write_media(path("truncated.mp4"), at_25_hz, mono, container_options={"movflags": "+faststart"})
  truncate(path("truncated.mp4"), 0.5)
  write_media(path("truncated.mkv"), at_25_hz, mono)
  truncate(path("truncated.mkv"), 0.5)
  write_media(path("index_lost.mp4"), at_25_hz, mono)
  truncate(path("index_lost.mp4"), 0.5)
  write_media(path("no_sound.mp4"), at_25_hz, None)
  write_media(path("no_pictures.mp4"), None, mono)
  write_media(path("silent.mp4"), at_25_hz, np.zeros_like(mono))
  write_media(path("short.mp4"), at_25_hz[:10], mono[:, :19200])
  with open(path("text.mp4"), "w", encoding="utf-8") as f:
    f.write("This is not a video.\n" * 40)
  with open(path("empty.mp4"), "wb"):
    pass


def sine(duration_sec: float, rate_hz: int = 48000, frequency_hz: float = 440.0) -> np.ndarray:
  """A tone at half of full scale, float32 `[1, samples]`."""
  time_sec = np.arange(round(duration_sec * rate_hz)) / rate_hz
  return (0.5 * np.sin(2 * np.pi * frequency_hz * time_sec)).astype(np.float32)[None]


class MediaTestCase(parameterized.TestCase):
  """Writes files into a temporary folder."""

  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)

  def write(self, name: str, pictures="plain", samples=None, duration_sec: float = 1.0, **options):
    """Writes a file, with arbitrary video and audio unless given."""
    path = os.path.join(self.folder, name)
    if isinstance(pictures, str):
      plain = np.full((16, 80, 3), 90, np.uint8)
      pictures = [(k / 25, plain) for k in range(round(duration_sec * 25))]
    samples = sine(duration_sec) if samples is None else samples
    write_media(path, pictures, samples, **options)
    return path
