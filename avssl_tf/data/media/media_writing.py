"""Writes audio files, and videos with new audio, with PyAV in a streaming fashion.

Files are written through Python file objects: a full disk raises a proper `OSError`.
"""

import contextlib
import dataclasses
import heapq
import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import BinaryIO, Optional, Union

import av
import numpy as np

from avssl_tf.data.media import media_copying, media_sound, media_streams
from avssl_tf.data.media.media_streams import MediaError

# Sample rate of the audio in videos: required by YouTube and supported by every player.
SOUND_RATE_HZ = 48000
_BITS_PER_SEC_A_CHANNEL = 192_000
# Directions are encoded in the correlation between channels. Perceptual noise substitution and
# intensity stereo destroy it, and the default quantiser search optimises each channel separately:
# for noise from one direction, the correlation of Y, Z and X with W is 0.99 with the default
# search and above 0.999 with the fast one.
_AAC_OPTIONS = {"aac_pns": "0", "aac_is": "0", "aac_coder": "fast"}
# Ambisonics in AAC use the layout "4.0", which decodes to front left, right, centre, back. It is
# the only four-channel layout with a number in AAC, and the one that YouTube accepts for ambisonics
# ("quad" is rejected). `SA3D` refers to channels in decoded order. In the AAC stream, the centre
# comes first.
AMBISONIC_LAYOUT = "4.0"
_PICTURE_TIME_BASE = Fraction(1, 90000)
_KEYFRAME_INTERVAL_SEC = 2.0
_BT709 = 1
_LIMITED_RANGE = 1


class _Written:
  """A writable file that keeps the first write error."""

  def __init__(self, file: BinaryIO):
    self.error: Optional[OSError] = None
    self._file = file
    self.read, self.seek, self.tell = file.read, file.seek, file.tell

  def write(self, data: bytes) -> int:
    try:
      return self._file.write(data)
    except OSError as error:
      self.error = self.error or error
      raise


