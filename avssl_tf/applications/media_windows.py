"""Windows of media files of any length, as a network takes them.

What is looked at and listened to in a window is what the pipeline would take of a record of it:
pictures are scaled and compressed as records hold them, and their centre is cut out; sound is mixed
and resampled. Files are read in blocks of some seconds, so that memory does not grow with them.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.building.readers import MediaReader
from avssl_tf.data.clip_content import Failure, reason_of
from avssl_tf.data.media import clip_reading, media_limits, media_probe, media_streams
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.data.pipeline import frame_ops, ordinary
from avssl_tf.data.records import jpeg
from avssl_tf.inference import audio_windows
from avssl_tf.inference.encoder import Encoder

# What records of media files hold, by default, which is what networks have learnt from.
_RECORDS = MediaReader()
_JPEG = jpeg.JpegSettings()
# Read at once: enough that seeking and opening cost little.
_BLOCK_SEC = 10.0
_MICRO = 1e-6


class Span(NamedTuple):
  """A window's place in its file, in seconds from the moment that there is all that is wanted."""

  start_sec: float
  end_sec: float

  @property
  def length_sec(self) -> float:
    return self.end_sec - self.start_sec

  @property
  def middle_sec(self) -> float:
    return (self.start_sec + self.end_sec) / 2


@dataclasses.dataclass(frozen=True)
class Window:
  """What a network takes of a window.

  Attributes:
    span: its place.
    inputs: by modality, those that are there: `VIDEO` uint8 `[T, H, W, 3]`, `AUDIO` float32
      `[samples, channels]` in -1..1.
  """

  span: Span
  inputs: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Plan:
  """What to read of a file.

  Attributes:
    path: the file.
    modalities: what it has that the network can take, one at least.
    spans: its windows, ascending.
    failures: what it has and the network cannot take.
    notes: what the user should know of how it is read.
  """

  path: str
  modalities: Sequence[str]
  spans: Sequence[Span]
  failures: Sequence[Failure] = ()
  notes: Sequence[str] = ()


def spread(span: Span, window_sec: float, stride_sec: float) -> list[Span]:
  """Places windows in a span.

  They start every `stride_sec`. Where they leave no gaps, and more than half a window is left at
  the end, one more ends where the span does. A span shorter than a window is one.

  >>> [window.start_sec for window in spread(Span(0.0, 7.5), 2.0, 2.0)]
  [0.0, 2.0, 4.0, 5.5]

  Raises:
    MediaError: there are more than `media_limits.MAX_CLIPS`.
  """
  if span.length_sec <= window_sec:
    return [span]
  # The margin keeps a last window that fits but for rounding.
  count = 1 + math.floor((span.length_sec - window_sec) / stride_sec + _MICRO)
  media_limits.check_count(count, span.length_sec, "windows")
  starts = [span.start_sec + i * stride_sec for i in range(count)]
  left_sec = span.end_sec - starts[-1] - window_sec
  if left_sec > window_sec / 2 and stride_sec <= window_sec:
    starts.append(span.end_sec - window_sec)
  return [Span(round(s, 6), round(s + window_sec, 6)) for s in starts]


def modalities_of(path: str) -> list[str]:
  """Which of pictures and sound a file has; cover art does not count.

  Raises:
    MediaError: no such file, not a media file, or neither is in it.
  """
  with media_streams.open_streams(path, ()) as streams:
    found = [m for m in keys.MODALITIES if m in [stream.type for stream in streams.ignored]]
  if not found:
    raise MediaError("neither pictures nor sound in it")
  return found


