"""Opens media files, seeks and decodes. Every failure is reported as a `MediaError`.

Presentation times here are seconds on the time line of the container, which its streams share.
libavformat and libavcodec apply edit lists and encoder delay (the priming samples of AAC, MP3 and
Opus): each decoded frame has the time at which it is to be presented.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Optional, Protocol

import av

from avssl_tf import keys
from avssl_tf.data.media import decoding, media_limits, media_opening, media_tracks
from avssl_tf.data.media.decoding import Frame
from avssl_tf.data.media.media_limits import MediaError


class Consumer(Protocol):
  """Receives the decoded frames of one stream until it is done.

  Attributes:
    done: whether no more frames are needed.
    late: whether decoding started too late in the file.
  """

  done: bool
  late: bool

  def add(self, frame: Frame) -> None: ...

  def needs(self, packet: av.Packet) -> bool:
    """Whether damage to this packet would affect the result."""


@dataclasses.dataclass(frozen=True)
class MediaStreams:
  """An open file and its selected streams.

  Attributes:
    container: the file.
    video: the video stream; None if it is not requested.
    audio: the audio stream; None if it is not requested.
    ignored: default streams of the modalities that are not requested.
    audio_track: number of the requested audio stream, from 1; None for the default stream.
  """

  container: av.container.InputContainer
  video: Optional[av.VideoStream]
  audio: Optional[av.AudioStream]
  ignored: Sequence[av.stream.Stream] = ()
  audio_track: Optional[int] = None

  @property
  def streams(self) -> Sequence[av.stream.Stream]:
    """The requested streams: video before audio."""
    return tuple(stream for stream in (self.video, self.audio) if stream is not None)


@contextlib.contextmanager
def open_streams(
  path: str, modalities: Sequence[str] = keys.MODALITIES, audio_track: Optional[int] = None
) -> Iterator[MediaStreams]:
  """Opens a file and selects its default video and audio streams.

  Args:
    path: the file.
    modalities: requested streams: "video", "audio", or both.
    audio_track: number of the audio stream to select instead of the default, from 1.

  Raises:
    MediaError: no such file, not a media file, a stream is missing, or it exceeds
      `media_limits`.
  """
  with media_opening.open_container(path) as container:
    found, ignored = {}, []
    for modality, number in ((keys.VIDEO, None), (keys.AUDIO, audio_track)):
      of_kind = media_tracks.of_kind(container, modality)
      if modality in modalities:
        if not of_kind:
          raise MediaError(f"no {modality} stream")
        found[modality] = media_tracks.choose(of_kind, number)
      elif of_kind:
        ignored.append(media_tracks.choose(of_kind))
    streams = MediaStreams(
      container, found.get(keys.VIDEO), found.get(keys.AUDIO), ignored, audio_track
    )
    for stream in streams.streams:
      if stream.codec_context is None:
        raise MediaError(f"the {stream.type} stream has a codec that this FFmpeg cannot decode")
      _check_limits(stream)
      stream.codec_context.thread_count = 1  # Many processes read files in parallel.
    yield streams


def _check_limits(stream: av.stream.Stream) -> None:
  """Checks the properties that the container states of a requested stream; 0 if not stated."""
  context = stream.codec_context
  if stream.type == keys.VIDEO:
    media_limits.check_picture(context.height, context.width)
    media_limits.check_frame_rate(float(stream.average_rate or 0))
    media_opening.limit_pixels(stream)
  elif context.sample_rate:
    media_limits.check_sound(context.sample_rate, context.channels)


def frame_time_sec(frame: Frame) -> float:
  """Presentation time of a frame from a `decoding.Decoder`.

  Raises:
    MediaError: neither this frame nor any earlier one has a time, as in raw streams.
  """
  if frame.pts is None or not frame.time_base:
    raise MediaError(
      "frames without presentation times, from the first one on. Raw streams have none: put them "
      "into a container, for example with: ffmpeg -r FRAME_RATE -i IN -c copy OUT.mkv"
    )
  return float(frame.pts * frame.time_base)


def frame_sec(frame: Frame, stream: av.stream.Stream) -> float:
  """Duration of a decoded frame; the nominal one for video frames if the file states none."""
  return float(decoding.frame_sec(frame, stream))


def packet_times_sec(packet: av.Packet, default_duration_sec: float) -> Optional[list[float]]:
  """Start and end of a packet; None if the container states no times."""
  timestamp = packet.dts if packet.pts is None else packet.pts
  if timestamp is None:
    return None
  start_sec = float(timestamp * packet.time_base)
  duration_sec = float((packet.duration or 0) * packet.time_base) or default_duration_sec
  return [start_sec, start_sec + duration_sec]


def picture_duration_sec(video: av.VideoStream) -> float:
  """Nominal time between two video frames."""
  return float(decoding.picture_sec(video))


def seek(media: MediaStreams, time_sec: float) -> bool:
  """Seeks to the last key frame at or before `time_sec`, or without video to the last audio packet.

  Returns:
    False if the file is not seekable.
  """
  stream = media.streams[0]
  try:
    media.container.seek(int(time_sec / stream.time_base), stream=stream, backward=True)
  except av.error.FFmpegError:
    return False  # The caller reads from the start instead.
  return True


def demux(media: MediaStreams, with_ignored: bool = False) -> Iterator[av.Packet]:
  """Packets of the streams from the current position, then one empty packet per stream.

  Args:
    media: open file.
    with_ignored: whether to include the packets of the ignored streams.

  Raises:
    MediaError: the container is damaged.
  """
  packets = media.container.demux(*media.streams, *(media.ignored if with_ignored else ()))
  while True:
    try:
      packet = next(packets)
    except StopIteration:
      return
    except av.error.FFmpegError as error:
      raise MediaError(
        f"truncated or damaged: the container ends prematurely ({error.strerror})"
      ) from error
    yield packet


def feed(
  media: MediaStreams,
  video: Optional[Consumer],
  audio: Optional[Consumer],
  after_seek: bool = False,
) -> None:
  """Decodes from the current position until all consumers are done.

  Stops early at the end of the file, and when a consumer is late.

  Args:
    media: open file.
    video: consumer of the video frames, if video is requested.
    audio: consumer of the audio frames, if audio is requested.
    after_seek: whether the position may be between key frames, as in MPEG streams. Frames
      predicted from ones that were not decoded would be garbage: all frames before the next key
      frame are skipped.

  Raises:
    MediaError: a frame that is needed cannot be decoded.
  """
  consumers = {
    stream.index: consumer
    for stream, consumer in ((media.video, video), (media.audio, audio))
    if stream is not None
  }
  decoders = {stream.index: decoding.Decoder(stream) for stream in media.streams}
  wait_for_key = after_seek
  for packet in demux(media):
    consumer = consumers[packet.stream.index]
    if consumer is video and wait_for_key:
      wait_for_key = not packet.is_keyframe
    if consumer.done or (consumer is video and wait_for_key):
      continue
    for frame in _decode(packet, decoders[packet.stream.index], consumer):
      # After a seek, frames before the first one with a time have an unknown position.
      if frame.pts is not None or not after_seek:
        consumer.add(frame)
    if any(c.late for c in consumers.values()) or all(c.done for c in consumers.values()):
      return


def _decode(packet: av.Packet, decoder: decoding.Decoder, consumer: Consumer) -> list[Frame]:
  try:
    return decoder.frames(packet)
  except av.error.FFmpegError as error:
    if not consumer.needs(packet):
      # After a seek, the first packets may depend on skipped ones (bit reservoir of MP3).
      return []
    times = packet_times_sec(packet, 0.0)
    where = "at its end" if times is None else f"at {times[0]:.2f} s"
    limit = f"; frames of more than {media_limits.MAX_PIXELS} pixels are refused"
    raise MediaError(
      f"truncated or damaged: the {packet.stream.type} stream cannot be decoded {where} "
      f"({error.strerror}{limit if packet.stream.type == keys.VIDEO else ''})"
    ) from error
