"""How far the streams of a file reach, against what its container promises."""

from typing import Optional

import av

from avssl_tf.data import media_streams
from avssl_tf.data.media_streams import MediaError

# Ends told by a container and ends of decoded streams differ by up to about an audio frame.
END_TOLERANCE_SEC = 0.05
# A stream that ends this much before the time its container promises is truncated.
_TRUNCATION_SEC = 0.5
# How much of the end of a file is looked at to find where its streams end.
_TAIL_SEC = 10.0


def promised_end_sec(
  media: media_streams.MediaStreams, stream: av.stream.Stream
) -> Optional[float]:
  """When `stream` ends according to the container; None where it does not say."""
  if stream.duration:
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
  if media.container.duration:
    return ((media.container.start_time or 0) + media.container.duration) / av.time_base
  return None


def _last_times_sec(media: media_streams.MediaStreams) -> tuple[Optional[float], Optional[float]]:
  """Ends of the video and the audio packets from the current position on."""
  ends = {media.video.index: None, media.audio.index: None}
  picture_sec = media_streams.picture_duration_sec(media.video)
  for packet in media_streams.demux(media):
    default_sec = picture_sec if packet.stream.index == media.video.index else 0.0
    times = media_streams.packet_times_sec(packet, default_sec)
    if times is not None:
      ends[packet.stream.index] = max(times[1], ends[packet.stream.index] or times[1])
  return ends[media.video.index], ends[media.audio.index]


def measured_ends_sec(path: str, media: media_streams.MediaStreams) -> tuple[float, float]:
  """When the video and the audio stream really end, found without decoding.

  Raises:
    MediaError: a stream ends before the container says it does.
  """
  promises = [promised_end_sec(media, stream) for stream in media.streams]
  ends = (None, None)
  known = [promise for promise in promises if promise is not None]
  if known and media_streams.seek(media, min(known) - _TAIL_SEC):
    ends = _last_times_sec(media)
  if None in ends:
    with media_streams.open_streams(path) as again:
      ends = _last_times_sec(again)
  for i, stream in enumerate(media.streams):
    if ends[i] is None:
      raise MediaError(f"truncated or damaged: the {stream.type} stream is empty")
  latest = max(ends)
  for promise, end, stream in zip(promises, ends, media.streams):
    # A duration of the whole container is kept by whichever stream is longer.
    reached = end if stream.duration else latest
    if promise is not None and reached < promise - _TRUNCATION_SEC:
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
