"""How far the streams of a file reach, against what its container promises."""

from typing import Optional

import av

from avssl_tf.data import media_limits, media_streams
from avssl_tf.data.media_streams import MediaError

# Ends told by a container and ends of decoded streams differ by up to about an audio frame.
END_TOLERANCE_SEC = 0.05
# A stream that ends this much before the time its container promises is truncated.
_TRUNCATION_SEC = 0.5
# Files of bare MP3 or AAC promise nothing: libavformat guesses from their size and bit rate.
_GUESSED = frozenset({"mp3", "aac"})
# How much of the end of a file is looked at to find where its streams end.
_TAIL_SEC = 10.0


def promised_end_sec(
  media: media_streams.MediaStreams, stream: av.stream.Stream
) -> Optional[float]:
  """When `stream` ends according to the container; None where it does not say clearly."""
  if stream.duration:
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
  if media.container.duration:
    start = media.container.start_time or 0
    # Some writers of Matroska count it from time 0, others from the start.
    if "matroska" in media.container.format.name and start > av.time_base:
      return None
    return (start + media.container.duration) / av.time_base
  return None


def _last_times_sec(media: media_streams.MediaStreams) -> list[Optional[float]]:
  """Ends of the packets of the streams, then of those ignored, from the current position on."""
  streams = (*media.streams, *media.ignored)
  ends = {stream.index: None for stream in streams}
  for packet in media_streams.demux(media, with_ignored=True):
    is_picture = packet.stream.type == "video"
    default_sec = media_streams.picture_duration_sec(packet.stream) if is_picture else 0.0
    times = media_streams.packet_times_sec(packet, default_sec)
    if times is not None:
      end_sec = min(times[1], times[0] + media_limits.MAX_GAP_SEC)
      ends[packet.stream.index] = max(end_sec, ends[packet.stream.index] or end_sec)
  return [ends[stream.index] for stream in streams]


def measured_ends_sec(path: str, media: media_streams.MediaStreams) -> tuple[float, ...]:
  """When each of the streams asked for really ends, found without decoding.

  Raises:
    MediaError: a stream ends before the container says it does.
  """
  promises = [promised_end_sec(media, stream) for stream in media.streams]
  count = len(media.streams)
  ends = [None] * count
  known = [promise for promise in promises if promise is not None]
  if known and media_streams.seek(media, min(known) - _TAIL_SEC):
    ends = _last_times_sec(media)
  if None in ends[:count]:
    modalities = [stream.type for stream in media.streams]
    with media_streams.open_streams(path, modalities, media.audio_track) as again:
      ends = _last_times_sec(again)
  for i, stream in enumerate(media.streams):
    if ends[i] is None:
      raise MediaError(f"truncated or damaged: the {stream.type} stream is empty")
  # A container's duration is kept by whichever stream is longest, asked for or not.
  latest = max(end for end in ends if end is not None)
  guessed = media.container.format.name in _GUESSED
  for promise, end, stream in zip(promises, ends, media.streams):
    reached = end if stream.duration else latest
    if promise is not None and not guessed and reached < promise - _TRUNCATION_SEC:
      raise MediaError(_truncated(stream.type, reached, promise))
  return tuple(e if p is None else min(e, p) for e, p in zip(ends, promises))


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
  if done or reached_sec >= wanted_sec - END_TOLERANCE_SEC:
    return
  promise_sec = promised_end_sec(media, stream)
  if promise_sec is not None and reached_sec < min(promise_sec, wanted_sec) - _TRUNCATION_SEC:
    raise MediaError(_truncated(stream.type, reached_sec, promise_sec))
  raise MediaError(
    f"shorter than asked: the {stream.type} stream ends at {reached_sec:.2f} s, "
    f"the clip at {wanted_sec:.2f} s"
  )
