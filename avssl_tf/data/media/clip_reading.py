"""Reads clips (pictures and sound, or one of them) from media files with PyAV.

All times count from the start of the common span of both streams: the moment
from which there is both a picture and a sound. Where the streams start apart,
as they often do by some milliseconds, picture and sound of a clip are taken at
the same instants of the container's time line, so that they stay in step.
Where one of them alone is asked for, its own span counts, and the other may
be missing or damaged.
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

# Peak (-80 dB of full scale) up to which sound counts as silence: three steps of 16-bit samples.
SILENCE_PEAK = 1e-4
# How long before the clip to aim a seek, in turn. The second is for files whose index is coarse.
_PREROLLS_SEC = (0.25, 10.0)


@dataclasses.dataclass(frozen=True)
class MediaClip:
  """A span of a file.

  Attributes:
    frames: uint8 RGB `[T, height, width, 3]`; None where not asked for.
    timestamps_us: int64 `[T]`, from the clip's start; likewise.
    waveform: float32 `[samples, channels]` in -1..1; likewise.
  """

  frames: Optional[np.ndarray]
  timestamps_us: Optional[np.ndarray]
  waveform: Optional[np.ndarray]


class _Span(NamedTuple):
  """What to read, in times of the container."""

  start_sec: float
  end_sec: float
  times_sec: np.ndarray  # Of the pictures.
  short_side: int
  modalities: Sequence[str]
  view: picture_view.View
  audio_track: Optional[int]


def _read_span(
  media: media_streams.MediaStreams, span: _Span, begin_by_sec: Optional[float]
) -> Optional[tuple[Optional[np.ndarray], Optional[media_sound.SoundCollector]]]:
  """Pictures and sound from the current position; None where that is too late in the file."""
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
  """Reads a span from as near before it as the file allows."""
  for preroll_sec in _PREROLLS_SEC:
    # Near the start, seeking saves nothing and loses the priming samples of the sound.
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
    raise MediaError("the pictures do not follow each other in time")
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
  """Reads a span of a file.

  Seeks to it, so that a clip deep within a long file is cheap.

  Args:
    path: file to read.
    start_sec: start, from the start of the common span of picture and sound.
    end_sec: end, likewise.
    frame_rate_hz: rate of the pictures; each is the one on screen at its time.
    short_side: pixels of the shorter side, whichever it is once upright.
    sample_rate_hz: rate of the sound.
    num_channels: 1 or 2 mixes to mono or stereo. Where the file says that its
      sound is ambisonics, these take W, and 4 takes W Y Z X (ACN, SN3D). None
      keeps all channels unmixed and in the file's order.
    modalities: what is asked for: "video", "audio", or both.
    times_sec: float `[T]`, from the clip's start, strictly increasing and within it: when to take
      pictures, in place of a regular rate.
    accept_silence: whether a clip without any sound in its stream is a clip all the same.
    wanted: what its pictures are taken for.
    audio_track: number of the sound track to take, from 1; None: the default one.

  Returns:
    Exactly `round((end_sec - start_sec) * frame_rate_hz)` frames, or T, and
    `round((end_sec - start_sec) * sample_rate_hz)` samples.

  Raises:
    MediaError: the file cannot give that clip; the message says why.
    UserError: the span asked for is empty or starts before 0.
  """
  duration_sec = end_sec - start_sec
  num_frames = round(duration_sec * frame_rate_hz) if times_sec is None else len(times_sec)
  num_samples = round(duration_sec * sample_rate_hz)
  if start_sec < 0 or num_frames < 1 or num_samples < 1:
    raise UserError(
      f"A clip must start at 0 or later and hold a frame at least, got {start_sec} s to "
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
      raise MediaError("all-silent sound")
  timestamps_us = None if frames is None else np.round(offsets_sec * 1e6).astype(np.int64)
  return MediaClip(frames, timestamps_us, waveform)
