"""Reads clips (video, audio or both) from media files with PyAV.

All times are relative to the start of the common span of both streams: the first moment at which
there is both video and audio. The streams often start some milliseconds apart. Video and audio of a
clip are read at the same instants of the container's time line, which keeps them synchronised. If
only one modality is requested, times are relative to the start of its stream, and the other stream
may be missing or damaged.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

from avssl_tf import keys
from avssl_tf.data.media import (
  media_extent,
  media_pictures,
  media_sound,
  media_streams,
  picture_view,
  sound_field,
)
from avssl_tf.data.media.media_probe import first_frames, view_of
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.errors import UserError

# Audio with a peak up to this (-80 dB of full scale, three steps of 16-bit samples) is silent.
SILENCE_PEAK = 1e-4
# Seek targets before the start of the clip, tried in order. The second is for coarse indexes.
_PREROLLS_SEC = (0.25, 10.0)


@dataclasses.dataclass(frozen=True)
class MediaClip:
  """A decoded clip.

  Attributes:
    frames: uint8 RGB `[T, height, width, 3]`; None if video was not requested.
    timestamps_us: int64 `[T]`, microseconds from the start of the clip; None if video was not
      requested.
    waveform: float32 `[samples, channels]` in -1..1; None if audio was not requested.
  """

  frames: Optional[np.ndarray]
  timestamps_us: Optional[np.ndarray]
  waveform: Optional[np.ndarray]


class _Span(NamedTuple):
  """The span to read, in container times."""

  start_sec: float
  end_sec: float
  times_sec: np.ndarray  # Of the frames.
  short_side: int
  modalities: Sequence[str]
  view: picture_view.View
  audio_track: Optional[int]


def _read_span(
  media: media_streams.MediaStreams, span: _Span, begin_by_sec: Optional[float]
) -> Optional[tuple[Optional[np.ndarray], Optional[media_sound.SoundCollector]]]:
  """Frames and audio from the current position; None if that is too late in the file."""
  picker = media.video and media_pictures.FramePicker(
    media.video, span.times_sec, span.short_side, span.view
  )
  sound = media.audio and media_sound.SoundCollector(span.start_sec, span.end_sec, begin_by_sec)
  after_seek = begin_by_sec is not None
  media_streams.feed(media, picker, sound, after_seek)
  consumers = [consumer for consumer in (picker, sound) if consumer is not None]
  nothing = any(consumer.end_sec is None for consumer in consumers)
  if any(consumer.late for consumer in consumers) or (after_seek and nothing):
    return None
  frames = None
  if sound is not None:
    media_extent.check_reached(media, media.audio, sound.done, sound.end_sec, span.end_sec)
  if picker is not None:
    sound_end_sec = sound and sound.end_sec
    until_sec = media_extent.held_until_sec(media, picker.end_sec, sound_end_sec, span.end_sec)
    frames = picker.finish((until_sec or 0.0) + media_extent.END_TOLERANCE_SEC)
    media_extent.check_reached(media, media.video, picker.done, until_sec, span.end_sec)
  return frames, sound


def _seek_and_read(
  path: str, span: _Span, origin_sec: float
) -> tuple[Optional[np.ndarray], Optional[media_sound.SoundCollector]]:
  """Reads a span, from the nearest position before it that the file allows."""
  for preroll_sec in _PREROLLS_SEC:
    # Near the start, seeking saves nothing and loses the priming samples of the audio.
    if span.start_sec - origin_sec < 1.0 + preroll_sec:
      break
    with media_streams.open_streams(path, span.modalities, span.audio_track) as media:
      if media_streams.seek(media, span.start_sec - preroll_sec):
        result = _read_span(media, span, span.start_sec - media_sound.WARM_UP_SEC)
        if result is not None:
          return result
  with media_streams.open_streams(path, span.modalities, span.audio_track) as media:
    result = _read_span(media, span, None)
  if result is None:
    raise MediaError("the frames are not in temporal order")
  return result


def read_clip(
  path: str,
  start_sec: float,
  end_sec: float,
  frame_rate_hz: float = 16,
  short_side: int = 256,
  sample_rate_hz: int = 24000,
  num_channels: Optional[int] = 1,
  modalities: Sequence[str] = keys.MODALITIES,
  times_sec: Optional[np.ndarray] = None,
  accept_silence: bool = False,
  wanted: picture_view.Wanted = picture_view.ORDINARY,
  audio_track: Optional[int] = None,
) -> MediaClip:
  """Reads a clip from a media file: frames, waveform, or both.

  It seeks to the clip, which keeps clips far into a long file cheap.

  Args:
    path: file to read.
    start_sec: start of the clip in seconds, relative to the start of the common span of video and
      audio.
    end_sec: end of the clip in seconds, relative to the same start.
    frame_rate_hz: frame rate of the clip. Each frame is the one on screen at its time.
    short_side: shorter side of the upright frames, in pixels.
    sample_rate_hz: sample rate of the waveform.
    num_channels: 1 or 2 mixes to mono or stereo. If the file states that its audio is ambisonic,
      1 and 2 select W, and 4 selects W Y Z X (ACN, SN3D). None keeps all channels, unmixed and in
      the order of the file.
    modalities: what to read: "video", "audio", or both.
    times_sec: float `[T]`, seconds from the start of the clip, strictly increasing and within the
      clip: times of the frames. None takes frames at `frame_rate_hz`.
    accept_silence: whether a clip whose audio is silent throughout is accepted.
    wanted: projection and stereo mode in which the frames are read.
    audio_track: number of the audio track to read, from 1. None selects the default track.

  Returns:
    A `MediaClip`: `frames` is uint8 RGB `[T, height, width, 3]`, `timestamps_us` is int64 `[T]`
    (microseconds from the start of the clip), and `waveform` is float32 `[samples, channels]` in
    -1..1. There are exactly `round((end_sec - start_sec) * frame_rate_hz)` frames (or one per entry
    of `times_sec`) and `round((end_sec - start_sec) * sample_rate_hz)` samples. Fields of
    modalities that are not requested are None.

  Raises:
    MediaError: the file cannot be read, has no such clip, or is silent; the message states the
      reason.
    UserError: the requested span is empty or starts before 0.

  Examples:
    >>> import os, tempfile
    >>> import numpy as np
    >>> from avssl_tf.data import read_clip
    >>> from scipy.io import wavfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   path = os.path.join(folder, "tone.wav")
    ...   wavfile.write(path, 8000, np.sin(np.arange(8000)).astype(np.float32))
    ...   clip = read_clip(path, 0.25, 0.75, sample_rate_hz=16000, modalities=["audio"])
    >>> clip.waveform.shape, clip.frames
    ((8000, 1), None)
  """
  duration_sec = end_sec - start_sec
  num_frames = round(duration_sec * frame_rate_hz) if times_sec is None else len(times_sec)
  num_samples = round(duration_sec * sample_rate_hz)
  if start_sec < 0 or num_frames < 1 or num_samples < 1:
    raise UserError(
      f"A clip must start at 0 or later and contain at least one frame, got {start_sec} s to "
      f"{end_sec} s at {frame_rate_hz} Hz for {path!r}."
    )
  with media_streams.open_streams(path, modalities, audio_track) as media:
    first = first_frames(media)
    origin_sec, view = first.start_sec, view_of(path, media, first, wanted)
    mono = first_order = None
    if first.sound is not None and num_channels in (1, 2):
      mono = sound_field.mono_of(path, media.audio, len(first.sound.layout.channels))
    elif first.sound is not None and num_channels == 4:
      first_order = sound_field.said(path, media.audio, len(first.sound.layout.channels))
  offsets_sec = np.arange(num_frames) / frame_rate_hz if times_sec is None else times_sec
  first_sec = origin_sec + start_sec
  span = _Span(
    first_sec,
    origin_sec + end_sec,
    first_sec + offsets_sec,
    short_side,
    modalities,
    view,
    audio_track,
  )
  frames, sound = _seek_and_read(path, span, origin_sec)
  waveform = None
  if sound is not None:
    kept = None if mono or first_order else num_channels
    waveform = sound.waveform(num_samples, sample_rate_hz, kept)
    if mono is not None:
      heard = np.clip(mono.gain * waveform[:, mono.channel], -1.0, 1.0)
      waveform = np.repeat(heard[:, np.newaxis], num_channels, axis=1)
    elif first_order is not None:
      waveform = np.clip(first_order.of(waveform), -1.0, 1.0)
    if not accept_silence and np.abs(waveform).max() <= SILENCE_PEAK:
      raise MediaError("the audio is silent throughout")
  timestamps_us = None if frames is None else np.round(offsets_sec * 1e6).astype(np.int64)
  return MediaClip(frames, timestamps_us, waveform)
