"""Media of clips for HTML pages: small animations and a few seconds of audio."""

import dataclasses
from typing import Optional

import cv2
import numpy as np
from matplotlib import colormaps

from avssl_tf.data.records import jpeg
from avssl_tf.data.records.record import Record
from avssl_tf.data.records.record_reader import RecordReader
from avssl_tf.report import inline_media
from avssl_tf.report.drawings import sound_levels

_MAX_SEC = 3.0  # Maximum duration, from the middle of the clip.
_MAX_FRAME_RATE_HZ = 10.0
_HEIGHT = 96  # Height of frames, in pixels.
_SPECTROGRAM_SIZE = (148, 96)


@dataclasses.dataclass(frozen=True)
class ClipMedia:
  """Media of a clip.

  Attributes:
    key: id of the example.
    labels: names of its classes.
    animation: data URI of its frames; None without video.
    spectrogram: data URI of its spectrogram; None without audio.
    sound: data URI of its audio, or of W for a sound field; None without audio.
  """

  key: str
  labels: list[str]
  animation: Optional[str]
  spectrogram: Optional[str]
  sound: Optional[str]


def load(reader: RecordReader, number: int) -> ClipMedia:
  """Reads a clip.

  Args:
    reader: reader of the split.
    number: index of the clip in the split.
  """
  record = Record.parse(reader.serialized(number).numpy(), reader.info.modalities)
  waveform = _middle(record)
  rate_hz = int(record.sample_rate_hz)
  return ClipMedia(
    key=record.example_id,
    labels=record.labels,
    animation=_animation(record) if record.frames else None,
    spectrogram=None if waveform is None else _spectrogram(waveform, rate_hz),
    sound=None if waveform is None else inline_media.sound(waveform, rate_hz),
  )


def _animation(record: Record) -> str:
  rate_hz = min(record.frame_rate_hz, _MAX_FRAME_RATE_HZ)
  count = max(1, round(min(_MAX_SEC, len(record.frames) / record.frame_rate_hz) * rate_hz))
  first = (len(record.frames) - (count - 1) * record.frame_rate_hz / rate_hz - 1) / 2
  positions = first + np.arange(count) * record.frame_rate_hz / rate_hz
  positions = np.clip(positions.round().astype(int), 0, len(record.frames) - 1)
  return inline_media.animation(np.stack([_frame(record.frames[p]) for p in positions]), rate_hz)


def _frame(encoded: bytes) -> np.ndarray:
  pixels = jpeg.decode(encoded)
  width = max(1, round(pixels.shape[1] * _HEIGHT / pixels.shape[0]))
  shrinks = pixels.shape[0] > _HEIGHT
  return cv2.resize(pixels, (width, _HEIGHT), interpolation=cv2.INTER_AREA if shrinks else
                    cv2.INTER_LINEAR)


def _middle(record: Record) -> Optional[np.ndarray]:
  """The middle of the audio, at most `_MAX_SEC` long, in mono: `[samples]`."""
  if record.waveform is None:
    return None
  count = min(len(record.waveform), int(_MAX_SEC * record.sample_rate_hz))
  start = (len(record.waveform) - count) // 2
  window = record.waveform[start : start + count]
  # Four channels are a sound field with the omnidirectional channel W first.
  return window[:, 0] if window.shape[1] == 4 else window.mean(axis=1)


def _spectrogram(waveform: np.ndarray, rate_hz: int) -> str:
  levels = sound_levels.of(waveform[np.newaxis, :, np.newaxis], rate_hz)[0, ::-1]
  shades = np.clip((levels - levels.max()) / sound_levels.RANGE_DB + 1.0, 0.0, 1.0)
  pixels = (colormaps["magma"](shades)[..., :3] * 255).astype(np.uint8)
  return inline_media.picture(cv2.resize(pixels, _SPECTROGRAM_SIZE, interpolation=cv2.INTER_AREA))
