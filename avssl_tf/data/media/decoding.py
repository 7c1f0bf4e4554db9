"""Decodes the packets of a stream in order and gives every decoded frame a time.

Demuxers and decoders have quirks that are valid and no damage: packets without anything to decode,
frames without a time from a drained decoder, several frames with the same time. This module handles
them for all other decoding code.
"""

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Optional, Union

import av

from avssl_tf.keys import VIDEO

Frame = Union[av.VideoFrame, av.AudioFrame]

_USUAL_PICTURE_SEC = Fraction(1, 25)
# Time base of MPEG: the frame duration is a whole number at every common frame rate.
_PICTURE_TIME_BASE = Fraction(1, 90000)

# By decoder: a predicate on the first byte of a unit, true for slices, and the offset in the stream
# header of the field that gives the number of bytes of a unit's length.
_SLICES = {
  "h264": (lambda header: 1 <= header & 0x1F <= 5, 4),
  "hevc": (lambda header: header >> 1 & 0x3F < 32, 21),
}
_SLICE = 1  # In both of them.
# Decoders of raw interleaved audio, with the bits per sample; 8 if the name has no number.
_RAW_SOUND = re.compile(r"pcm_(?:[suf](\d+)(?:le|be)?|alaw|mulaw|vidc)")


class Decoder:
  """Decodes the packets of one stream in order, starting from one position in the file."""

  def __init__(self, stream: av.stream.Stream):
    self._stream = stream
    self._has_times = False
    self._before = b""  # Units that belong to the next frame.
    self._end_sec: Optional[Fraction] = None  # Of the previous frame.

  def frames(self, packet: av.Packet) -> list[Frame]:
    """Returns the frames that a packet completes.

    A frame without a time starts at the end of the previous frame. It stays without a time if no
    earlier frame had one.

    Args:
      packet: next packet of the stream. An empty packet without a time drains the decoder.

    Raises:
      av.error.FFmpegError: the packet cannot be decoded.
    """
    if not packet.size and _time(packet) is not None:
      return []  # FFmpeg would take it for the end of the stream.
    if packet.size and _holds_no_frame(packet):
      if self._stream.type == VIDEO:
        self._before += bytes(packet)
      return []
    if packet.size and self._before:
      packet = _replaced(packet, self._before + bytes(packet))
      self._before = b""
    rest = _bytes_after_samples(packet)
    if rest:
      packet = _replaced(packet, bytes(packet)[:-rest])
    try:
      frames = packet.decode()
    except av.error.EOFError:
      return []  # The decoder was drained already.
    for frame in frames:
      self._put_in_time(frame)
    return frames

  def _put_in_time(self, frame: Frame) -> None:
    self._has_times |= frame.pts is not None
    if not self._has_times:
      # AVI stores decoding times only. They are not used once there are presentation times.
      frame.pts = frame.dts
    duration_sec = frame_sec(frame, self._stream)
    if frame.pts is None and self._end_sec is not None:
      is_picture = self._stream.type == VIDEO
      frame.time_base = _PICTURE_TIME_BASE if is_picture else Fraction(1, frame.sample_rate)
      frame.pts = round(self._end_sec / frame.time_base)
    if frame.pts is not None and frame.time_base:
      self._end_sec = frame.pts * frame.time_base + duration_sec


def frame_sec(frame: Frame, stream: av.stream.Stream) -> Fraction:
  """Duration of a frame; the nominal duration for video frames if the file states none."""
  if isinstance(frame, av.AudioFrame):
    return Fraction(frame.samples, frame.sample_rate)
  duration = getattr(frame, "duration", None)  # Not in all versions of PyAV.
  if duration and frame.time_base:
    return duration * frame.time_base
  return picture_sec(stream)


def picture_sec(video: av.VideoStream) -> Fraction:
  """Nominal time between two video frames."""
  rate_hz = video.average_rate or video.guessed_rate or video.base_rate
  return 1 / rate_hz if rate_hz else _USUAL_PICTURE_SEC


def _time(packet: av.Packet) -> Optional[int]:
  return packet.dts if packet.pts is None else packet.pts


def _replaced(packet: av.Packet, content: bytes) -> av.Packet:
  """The packet with its content replaced."""
  replaced = av.Packet(content)
  replaced.stream, replaced.time_base = packet.stream, packet.time_base
  replaced.pts, replaced.dts, replaced.duration = packet.pts, packet.dts, packet.duration
  replaced.is_keyframe = packet.is_keyframe
  return replaced


def _bytes_after_samples(packet: av.Packet) -> int:
  """Number of bytes of an incomplete last sample in a packet of raw audio."""
  if not packet.size:
    return 0
  context = packet.stream.codec_context
  found = _RAW_SOUND.fullmatch(context.name)
  if not found:
    return 0
  return packet.size % (context.channels * int(found[1] or 8) // 8)


def _holds_no_frame(packet: av.Packet) -> bool:
  """Whether a packet contains nothing to decode. FFmpeg treats such packets as damaged.

  H.264 and HEVC may have packets with only delimiters, parameter sets, messages or filler data. Raw
  audio may end within its first sample.
  """
  context = packet.stream.codec_context
  if context.name in _SLICES:
    is_slice, at = _SLICES[context.name]
    units = _unit_headers(packet, context.extradata, at)
    first = next(units, None)
    return first is not None and not any(map(is_slice, itertools.chain([first], units)))
  return packet.size == _bytes_after_samples(packet)


def _unit_headers(packet: av.Packet, extradata: Optional[bytes], at: int) -> Iterator[int]:
  """The first byte of each unit of H.264 or HEVC in a packet.

  Args:
    packet: units separated by start codes (ISO/IEC 14496-10 and 23008-2, annex B), or each preceded
      by its length (ISO/IEC 14496-15).
    extradata: extradata of the decoder.
    at: offset in `extradata` of the field with the number of bytes of a length.

  Yields:
    First bytes. If the data is not a valid chain of units, the last one is that of a slice, which
    leaves the packet to the decoder.
  """
  data = memoryview(packet)
  if not extradata or extradata[0] != 1 or len(extradata) <= at or data[:4] == b"\0\0\0\1":
    for start in re.finditer(rb"\x00\x00\x01(.)", data, re.DOTALL):
      yield start.group(1)[0]
    return
  size = (extradata[at] & 3) + 1
  position = 0
  while position + size < len(data):
    length = int.from_bytes(data[position : position + size], "big")
    if length:
      yield data[position + size]
    position += size + length
  if position != len(data):
    yield _SLICE
