"""Copies video and audio of a file into an MP4 without re-encoding, where MP4 supports them."""

import dataclasses
import io
from collections.abc import Iterator
from typing import Optional

import av

from avssl_tf.data.media import media_streams
from avssl_tf.data.media.media_streams import MediaError

# Codecs, by decoder name, that players expect in MP4. MP4 may contain others, too.
_CODECS = frozenset(
  {"av1", "h264", "hevc", "libdav1d", "mpeg4", "vp9"}
  | {"aac", "ac3", "alac", "eac3", "mp3", "mp3float"}
)


class _Nowhere(io.RawIOBase):
  """A file that discards what is written to it."""

  def __init__(self):
    super().__init__()
    self._position = self._size = 0

  def writable(self) -> bool:
    return True

  def seekable(self) -> bool:
    return True

  def write(self, data) -> int:
    self._position += len(data)
    self._size = max(self._size, self._position)
    return len(data)

  def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
    self._position = offset + (0, self._position, self._size)[whence]
    return self._position

  def tell(self) -> int:
    return self._position


def can_copy(path: str, modality: str, audio_track: Optional[int] = None) -> bool:
  """Whether an MP4 can hold the video or the audio of a file without re-encoding.

  This writes all packets to a file that discards them: which rates, headers and times MP4 accepts
  depends on the codec.

  Args:
    path: the file.
    modality: "video" or "audio".
    audio_track: number of the audio track, from 1. None selects the default track.

  Raises:
    MediaError: the file cannot be opened, or has no stream of that modality.
  """
  with media_streams.open_streams(path, (modality,), audio_track) as source:
    (stream,) = source.streams
    if stream.codec_context.name not in _CODECS:
      return False
    try:
      with av.open(_Nowhere(), "w", format="mp4") as container:
        copied = container.add_stream_from_template(stream)
        for packet in packets(source, copied, (stream.start_time or 0) * stream.time_base):
          container.mux(packet)
    except (av.error.FFmpegError, MediaError, ValueError):
      return False
  return True


@dataclasses.dataclass(frozen=True)
class CopiedSound:
  """Audio of another file for a video, copied without re-encoding.

  Attributes:
    source: the other file, at its start, opened for its audio only. `can_copy` must hold for it.
    origin_sec: time in `source` that becomes time 0.
  """

  source: media_streams.MediaStreams
  origin_sec: float

  def add_to(self, container: av.container.OutputContainer) -> av.AudioStream:
    """Adds a stream for the audio to a file."""
    return container.add_stream_from_template(self.source.audio)

  def packets(self, stream: av.AudioStream) -> Iterator[av.Packet]:
    """The encoded packets of the audio."""
    return packets(self.source, stream, self.origin_sec)


def packets(
  source: media_streams.MediaStreams, stream: av.stream.Stream, origin_sec: float
) -> Iterator[av.Packet]:
  """Packets of the only open stream of a file, retargeted to a stream of another file.

  Args:
    source: the file, at its start.
    stream: stream of the other file.
    origin_sec: time in `source` that becomes time 0.

  Raises:
    MediaError: the file is truncated, or a packet has no time.
  """
  for packet in media_streams.demux(source):
    if not packet.size:
      continue
    if packet.pts is None or packet.dts is None:
      raise MediaError(f"packets of the {packet.stream.type} stream without a time")
    shift = round(origin_sec / packet.time_base)
    packet.dts -= shift
    packet.pts -= shift
    packet.stream = stream
    yield packet
