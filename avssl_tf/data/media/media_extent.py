"""How far the streams of a file reach, against what its container promises.

What is measured counts. A promise tells that a file is truncated, and where padding begins.
"""

import dataclasses
import math
from typing import Optional

import av

from avssl_tf.data.media import media_limits, media_streams
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.keys import VIDEO

# Containers round times, and pictures may end this much before the sound.
END_TOLERANCE_SEC = 0.05
# Longer than the frames of any codec in use, and so than the padding of the last one, and than what
# a decoder may keep to itself: AAC of 8 kHz has frames of 0.128 s.
LONGEST_FRAME_SEC = 0.15
# A stream that ends this much before the time its container promises is truncated.
TRUNCATION_SEC = 0.5
# Formats that promise nothing: libavformat guesses from the size of the file and its bit rate, or
# from the last times that it finds without looking closely.
_GUESSED = frozenset(
  "aac ac3 adx amr amrnb amrwb aptx aptx_hd avs2 avs3 cavsvideo dirac dnxhd dts eac3 evc g722 g729 "
  "gsm h261 h263 h264 hevc loas m4v mjpeg mlp mp3 mpeg mpegts mpegvideo obu sbc truehd vc1 "
  "vvc".split()
)
# Formats that state an end so that the padding of the last packet is left out.
_PADDED = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "ogg", "mp3", "caf"})
# Formats that state the duration of all streams together alone.
_OF_ALL_STREAMS = frozenset({"matroska,webm", "flv", "live_flv", "nut"})
# Where a number of frames or samples is due, writers that cannot go back leave one of these.
_PLACEHOLDERS = frozenset({2**30, 2**31 - 1, 2**31, 2**32 - 1})
# How much of the end of a file is looked at to find where its streams end.
_TAIL_SEC = 10.0


def estimated_end_sec(
  media: media_streams.MediaStreams, stream: av.stream.Stream
) -> Optional[float]:
  """When `stream` ends according to libavformat, which may guess; None where it has no idea."""
  if stream.duration:
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
  if media.container.duration:
    start = media.container.start_time or 0
    # Some writers of Matroska count it from time 0, others from the start.
    if "matroska" in media.container.format.name and start > av.time_base:
      return None
    return (start + media.container.duration) / av.time_base
  return None


def promised_end_sec(
  media: media_streams.MediaStreams, stream: av.stream.Stream
) -> Optional[float]:
  """When `stream` ends according to the container; None where it does not say clearly."""
  if media.container.format.name in _GUESSED:
    return None
  if _PLACEHOLDERS & {stream.frames, stream.duration}:
    return None
  end_sec = estimated_end_sec(media, stream)
  counts = stream.type == VIDEO or stream.codec_context.name.startswith("pcm_")
  if media.container.format.name == "avi" and counts and stream.frames:
    # libavformat makes the duration of the packets that are there. The header counts pictures and
    # samples; of encoded sound, what it counts differs between writers.
    counted_sec = float(((stream.start_time or 0) + stream.frames) * stream.time_base)
    end_sec = max(end_sec or 0.0, counted_sec)
  return end_sec


def _has_own_duration(media: media_streams.MediaStreams, stream: av.stream.Stream) -> bool:
  """Whether what is promised of `stream` is of it alone."""
  return bool(stream.duration) and media.container.format.name not in _OF_ALL_STREAMS


def padding_start_sec(
  media: media_streams.MediaStreams, stream: av.stream.Stream
) -> Optional[float]:
  """When padding begins at the end of a stream; None where the container states no such time."""
  name = media.container.format.name
  if name not in _PADDED or not stream.duration or _PLACEHOLDERS & {stream.frames, stream.duration}:
    return None
  # An MP3 that states its padding states the delay of its encoder as well.
  if name == "mp3" and not stream.start_time:
    return None
  return estimated_end_sec(media, stream)


@dataclasses.dataclass
class _Reached:
  """How far a stream reaches.

  Attributes:
    end_sec: end of its last packet, but at most `media_limits.MAX_GAP_SEC` after its start.
    stated_sec: end of the last packet as the container states it.
    has_untimed: whether packets have no time.
  """

  end_sec: float = -math.inf
  stated_sec: float = -math.inf
  has_untimed: bool = False


def _read_ends(media: media_streams.MediaStreams) -> list[_Reached]:
  """How far the streams reach, then those ignored, by their packets from the position on."""
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
  """Consumer that finds where the last frame of a stream ends."""

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
  """Corrects the ends of streams asked for by those of the frames from the position on."""
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
  """When each of the streams asked for really ends.

  Where there is sound, pictures end no earlier than it does: the last one stays, as in players.

  Raises:
    MediaError: a stream ends before the container says it does.
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
  # A container's duration is kept by whichever stream is longest, asked for or not.
  latest_sec = max(end.stated_sec for end in ends)
  for end, stream in zip(ends, media.streams):
    promise_sec = promised_end_sec(media, stream)
    reached_sec = end.stated_sec if _has_own_duration(media, stream) else latest_sec
    if promise_sec is not None and reached_sec < promise_sec - TRUNCATION_SEC:
      raise MediaError(_truncated(stream.type, end.end_sec, promise_sec))
  measured = [_without_padding(media, s, end.end_sec) for s, end in zip(media.streams, ends)]
  # Both end together in most files, but for a part of a picture.
  if held and measured[1] - measured[0] > END_TOLERANCE_SEC:
    measured[0] = measured[1]
  return tuple(measured)


def _without_padding(
  media: media_streams.MediaStreams, stream: av.stream.Stream, end_sec: float
) -> float:
  padding_sec = padding_start_sec(media, stream)
  # More than padding: the end that is stated is wrong.
  if padding_sec is None or end_sec - padding_sec > LONGEST_FRAME_SEC:
    return end_sec
  return min(end_sec, padding_sec)


def held_until_sec(
  media: media_streams.MediaStreams,
  pictures_end_sec: Optional[float],
  sound_end_sec: Optional[float],
  wanted_sec: float,
) -> Optional[float]:
  """Until when there are pictures: the last one stays while there is sound, as in players.

  Args:
    media: where they are from, read up to what is wanted or to its end.
    pictures_end_sec: end of the last picture; None: there is none.
    sound_end_sec: end of the sound; None where it is not asked for.
    wanted_sec: end of what is asked for.

  Returns:
    A time, or None where there is no picture, or where they break off.
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
    f"but the container promises {promise_sec:.2f} s"
  )


def check_reached(
  media: media_streams.MediaStreams,
  stream: av.stream.Stream,
  done: bool,
  reached_sec: Optional[float],
  wanted_sec: float,
) -> None:
  """Raises the reason for which a stream does not hold all of the clip."""
  reached_sec = 0.0 if reached_sec is None else reached_sec
  tolerance_sec = END_TOLERANCE_SEC if stream.type == VIDEO else LONGEST_FRAME_SEC
  if done or reached_sec >= wanted_sec - tolerance_sec:
    return
  promise_sec = promised_end_sec(media, stream)
  if promise_sec is not None and reached_sec < min(promise_sec, wanted_sec) - TRUNCATION_SEC:
    raise MediaError(_truncated(stream.type, reached_sec, promise_sec))
  raise MediaError(
    f"shorter than asked: the {stream.type} stream ends at {reached_sec:.2f} s, "
    f"the clip at {wanted_sec:.2f} s"
  )