class WindowReader:
  """Reads windows for one network.

  Attributes:
    window_sec: length of a window: the longer of what is seen and heard, whose middles coincide.
  """

  def __init__(self, encoder: Encoder, audio_track: Optional[int] = None):
    """Takes what the network takes of ordinary clips.

    Args:
      encoder: the network.
      audio_track: number of the sound track of each file, from 1; None: the default one.
    """
    self._audio_track = audio_track
    self._clip = encoder.ordinary_clip
    self._rate_hz = encoder.sample_rate_hz
    self._num_channels = encoder.num_channels
    self._num_samples = self._clip.num_samples(self._rate_hz)
    self.window_sec = max(self._clip.video_sec, self._clip.audio_sec)
    # A network of larger frames than usual is not given ones that are enlarged.
    self._short_side = max(
      _RECORDS.short_side, round(self._clip.frame_size / frame_ops.CENTER_CROP_FRACTION)
    )
    self._center = tf.function(
      lambda encoded: ordinary.center_frames(tf.unstack(encoded), self._clip),
      input_signature=[tf.TensorSpec([self._clip.num_frames], tf.string)],
    )

  def plan(
    self,
    path: str,
    stride_sec: float,
    modalities: Sequence[str] = keys.MODALITIES,
    start_sec: float = 0.0,
    end_sec: Optional[float] = None,
  ) -> Plan:
    """Places windows in a file, or in a part of it.

    Args:
      path: the file.
      stride_sec: from the start of one window to that of the next.
      modalities: what is wanted of it.
      start_sec: start of the part.
      end_sec: its end; None: that of the file.

    Raises:
      MediaError: it cannot be read, has nothing of what is wanted, or ends before that part.
    """
    wanted = [modality for modality in modalities_of(path) if modality in modalities]
    if not wanted:
      raise MediaError(f"no {' and no '.join(modalities)} stream")
    info = media_probe.probe(path, wanted, audio_track=self._audio_track)
    failures = []
    # One or two channels can be mixed of any; others, such as ambisonics, have to be there.
    fitting = (1, 2, info.num_channels)
    if keys.AUDIO in wanted and self._num_channels not in fitting:
      reason = (
        f"sound left out: it has {info.num_channels} channels, and the network takes "
        f"{self._num_channels}"
      )
      wanted.remove(keys.AUDIO)
      if not wanted:
        raise MediaError(reason)
      failures.append(Failure(path, None, None, reason))
      info = media_probe.probe(path, wanted, audio_track=self._audio_track)
    # Down, not to the nearest: a window must not end after its file.
    duration_sec = math.floor(info.duration_sec / _MICRO) * _MICRO
    span = Span(start_sec, duration_sec if end_sec is None else end_sec)
    if not span.start_sec < span.end_sec <= duration_sec + _MICRO:
      raise MediaError(
        f"it lasts {duration_sec:.2f} s, and there is no part of it from {span.start_sec:g} s to "
        f"{span.end_sec:g} s"
      )
    if span.length_sec * self._rate_hz < 1:
      raise MediaError(f"too short: {span.length_sec:g} s")
    spans = spread(span, self.window_sec, stride_sec)
    return Plan(path, wanted, spans, failures, info.notes)

  def blocks(self, spans: Sequence[Span]) -> list[list[Span]]:
    """Groups spans, ascending, by what is to be read at once."""
    blocks: list[list[Span]] = []
    for span in spans:
      if not blocks or span.end_sec - blocks[-1][0].start_sec > _BLOCK_SEC:
        blocks.append([])
      blocks[-1].append(span)
    return blocks

  def read(self, plan: Plan, spans: Sequence[Span]) -> tuple[list[Window], list[Failure]]:
    """Reads some of a file's windows, all at once.

    Where something of them is damaged, those that are not are read one by one. Silent windows have
    no sound, and are left out where there are no pictures either.

    Args:
      plan: of the file.
      spans: some of `plan.spans` that follow each other, such as one of `blocks`.

    Returns:
      The windows, and what could not be read.
    """
    try:
      return self._read_whole(plan, spans), []
    except Exception as error:  # Whatever goes wrong with one window must not stop the others.
      if len(spans) == 1:
        return [], [Failure(plan.path, *spans[0], reason_of(error))]
    half = len(spans) // 2
    parts = [self.read(plan, part) for part in (spans[:half], spans[half:])]
    return [w for windows, _ in parts for w in windows], [f for _, failed in parts for f in failed]

  def _read_whole(self, plan: Plan, spans: Sequence[Span]) -> list[Window]:
    origin_sec = spans[0].start_sec
    times = np.round([self._picture_times(span) - origin_sec for span in spans], 6)
    distinct, places = np.unique(times, return_inverse=True)
    clip = clip_reading.read_clip(
      plan.path,
      origin_sec,
      spans[-1].end_sec,
      short_side=self._short_side,
      sample_rate_hz=self._rate_hz,
      num_channels=self._num_channels,
      modalities=plan.modalities,
      times_sec=distinct,
      accept_silence=True,
      audio_track=self._audio_track,
    )
    windows = []
    for span, chosen in zip(spans, places.reshape(times.shape)):
      inputs = {}
      if clip.frames is not None:
        inputs[keys.VIDEO] = self._pictures(clip.frames[chosen])
      if clip.waveform is not None:
        heard = self._sound(clip.waveform, span, origin_sec)
        if np.abs(heard).max() > clip_reading.SILENCE_PEAK:
          inputs[keys.AUDIO] = heard
      if inputs:
        windows.append(Window(span, inputs))
    return windows

  def _picture_times(self, span: Span) -> np.ndarray:
    """When to take the pictures of a window, in its file: float64 `[T]`."""
    numbers = np.arange(self._clip.num_frames)
    if span.length_sec >= self._clip.video_sec - _MICRO:
      first_sec = max(span.start_sec, span.middle_sec - self._clip.video_sec / 2)
    else:
      # Those that there are begin anew, as of a record that is too short.
      first_sec = span.start_sec
      numbers %= max(1, math.floor(span.length_sec * self._clip.frame_rate_hz + _MICRO))
    return first_sec + numbers / self._clip.frame_rate_hz

  def _pictures(self, frames: np.ndarray) -> np.ndarray:
    """Pictures as the network takes them: uint8 `[T, frame_size, frame_size, 3]`."""
    encoded = jpeg.encode_frames(frames, _RECORDS.frame_rate_hz, _JPEG)
    return self._center(tf.constant(encoded)).numpy()

  def _sound(self, waveform: np.ndarray, span: Span, origin_sec: float) -> np.ndarray:
    """The sound of a window, float32 `[samples, channels]`, repeated where it is too short."""
    heard_sec = min(span.length_sec, self._clip.audio_sec)
    start = round((span.middle_sec - heard_sec / 2 - origin_sec) * self._rate_hz)
    length = self._num_samples
    if heard_sec < self._clip.audio_sec - _MICRO:
      length = max(1, round(heard_sec * self._rate_hz))
    start = max(0, min(start, len(waveform) - length))
    return audio_windows.wrapped(waveform[start : start + length], 0, self._num_samples)