def aac_layout(layout: str) -> Optional[str]:
  """The channel layout in which audio is encoded as AAC.

  Args:
    layout: FFmpeg's name of the layout of the audio.

  Returns:
    The same layout if AAC supports it; otherwise stereo, or None if the audio cannot be mixed to
    stereo.
  """
  context = av.CodecContext.create("aac", "w")
  context.layout, context.sample_rate, context.format = layout, SOUND_RATE_HZ, "fltp"
  try:
    context.open(strict=False)
    return layout
  except (av.error.FFmpegError, ValueError):
    pass
  silence = np.zeros((len(av.AudioLayout(layout).channels), SOUND_RATE_HZ // 10), np.float32)
  try:
    media_sound.mix(silence, layout, "stereo", SOUND_RATE_HZ)
  except MediaError:
    return None
  return "stereo"


@contextlib.contextmanager
def _open(file: BinaryIO, kind: str, **options: str) -> Iterator[av.container.OutputContainer]:
  written = _Written(file)
  try:
    with av.open(written, "w", format=kind, options=options) as container:
      yield container
    # Errors of buffered writes must surface here, where they are reported, and not at close.
    file.flush()
  except av.error.FFmpegError as error:
    # FFmpeg does not report the reason of a failed write.
    raise (written.error or OSError(f"FFmpeg cannot write it as {kind}: {error}")) from error


def write_wav(file: BinaryIO, blocks: Iterable[np.ndarray], sample_rate_hz: int) -> None:
  """Writes first-order ambisonics as a 32-bit floating-point WAV file.

  Samples are stored unchanged: beyond full scale they are neither clipped nor scaled. Files of 4 GB
  and more are written as RF64.

  Args:
    file: open for writing.
    blocks: consecutive blocks, float32 `[samples, 4]`.
    sample_rate_hz: sample rate.
  """
  # No loudspeaker layout: the file states only the number of channels.
  layout = "ambisonic 1"
  with _open(file, "wav", rf64="auto") as container:
    stream = container.add_stream("pcm_f32le", rate=sample_rate_hz, layout=layout)
    position = 0
    for block in blocks:
      samples = np.ascontiguousarray(block, np.float32).reshape(1, -1)
      frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
      frame.sample_rate, frame.time_base = sample_rate_hz, Fraction(1, sample_rate_hz)
      frame.pts = position
      position += len(block)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_copied_mp4(
  file: BinaryIO,
  source: media_streams.MediaStreams,
  origin_sec: float,
  sound: "Sound",
) -> None:
  """Writes an MP4 with the video of another file, without re-encoding, and new audio.

  Args:
    file: open for reading and writing.
    source: the other file, at its start. `media_copying.can_copy` must hold for its video.
    origin_sec: time in `source` that becomes time 0.
    sound: the audio.
  """
  with _open(file, "mp4") as container:
    pictures = container.add_stream_from_template(source.video)
    tones = sound.add_to(container)

    _mux(container, media_copying.packets(source, pictures, origin_sec), sound.packets(tones))


def write_encoded_mp4(
  file: BinaryIO,
  frames: Iterable[tuple[float, np.ndarray]],
  size: tuple[int, int],
  rate_hz: float,
  sound: "Union[Sound, media_copying.CopiedSound]",
  crf: int = 20,
) -> None:
  """Writes an MP4 that common players support: H.264 in 4:2:0, and AAC.

  Args:
    file: open for reading and writing.
    frames: consecutive frames: time in seconds and uint8 RGB `[height, width, 3]`.
    size: height and width, both even.
    rate_hz: mean frame rate, a hint for the encoder. The frame times determine the timing.
    sound: the audio.
    crf: constant rate factor of x264; lower means higher quality.
  """
  with _open(file, "mp4") as container:
    pictures = container.add_stream("libx264", rate=_encoder_rate(rate_hz))
    pictures.height, pictures.width = size
    pictures.pix_fmt = "yuv420p"
    context = pictures.codec_context
    context.time_base = _PICTURE_TIME_BASE
    context.gop_size = max(1, round(_KEYFRAME_INTERVAL_SEC * max(rate_hz, 1.0)))
    context.options = {"preset": "veryfast", "crf": str(crf)}
    # Stated explicitly, because players otherwise guess from the frame size.
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    tones = sound.add_to(container)

    def packets() -> Iterator[av.Packet]:
      last = -1
      reformatter = av.video.reformatter.VideoReformatter()
      for time_sec, picture in frames:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = reformatter.reformat(frame, format="yuv420p", dst_colorspace="ITU709")
        # The encoder rejects times that rounding makes equal.
        last = frame.pts = max(last + 1, round(time_sec / _PICTURE_TIME_BASE))
        frame.time_base = _PICTURE_TIME_BASE
        yield from pictures.encode(frame)
      yield from pictures.encode(None)

    _mux(container, packets(), sound.packets(tones))


def _encoder_rate(rate_hz: float) -> Fraction:
  # A video may have one frame per hour, which encoders do not accept as a rate.
  return Fraction(max(rate_hz, 1.0)).limit_denominator(1001)


@dataclasses.dataclass(frozen=True)
class Sound:
  """Audio of a video, encoded as AAC at `SOUND_RATE_HZ`.

  Attributes:
    blocks: consecutive blocks, float32 `[samples, channels]` in -1..1.
    sample_rate_hz: sample rate of the blocks.
    layout: FFmpeg's name of the channel layout.
    start_sec: time of the first sample, 0 or more.
    encoded_layout: layout that the audio is mixed to, supported by AAC (see `aac_layout`); None
      keeps `layout`.
  """

  blocks: Iterable[np.ndarray]
  sample_rate_hz: int
  layout: str
  start_sec: float = 0.0
  encoded_layout: Optional[str] = None

  def add_to(self, container: av.container.OutputContainer) -> av.AudioStream:
    """Adds a stream for the audio to a file."""
    layout = self.encoded_layout or self.layout
    stream = container.add_stream("aac", rate=SOUND_RATE_HZ, layout=layout)
    num_channels = len(av.AudioLayout(layout).channels)
    stream.bit_rate = num_channels * _BITS_PER_SEC_A_CHANNEL
    stream.codec_context.options = _AAC_OPTIONS
    return stream

  def packets(self, stream: av.AudioStream) -> Iterator[av.Packet]:
    """The encoded audio."""
    context = stream.codec_context
    context.open(strict=False)  # Determines the frame size.
    resampler = av.AudioResampler(
      format="fltp",
      layout=self.encoded_layout or self.layout,
      rate=SOUND_RATE_HZ,
      frame_size=context.frame_size,
    )
    # Counted here, because resamplers count from their first frame.
    pts = round(self.start_sec * SOUND_RATE_HZ)
    for frame in itertools.chain(self._frames(), [None]):
      for resampled in resampler.resample(frame):
        resampled.pts, resampled.time_base = pts, Fraction(1, SOUND_RATE_HZ)
        pts += resampled.samples
        yield from stream.encode(resampled)
    yield from stream.encode(None)

  def _frames(self) -> Iterator[av.AudioFrame]:
    position = 0
    for block in self.blocks:
      yield media_sound.from_float(block.T, self.layout, self.sample_rate_hz, position)
      position += len(block)


def _mux(
  container: av.container.OutputContainer,
  pictures: Iterator[av.Packet],
  sound: Iterator[av.Packet],
) -> None:
  """Writes both in the order of their times, which avoids buffering either."""

  for packet in heapq.merge(pictures, sound, key=lambda p: p.dts * p.time_base):
    container.mux(packet)
