"""Measures where the streams of a file end and compares it with what the container states.

The measured end is the one used. The stated end serves to detect truncated files, and shows where
padding begins.
"""

import dataclasses
import math
from typing import Optional

import av

from avssl_tf.data.media import media_limits, media_streams
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.keys import VIDEO

# Containers round times, and the video may end this much before the audio.
END_TOLERANCE_SEC = 0.05
# Longer than a frame of any codec in use, and thus longer than the padding of the last frame and
# the delay of a decoder. The frames of AAC at 8 kHz are 0.128 s long.
LONGEST_FRAME_SEC = 0.15
# A stream that ends this much before the time that its container states is truncated.
TRUNCATION_SEC = 0.5
# Formats that state no end: libavformat estimates it from the file size and the bit rate, or from
# the last times that a coarse scan finds.
_GUESSED = frozenset(
  "aac ac3 adx amr amrnb amrwb aptx aptx_hd avs2 avs3 cavsvideo dirac dnxhd dts eac3 evc g722 g729 "
  "gsm h261 h263 h264 hevc loas m4v mjpeg mlp mp3 mpeg mpegts mpegvideo obu sbc truehd vc1 "
  "vvc".split()
)
# Formats that state an end which excludes the padding of the last packet.
_PADDED = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "ogg", "mp3", "caf"})
# Formats that state only one duration for all streams together.
_OF_ALL_STREAMS = frozenset({"matroska,webm", "flv", "live_flv", "nut"})
# Writers that cannot seek back leave one of these as the number of frames or samples.
_PLACEHOLDERS = frozenset({2**30, 2**31 - 1, 2**31, 2**32 - 1})
# Length of the tail of a file that is read to find where its streams end.
_TAIL_SEC = 10.0


def estimated_end_sec(
  media: media_streams.MediaStreams, stream: av.stream.Stream
) -> Optional[float]:
  """End of `stream` according to libavformat, possibly estimated; None if unknown."""
  if stream.duration:
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
  if media.container.duration:
    start = media.container.start_time or 0
    # Some Matroska writers count the duration from time 0, others from the start.
    if "matroska" in media.container.format.name and start > av.time_base:
      return None
    return (start + media.container.duration) / av.time_base
  return None


def promised_end_sec(
  media: media_streams.MediaStreams, stream: av.stream.Stream
) -> Optional[float]:
  """End of `stream` as the container states it; None if it states none reliably."""
  if media.container.format.name in _GUESSED:
    return None
  if _PLACEHOLDERS & {stream.frames, stream.duration}:
    return None
  end_sec = estimated_end_sec(media, stream)
  counts = stream.type == VIDEO or stream.codec_context.name.startswith("pcm_")
  if media.container.format.name == "avi" and counts and stream.frames:
    # libavformat derives the duration from the packets present. The header counts frames and
    # samples; for encoded audio, the unit that it counts differs between writers.
    counted_sec = float(((stream.start_time or 0) + stream.frames) * stream.time_base)
    end_sec = max(end_sec or 0.0, counted_sec)
  return end_sec


def _has_own_duration(media: media_streams.MediaStreams, stream: av.stream.Stream) -> bool:
  """Whether the stated duration is that of `stream` alone."""
  return bool(stream.duration) and media.container.format.name not in _OF_ALL_STREAMS


def padding_start_sec(
  media: media_streams.MediaStreams, stream: av.stream.Stream
) -> Optional[float]:
  """Time at which the final padding of a stream begins; None if the container states none."""
  name = media.container.format.name
  if name not in _PADDED or not stream.duration or _PLACEHOLDERS & {stream.frames, stream.duration}:
    return None
  # An MP3 that states its padding states the delay of its encoder as well.
  if name == "mp3" and not stream.start_time:
    return None
  return estimated_end_sec(media, stream)


@dataclasses.dataclass
class _Reached:
  """Measured end of a stream.

  Attributes:
    end_sec: end of the last packet, at most `media_limits.MAX_GAP_SEC` after its start.
    stated_sec: end of the last packet as the container states it.
    has_untimed: whether some packets have no time.
  """

  end_sec: float = -math.inf
  stated_sec: float = -math.inf
  has_untimed: bool = False


def _read_ends(media: media_streams.MediaStreams) -> list[_Reached]:
  """Ends of the streams, then of the ignored ones, from the packets after the current position."""
  streams = (*media.streams, *media.ignored)
  ends = {stream.index: _Reached() for stream in streams}
  for packet in media_streams.demux(media, with_ignored=True):
    is_picture = packet.stream.type == VIDEO
    default_sec = media_streams.picture_duration_sec(packet.stream) if is_picture else 0.0
    times = media_streams.packet_times_sec(packet, default_sec)
    end = ends[packet.stream.index]
    if times is None:
      end.has_untimed |= packet.size > 0
      continue
    end.end_sec = max(end.end_sec, min(times[1], times[0] + media_limits.MAX_GAP_SEC))
    end.stated_sec = max(end.stated_sec, times[1])
  return [ends[stream.index] for stream in streams]


class _LastFrame:
  """Consumer that finds the end of the last frame of a stream."""

  def __init__(self, stream: av.stream.Stream):
    self.done = False
    self.late = False
    self.end_sec = -math.inf
    self._stream = stream

  def needs(self, packet: av.Packet) -> bool:
    del packet
    return False

  def add(self, frame: media_streams.Frame) -> None:
    end_sec = media_streams.frame_time_sec(frame) + media_streams.frame_sec(frame, self._stream)
    self.end_sec = max(self.end_sec, end_sec)


