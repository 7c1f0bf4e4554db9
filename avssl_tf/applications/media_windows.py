"""Windows of media files of any length, as network input.

A window is preprocessed like a record in the input pipeline: frames are scaled, compressed as in
records and centre-cropped; audio is mixed and resampled. Files are read in blocks of some seconds,
which bounds the memory.
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

# Default settings of records, on which networks are trained.
_RECORDS = MediaReader()
_JPEG = jpeg.JpegSettings()
# Duration of a block: long enough to make the cost of opening and seeking small.
_BLOCK_SEC = 10.0
_MICRO = 1e-6


class Span(NamedTuple):
  """Span of a window, in seconds from the common start of the requested streams of its file."""

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
  """The network input of a window.

  Attributes:
    span: span of the window in its file.
    inputs: available inputs by modality: `VIDEO` uint8 `[T, H, W, 3]`, `AUDIO` float32 `[samples,
      channels]` in -1..1.
  """

  span: Span
  inputs: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Plan:
  """Reading plan of a file.

  Attributes:
    path: the file.
    modalities: modalities of the file that the network supports, at least one.
    spans: spans of the windows, ascending.
    failures: streams of the file that the network does not support.
    notes: remarks on how the file is read, for the user.
  """

  path: str
  modalities: Sequence[str]
  spans: Sequence[Span]
  failures: Sequence[Failure] = ()
  notes: Sequence[str] = ()


def spread(span: Span, window_sec: float, stride_sec: float) -> list[Span]:
  """Places windows in a span.

  Windows start every `stride_sec`. If they leave no gaps and more than half a window remains at the
  end, an additional window ends at the end of the span. A span shorter than a window is a single
  window.

  >>> [window.start_sec for window in spread(Span(0.0, 7.5), 2.0, 2.0)]
  [0.0, 2.0, 4.0, 5.5]

  Raises:
    MediaError: there are more than `media_limits.MAX_CLIPS` windows.
  """
  if span.length_sec <= window_sec:
    return [span]
  # The margin keeps a last window that fits except for rounding.
  count = 1 + math.floor((span.length_sec - window_sec) / stride_sec + _MICRO)
  media_limits.check_count(count, span.length_sec, "windows")
  starts = [span.start_sec + i * stride_sec for i in range(count)]
  left_sec = span.end_sec - starts[-1] - window_sec
  if left_sec > window_sec / 2 and stride_sec <= window_sec:
    starts.append(span.end_sec - window_sec)
  return [Span(round(s, 6), round(s + window_sec, 6)) for s in starts]


def modalities_of(path: str) -> list[str]:
  """The modalities of a file; cover art does not count as video.

  Raises:
    MediaError: no such file, not a media file, or it has neither video nor audio.
  """
  with media_streams.open_streams(path, ()) as streams:
    found = [m for m in keys.MODALITIES if m in [stream.type for stream in streams.ignored]]
  if not found:
    raise MediaError("it has neither video nor audio")
  return found


class WindowReader:
  """Reads windows for one network.

  Attributes:
    window_sec: length of a window: that of the longer modality. The midpoints of both coincide.
  """

  def __init__(self, encoder: Encoder, audio_track: Optional[int] = None):
    """Initialises the reader for the input format of a network.

    Args:
      encoder: the network.
      audio_track: number of the audio track of each file, from 1. None selects the default track.
    """
    self._audio_track = audio_track
    self._clip = encoder.ordinary_clip
    self._rate_hz = encoder.sample_rate_hz
    self._num_channels = encoder.num_channels
    self._num_samples = self._clip.num_samples(self._rate_hz)
    self.window_sec = max(self._clip.video_sec, self._clip.audio_sec)
    # Frames larger than usual are read at a higher resolution instead of being upscaled.
    self._short_side = max(
      _RECORDS.short_side, round(self._clip.frame_size / frame_ops.CENTER_CROP_FRACTION)
    )
    self._center = tf.function(
      lambda encoded: ordinary.center_frames(tf.unstack(encoded), self._clip),
      input_signature=[tf.TensorSpec([self._clip.num_frames], tf.string)],
      autograph=False,
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
      stride_sec: time between the starts of consecutive windows.
      modalities: requested modalities.
      start_sec: start of the part.
      end_sec: end of the part; None means the end of the file.

    Raises:
      MediaError: the file cannot be read, has none of the modalities, or ends before that part.
    """
    wanted = [modality for modality in modalities_of(path) if modality in modalities]
    if not wanted:
      raise MediaError(f"no {' and no '.join(modalities)} stream")
    info = media_probe.probe(path, wanted, audio_track=self._audio_track)
    failures = []
    # Mono and stereo can be mixed from any layout; others, such as ambisonics, must be present.
    fitting = (1, 2, info.num_channels)
    if keys.AUDIO in wanted and self._num_channels not in fitting:
      reason = (
        f"audio skipped: it has {info.num_channels} channels, and the network requires "
        f"{self._num_channels}"
      )
      wanted.remove(keys.AUDIO)
      if not wanted:
        raise MediaError(reason)
      failures.append(Failure(path, None, None, reason))
      info = media_probe.probe(path, wanted, audio_track=self._audio_track)
    # Rounded down: a window must not end after its file.
    duration_sec = math.floor(info.duration_sec / _MICRO) * _MICRO
    span = Span(start_sec, duration_sec if end_sec is None else end_sec)
    if not span.start_sec < span.end_sec <= duration_sec + _MICRO:
      raise MediaError(
        f"it is {duration_sec:.2f} s long and has no part from {span.start_sec:g} s to "
        f"{span.end_sec:g} s"
      )
    if span.length_sec * self._rate_hz < 1:
      raise MediaError(f"too short: {span.length_sec:g} s")
    spans = spread(span, self.window_sec, stride_sec)
    return Plan(path, wanted, spans, failures, info.notes)

  def blocks(self, spans: Sequence[Span]) -> list[list[Span]]:
    """Groups ascending spans into blocks that are read at once."""
    blocks: list[list[Span]] = []
    for span in spans:
      if not blocks or span.end_sec - blocks[-1][0].start_sec > _BLOCK_SEC:
        blocks.append([])
      blocks[-1].append(span)
    return blocks

  def read(self, plan: Plan, spans: Sequence[Span]) -> tuple[list[Window], list[Failure]]:
    """Reads consecutive windows of a file at once.

    If a part of them is damaged, the undamaged windows are read separately. Silent windows have no
    audio, and are dropped if there is no video either.

    Args:
      plan: plan of the file.
      spans: consecutive spans of `plan.spans`, such as one of `blocks`.

    Returns:
      The windows, and the failures.
    """
    try:
      return self._read_whole(plan, spans), []
    except Exception as error:  # An error in one window must not stop the others.
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
    """Times of the frames of a window in its file: float64 `[T]`."""
    numbers = np.arange(self._clip.num_frames)
    if span.length_sec >= self._clip.video_sec - _MICRO:
      first_sec = max(span.start_sec, span.middle_sec - self._clip.video_sec / 2)
    else:
      # Frames repeat from the start, as for a record that is too short.
      first_sec = span.start_sec
      numbers %= max(1, math.floor(span.length_sec * self._clip.frame_rate_hz + _MICRO))
    return first_sec + numbers / self._clip.frame_rate_hz

  def _pictures(self, frames: np.ndarray) -> np.ndarray:
    """Frames as network input: uint8 `[T, frame_size, frame_size, 3]`."""
    encoded = jpeg.encode_frames(frames, _RECORDS.frame_rate_hz, _JPEG)
    return self._center(tf.constant(encoded)).numpy()

  def _sound(self, waveform: np.ndarray, span: Span, origin_sec: float) -> np.ndarray:
    """Audio of a window, float32 `[samples, channels]`, repeated if it is too short."""
    heard_sec = min(span.length_sec, self._clip.audio_sec)
    start = round((span.middle_sec - heard_sec / 2 - origin_sec) * self._rate_hz)
    length = self._num_samples
    if heard_sec < self._clip.audio_sec - _MICRO:
      length = max(1, round(heard_sec * self._rate_hz))
    start = max(0, min(start, len(waveform) - length))
    return audio_windows.wrapped(waveform[start : start + length], 0, self._num_samples)
