"""Opening media files, seeking and decoding, with every failure told as a `MediaError`.

Presentation times here are seconds on the container's own time line, which its
streams share. Edit lists and encoder delay (the priming samples of AAC, MP3
and Opus) are applied by libavformat and libavcodec: a frame that comes out of
the decoder carries the time at which it is to be presented.
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
  """Takes the decoded frames of one stream until it has what it wants.

  Attributes:
    done: nothing more is wanted.
    late: decoding began too late in the file to get what is wanted.
  """

  done: bool
  late: bool

  def add(self, frame: Frame) -> None: ...

  def needs(self, packet: av.Packet) -> bool:
    """Whether damage of this packet would show in what is wanted."""


@dataclasses.dataclass(frozen=True)
class MediaStreams:
  """An open file and the streams that matter.

  Attributes:
    container: the file.
    video: its pictures; `None` where they are not asked for.
    audio: its sound, likewise.
    ignored: the default stream of pictures or of sound where that kind is not asked for.
    audio_track: number of the sound stream that was asked for; None: the default one.
  """

  container: av.container.InputContainer
  video: Optional[av.VideoStream]
  audio: Optional[av.AudioStream]
  ignored: Sequence[av.stream.Stream] = ()
  audio_track: Optional[int] = None

  @property
  def streams(self) -> Sequence[av.stream.Stream]:
    """Those that are asked for: pictures before sound."""
    return tuple(stream for stream in (self.video, self.audio) if stream is not None)


@contextlib.contextmanager
def open_streams(
  path: str, modalities: Sequence[str] = keys.MODALITIES, audio_track: Optional[int] = None
) -> Iterator[MediaStreams]:
  """Opens a file with its default picture and its default sound stream.

  Args:
    path: the file.
    modalities: what is asked for: "video", "audio", or both.
    audio_track: number of the sound stream to take instead, from 1.

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
      stream.codec_context.thread_count = 1  # Files are best read by many processes side by side.
    yield streams


def _check_limits(stream: av.stream.Stream) -> None:
  """Checks what the container says of a stream that is asked for; 0 where it does not say."""
  context = stream.codec_context
  if stream.type == keys.VIDEO:
    media_limits.check_picture(context.height, context.width)
    media_limits.check_frame_rate(stream.average_rate and float(stream.average_rate))
    media_opening.limit_pixels(stream)
  elif context.sample_rate:
    media_limits.check_sound(context.sample_rate, context.channels)


def frame_time_sec(frame: Frame) -> float:
  """Presentation time of a frame that a `decoding.Decoder` has given.

  Raises:
    MediaError: neither it nor any frame before it has a time, as in raw streams.
  """
  if frame.pts is None or frame.time_base is None:
    raise MediaError(
      "frames without presentation times, from the first one on. Raw streams have none: put them "
      "into a container, for example with ffmpeg -r FRAME_RATE -i IN -c copy OUT.mkv"
    )
  return float(frame.pts * frame.time_base)


def frame_sec(frame: Frame, stream: av.stream.Stream) -> float:
  """Duration of a decoded frame; of a picture the usual one, where the file does not say."""
  return float(decoding.frame_sec(frame, stream))


def packet_times_sec(packet: av.Packet, default_duration_sec: float) -> Optional[list[float]]:
  """Start and end of a packet, or None where the container does not say."""
  timestamp = packet.dts if packet.pts is None else packet.pts
  if timestamp is None:
    return None
  start_sec = float(timestamp * packet.time_base)
  duration_sec = float((packet.duration or 0) * packet.time_base) or default_duration_sec
  return [start_sec, start_sec + duration_sec]


def picture_duration_sec(video: av.VideoStream) -> float:
  """Nominal time between two pictures."""
  return float(decoding.picture_sec(video))


def seek(media: MediaStreams, time_sec: float) -> bool:
  """Goes to the last key picture at or before `time_sec`; False where the file cannot be sought.

  Without pictures, to the last packet of the sound.
  """
  stream = media.streams[0]
  try:
    media.container.seek(int(time_sec / stream.time_base), stream=stream, backward=True)
  except av.error.FFmpegError:
    return False  # Nothing is lost: the caller reads from the start instead.
  return True


def demux(media: MediaStreams, with_ignored: bool = False) -> Iterator[av.Packet]:
  """Packets of the streams from the current position, then one empty packet for each.

  Args:
    media: open file.
    with_ignored: those of the streams that are not asked for as well.

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
        f"truncated or damaged: the container breaks off ({error.strerror})"
      ) from error
    yield packet


def feed(
  media: MediaStreams,
  video: Optional[Consumer],
  audio: Optional[Consumer],
  after_seek: bool = False,
) -> None:
  """Decodes from the current position until the consumers have what they want.

  Stops early at the end of the file, and where one of them finds that it comes too late.

  Args:
    media: open file.
    video: takes the pictures, where they are asked for.
    audio: takes the sound, likewise.
    after_seek: the position may lie between key pictures, as it can in MPEG
      streams. Pictures that lean on ones not decoded would be garbage: they
      are left out up to the next key picture.

  Raises:
    MediaError: what is wanted cannot be decoded.
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
      # After a seek, what comes before the first time is at a time that is not known.
      if frame.pts is not None or not after_seek:
        consumer.add(frame)
    if any(c.late for c in consumers.values()) or all(c.done for c in consumers.values()):
      return


def _decode(packet: av.Packet, decoder: decoding.Decoder, consumer: Consumer) -> list[Frame]:
  try:
    return decoder.frames(packet)
  except av.error.FFmpegError as error:
    if not consumer.needs(packet):
      # After a seek the first packets may lean on ones that were skipped (MP3's bit reservoir).
      return []
    times = packet_times_sec(packet, 0.0)
    where = "at its end" if times is None else f"at {times[0]:.2f} s"
    limit = f"; frames of more than {media_limits.MAX_PIXELS} pixels are refused"
    raise MediaError(
      f"truncated or damaged: the {packet.stream.type} stream cannot be decoded {where} "
      f"({error.strerror}{limit if packet.stream.type == keys.VIDEO else ''})"
    ) from error
