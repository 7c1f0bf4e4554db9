"""Images and audio as data URIs, for self-contained pages."""

import base64
import io

import librosa
import numpy as np
import soundfile
from matplotlib.figure import Figure
from PIL import Image

# Sample rates of MP3; other rates are resampled to the next higher one.
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_PICTURE_QUALITY = 80
_ANIMATION_QUALITY = 60


def picture(pixels: np.ndarray) -> str:
  """An image, with lossy compression.

  Args:
    pixels: uint8 `[H, W, 3]`, RGB.
  """
  return _saved(Image.fromarray(pixels), quality=_PICTURE_QUALITY)


def animation(frames: np.ndarray, frame_rate_hz: float) -> str:
  """Frames as an animation in an endless loop; a single frame as a still image.

  Args:
    frames: uint8 `[T, H, W, 3]`, RGB.
    frame_rate_hz: frame rate.
  """
  first, *others = [Image.fromarray(frame) for frame in frames]
  duration_ms = round(1000 / frame_rate_hz)
  moving = {"save_all": True, "append_images": others, "duration": duration_ms, "loop": 0}
  return _saved(first, quality=_ANIMATION_QUALITY, **(moving if others else {}))


def sound(waveform: np.ndarray, sample_rate_hz: int) -> str:
  """Audio as MP3, which every browser supports.

  Args:
    waveform: float `[samples]` or `[samples, 1 or 2]`, clipped to -1..1.
    sample_rate_hz: sample rate of the waveform; resampled if MP3 does not support it.
  """
  rate_hz = next((rate for rate in _MP3_RATES_HZ if rate >= sample_rate_hz), _MP3_RATES_HZ[-1])
  if rate_hz != sample_rate_hz:
    waveform = librosa.resample(waveform, orig_sr=sample_rate_hz, target_sr=rate_hz, axis=0)
  buffer = io.BytesIO()
  soundfile.write(buffer, np.clip(waveform, -1.0, 1.0), rate_hz, format="MP3")
  return _uri("audio/mpeg", buffer)


def drawing(figure: Figure) -> str:
  """A matplotlib figure as PNG."""
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png")
  return _uri("image/png", buffer)


def _saved(image: Image.Image, **options) -> str:
  buffer = io.BytesIO()
  image.save(buffer, format="WEBP", **options)
  return _uri("image/webp", buffer)


def _uri(media_type: str, buffer: io.BytesIO) -> str:
  return f"data:{media_type};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