def _decode_ends(media: media_streams.MediaStreams, ends: list[_Reached], sought: bool) -> None:
  """Corrects the ends of requested streams with the frames decoded from the current position."""
  last = [_LastFrame(stream) for stream in media.streams]
  by_stream = {stream.index: consumer for stream, consumer in zip(media.streams, last)}
  media_streams.feed(
    media,
    media.video and by_stream[media.video.index],
    media.audio and by_stream[media.audio.index],
    sought,
  )
  for end, consumer in zip(ends, last):
    end.end_sec = max(end.end_sec, consumer.end_sec)


def measured_ends_sec(path: str, media: media_streams.MediaStreams) -> tuple[float, ...]:
  """Measured end of each requested stream.

  If there is audio, the video ends no earlier: its last frame is held, as in players.

  Raises:
    MediaError: a stream ends before its stated end.
  """
  count = len(media.streams)
  modalities = [stream.type for stream in media.streams]
  estimates = [estimated_end_sec(media, stream) for stream in media.streams]
  known = [estimate for estimate in estimates if estimate is not None]
  ends = [_Reached()] * count
  tail_sec = min(known) - _TAIL_SEC if known else None
  if tail_sec is not None and media_streams.seek(media, tail_sec):
    ends = _read_ends(media)
  if any(end.end_sec == -math.inf for end in ends[:count]):
    tail_sec = None
    with media_streams.open_streams(path, modalities, media.audio_track) as again:
      ends = _read_ends(again)
  for end, stream in zip(ends, media.streams):
    if end.end_sec == -math.inf:
      raise MediaError(f"truncated or damaged: the {stream.type} stream is empty")
  held = count == 2
  if any(end.has_untimed for end in (ends[1:2] if held else ends[:count])):
    with media_streams.open_streams(path, modalities, media.audio_track) as again:
      sought = tail_sec is not None and media_streams.seek(again, tail_sec)
      _decode_ends(again, ends, sought)
  # The duration of a container is that of its longest stream, requested or not.
  latest_sec = max(end.stated_sec for end in ends)
  for end, stream in zip(ends, media.streams):
    promise_sec = promised_end_sec(media, stream)
    reached_sec = end.stated_sec if _has_own_duration(media, stream) else latest_sec
    if promise_sec is not None and reached_sec < promise_sec - TRUNCATION_SEC:
      raise MediaError(_truncated(stream.type, end.end_sec, promise_sec))
  measured = [_without_padding(media, s, end.end_sec) for s, end in zip(media.streams, ends)]
  # In most files both end within a fraction of a frame of each other.
  if held and measured[1] - measured[0] > END_TOLERANCE_SEC:
    measured[0] = measured[1]
  return tuple(measured)


def _without_padding(
  media: media_streams.MediaStreams, stream: av.stream.Stream, end_sec: float
) -> float:
  padding_sec = padding_start_sec(media, stream)
  # More than padding: the stated end is wrong.
  if padding_sec is None or end_sec - padding_sec > LONGEST_FRAME_SEC:
    return end_sec
  return min(end_sec, padding_sec)


def held_until_sec(
  media: media_streams.MediaStreams,
  pictures_end_sec: Optional[float],
  sound_end_sec: Optional[float],
  wanted_sec: float,
) -> Optional[float]:
  """End of the video: its last frame is held while there is audio, as in players.

  Args:
    media: the file, read up to `wanted_sec` or to its end.
    pictures_end_sec: end of the last frame; None if there is none.
    sound_end_sec: end of the audio; None if it is not requested.
    wanted_sec: end of the requested span.

  Returns:
    The time until which the last frame is held. It is `pictures_end_sec` itself without frames,
    without audio, or if the video is truncated.
  """
  if pictures_end_sec is None or sound_end_sec is None:
    return pictures_end_sec
  promise_sec = None
  if _has_own_duration(media, media.video):
    promise_sec = promised_end_sec(media, media.video)
  if promise_sec is not None and pictures_end_sec < min(promise_sec, wanted_sec) - TRUNCATION_SEC:
    return pictures_end_sec
  return max(pictures_end_sec, sound_end_sec)


def _truncated(kind: str, end_sec: float, promise_sec: float) -> str:
  return (
    f"truncated: the {kind} stream ends at {end_sec:.2f} s, "
    f"but the container states {promise_sec:.2f} s"
  )


def check_reached(
  media: media_streams.MediaStreams,
  stream: av.stream.Stream,
  done: bool,
  reached_sec: Optional[float],
  wanted_sec: float,
) -> None:
  """Checks that a stream contains the whole clip.

  Raises:
    MediaError: it does not; the message states the reason.
  """
  reached_sec = 0.0 if reached_sec is None else reached_sec
  tolerance_sec = END_TOLERANCE_SEC if stream.type == VIDEO else LONGEST_FRAME_SEC
  if done or reached_sec >= wanted_sec - tolerance_sec:
    return
  promise_sec = promised_end_sec(media, stream)
  if promise_sec is not None and reached_sec < min(promise_sec, wanted_sec) - TRUNCATION_SEC:
    raise MediaError(_truncated(stream.type, reached_sec, promise_sec))
  raise MediaError(
    f"shorter than requested: the {stream.type} stream ends at {reached_sec:.2f} s, "
    f"the clip at {wanted_sec:.2f} s"
  )
