"""Writes sound, and videos with new sound, with PyAV; all of it in a stream, nothing is held.

Files are written through Python, so that a full disk ends the writing as the `OSError` that it is.
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

# Of the sound of videos. It is what YouTube asks for, and what every player can play.
SOUND_RATE_HZ = 48000
_BITS_PER_SEC_A_CHANNEL = 192_000
# Directions are in what channels have in common. Perceptual noise substitution and intensity stereo
# would invent or merge what an ear does not miss, and the usual search for quantisers spends its
# bits on each channel by itself: of noise from one direction, Y, Z and X correlate with W by 0.99
# with it, by more than 0.999 with the fast one.
_AAC_OPTIONS = {"aac_pns": "0", "aac_is": "0", "aac_coder": "fast"}
# Ambisonics in AAC are four channels of the layout "4.0", of which players know the order that
# decoders put it in: front left, right, centre, back. It is the one layout of four channels that
# AAC has by number, the one that YouTube takes ambisonics in ("quad" is turned down), and what
# `SA3D` counts are channels as they are decoded. In the stream itself, AAC has the centre first.
AMBISONIC_LAYOUT = "4.0"
_PICTURE_TIME_BASE = Fraction(1, 90000)
_KEYFRAME_INTERVAL_SEC = 2.0
_BT709 = 1
_LIMITED_RANGE = 1


class _Written:
  """A file to write to that remembers why it could not be written."""

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
  """The layout that sound becomes AAC in.

  Args:
    layout: of its channels, as FFmpeg calls it.

  Returns:
    The same layout, stereo where AAC has no such layout, or None where it cannot be mixed to
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
    # What is still held must fail here, where it is told, and not when the file is closed.
    file.flush()
  except av.error.FFmpegError as error:
    # Of a failed write, FFmpeg only knows that it failed.
    raise (written.error or OSError(f"FFmpeg cannot write it as {kind}: {error}")) from error


def write_wav(file: BinaryIO, blocks: Iterable[np.ndarray], sample_rate_hz: int) -> None:
  """Writes first-order ambisonics as WAV of 32-bit floating-point numbers.

  These keep samples as they are, beyond full scale too, so that nothing is clipped or scaled.
  From 4 GB on, the file becomes RF64.

  Args:
    file: open for writing.
    blocks: float32 `[samples, 4]`, one after another.
    sample_rate_hz: rate of the sound.
  """
  # No loudspeakers: the file says of its channels only how many there are.
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
  """Writes an MP4 with the pictures of another file, not encoded anew, and other sound.

  Args:
    file: open for reading and writing.
    source: the other file, at its start, whose pictures `media_copying.can_copy`.
    origin_sec: time of `source` that becomes time 0.
    sound: what is heard.
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
  """Writes an MP4 that common players can play: H.264 in 4:2:0, and AAC.

  Args:
    file: open for reading and writing.
    frames: time in seconds and uint8 RGB `[height, width, 3]`, one after another.
    size: height and width, even.
    rate_hz: mean rate of the frames, for the encoder; their times are what counts.
    sound: what is heard.
    crf: constant rate factor of x264: lower is finer.
  """
  with _open(file, "mp4") as container:
    pictures = container.add_stream("libx264", rate=_encoder_rate(rate_hz))
    pictures.height, pictures.width = size
    pictures.pix_fmt = "yuv420p"
    context = pictures.codec_context
    context.time_base = _PICTURE_TIME_BASE
    context.gop_size = max(1, round(_KEYFRAME_INTERVAL_SEC * max(rate_hz, 1.0)))
    context.options = {"preset": "veryfast", "crf": str(crf)}
    # Said, as players guess from the size otherwise.
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    tones = sound.add_to(container)

    def packets() -> Iterator[av.Packet]:
      last = -1
      reformatter = av.video.reformatter.VideoReformatter()
      for time_sec, picture in frames:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = reformatter.reformat(frame, format="yuv420p", dst_colorspace="ITU709")
        # Times that become equal here would be refused.
        last = frame.pts = max(last + 1, round(time_sec / _PICTURE_TIME_BASE))
        frame.time_base = _PICTURE_TIME_BASE
        yield from pictures.encode(frame)
      yield from pictures.encode(None)

    _mux(container, packets(), sound.packets(tones))


def _encoder_rate(rate_hz: float) -> Fraction:
  # A film may show one picture an hour, which is no rate to an encoder.
  return Fraction(max(rate_hz, 1.0)).limit_denominator(1001)


@dataclasses.dataclass(frozen=True)
class Sound:
  """Sound for a video, which becomes AAC at `SOUND_RATE_HZ`.

  Attributes:
    blocks: float32 `[samples, channels]`, one after another, in -1..1.
    sample_rate_hz: their rate.
    layout: of the channels, as FFmpeg calls it.
    start_sec: time of the first sample, 0 or more.
    encoded_layout: what they are mixed to; None: their own. AAC has it (`aac_layout`).
  """

  blocks: Iterable[np.ndarray]
  sample_rate_hz: int
  layout: str
  start_sec: float = 0.0
  encoded_layout: Optional[str] = None

  def add_to(self, container: av.container.OutputContainer) -> av.AudioStream:
    """Adds a stream for it to a file."""
    layout = self.encoded_layout or self.layout
    stream = container.add_stream("aac", rate=SOUND_RATE_HZ, layout=layout)
    num_channels = len(av.AudioLayout(layout).channels)
    stream.bit_rate = num_channels * _BITS_PER_SEC_A_CHANNEL
    stream.codec_context.options = _AAC_OPTIONS
    return stream

  def packets(self, stream: av.AudioStream) -> Iterator[av.Packet]:
    """The encoded sound."""
    context = stream.codec_context
    context.open(strict=False)  # The frame size is known only then.
    resampler = av.AudioResampler(
      format="fltp",
      layout=self.encoded_layout or self.layout,
      rate=SOUND_RATE_HZ,
      frame_size=context.frame_size,
    )
    # Counted here: resamplers count from their first frame.
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
  """Writes both in the order of their times, so that neither has to be held for the other."""
  for packet in heapq.merge(pictures, sound, key=lambda p: p.dts * p.time_base):
    container.mux(packet)
