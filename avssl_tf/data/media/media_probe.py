"""Properties of a media file, from its streams and first frames."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple, Optional

import av

from avssl_tf import keys
from avssl_tf.data.media import (
  media_extent,
  media_limits,
  media_pictures,
  media_streams,
  media_times,
  picture_view,
)
from avssl_tf.data.media.media_streams import MediaError


@dataclasses.dataclass(frozen=True)
class MediaInfo:
  """Properties of a media file.

  Attributes:
    duration_sec: duration of the common span of the requested streams, in seconds.
    width: width of the upright frames with square pixels; 0 if video was not requested.
    height: height of the upright frames with square pixels; 0 if video was not requested.
    frame_rate_hz: mean frame rate; 0 if video was not requested.
    sample_rate_hz: sample rate of the decoded audio; 0 if audio was not requested.
    num_channels: number of audio channels; 0 if audio was not requested.
    notes: remarks on how the frames are read, for the user.
  """

  duration_sec: float
  width: int
  height: int
  frame_rate_hz: float
  sample_rate_hz: int
  num_channels: int
  notes: tuple[str, ...] = ()


class _FirstFrames(NamedTuple):
  picture: Optional[av.VideoFrame]
  sound: Optional[av.AudioFrame]
  earliest_sec: float

  @property
  def start_sec(self) -> float:
    """Start of the common span, in container time."""
    frames = [frame for frame in (self.picture, self.sound) if frame is not None]
    return max(self.earliest_sec, *map(media_streams.frame_time_sec, frames))


class _FirstFrame:
  """Consumer that keeps the first frame of a stream."""

  def __init__(self):
    self.done = False
    self.late = False
    self.frame = None

  def needs(self, packet: av.Packet) -> bool:
    del packet
    return True

  def add(self, frame: media_streams.Frame) -> None:
    if self.frame is None:
      self.frame, self.done = frame, True


def first_frames(media: media_streams.MediaStreams) -> _FirstFrames:
  """First frame of each requested stream of a file, read from its start."""
  picture, sound = _FirstFrame(), _FirstFrame()
  media_streams.feed(media, picture, sound)
  for first, stream in ((picture, media.video), (sound, media.audio)):
    if stream is not None and first.frame is None:
      raise MediaError(f"truncated or damaged: the {stream.type} stream contains nothing to decode")
  earliest_sec = -math.inf
  if sound.frame is not None and "matroska" in media.container.format.name:
    # FFmpeg 7, in PyAV for Python 3.9 and 3.10, puts the delay of the encoder before time 0; newer
    # versions leave it out. Times in Matroska are rounded to milliseconds.
    delay_sec = media.audio.codec_context.delay / sound.frame.sample_rate
    if abs(media_streams.frame_time_sec(sound.frame) + delay_sec) < 0.002:
      earliest_sec = 0.0
  return _FirstFrames(picture.frame, sound.frame, earliest_sec)


def probe(
  path: str,
  modalities: Sequence[str] = keys.MODALITIES,
  wanted: picture_view.Wanted = picture_view.ORDINARY,
  audio_track: Optional[int] = None,
) -> MediaInfo:
  """Reads the properties of a media file. Only the first frames are decoded.

  Args:
    path: media file.
    modalities: requested streams: "video", "audio", or both.
    wanted: projection and stereo mode in which the frames are read.
    audio_track: number of the audio track, from 1. None selects the default track.

  Returns:
    A `MediaInfo` with the duration in seconds, the frame size in pixels, the rates in Hz and the
    number of audio channels.

  Raises:
    MediaError: the file is not a video, lacks a stream or is truncated; video and audio do not
      overlap; a property exceeds `media_limits`; or the frames cannot be read as `wanted`.

  Examples:
    >>> import os, tempfile
    >>> import numpy as np
    >>> from avssl_tf.data import probe
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   path = os.path.join(folder, "stereo.wav")
    ...   wavfile.write(path, 8000, np.zeros([4000, 2], np.float32))
    ...   info = probe(path, ["audio"])
    >>> info.duration_sec, info.sample_rate_hz, info.num_channels
    (0.5, 8000, 2)
  """
  with media_streams.open_streams(path, modalities, audio_track) as media:
    first = first_frames(media)
    height, width, frame_rate_hz, sample_rate_hz, num_channels = 0, 0, 0.0, 0, 0
    view = view_of(path, media, first, wanted)
    if first.picture is not None:
      height, width = media_pictures.display_size(first.picture, media.video, view)
      frame_rate_hz = 1.0 / media_streams.picture_duration_sec(media.video)
    if first.sound is not None:
      sample_rate_hz = first.sound.sample_rate
      num_channels = len(first.sound.layout.channels)
      media_limits.check_sound(sample_rate_hz, num_channels)
    start_sec = first.start_sec
    duration_sec = min(media_extent.measured_ends_sec(path, media)) - start_sec
    if duration_sec <= 0:
      raise MediaError(
        "video and audio do not overlap in time" if len(media.streams) == 2 else "no duration"
      )
    media_limits.check_duration(duration_sec)
    if media_times.are_doubtful(path, duration_sec):
      media_times.check(path, modalities)
    return MediaInfo(
      duration_sec=duration_sec,
      width=width,
      height=height,
      frame_rate_hz=frame_rate_hz,
      sample_rate_hz=sample_rate_hz,
      num_channels=num_channels,
      notes=view.notes,
    )


def view_of(
  path: str,
  media: media_streams.MediaStreams,
  first: _FirstFrames,
  wanted: picture_view.Wanted,
) -> picture_view.View:
  """Part of the frames of a file that is read; the whole frame if there is no video."""
  if first.picture is None:
    return picture_view.WHOLE_VIEW
  return picture_view.view_of(path, media.video, first.picture, wanted)
