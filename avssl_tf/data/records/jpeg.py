"""JPEG encoding of the frames of a clip, with a bound on what a second of them takes; decoding."""

import dataclasses
import io
import warnings
from typing import BinaryIO, Optional, Union

import cv2
import numpy as np
from PIL import Image

from avssl_tf.data.media import media_limits
from avssl_tf.errors import UserError

_CHROMA = {
  "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
  "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}
# Every so many frames one is tried to find the quality that fits.
_TRIAL_STRIDE = 8


@dataclasses.dataclass(frozen=True)
class JpegSettings:
  """How frames are compressed.

  The defaults were measured on film of great detail (Big Buck Bunny's meadow, 340x256 at 16
  Hz) with 4:2:0 and optimised Huffman tables; PSNR over the stored frame, and after both
  frames are reduced to the 112x112 that a network sees:

  | quality | KB a frame | MB for 10 s | PSNR stored | PSNR at 112x112 |
  |---|---|---|---|---|
  | 95 | 41.2 | 6.6 | 39.2 | - |
  | 85 | 23.8 | 3.8 | 34.9 | 40.4 |
  | 75 | 17.7 | 2.8 | 33.1 | 38.6 |
  | 60 | 13.4 | 2.1 | 31.6 | 37.0 |
  | 50 | 11.6 | 1.9 | 30.9 | 36.2 |

  4:4:4 takes a quarter more at the same quality and decodes at half the speed, for detail in
  colour that is gone once frames are reduced. 85 is past the knee: 40 dB is what the network
  can be shown to see, and ten points more cost half as much again. Detailed film would still
  take 4.8 MB for 10 s, sound (1 MB) included, so a clip whose frames pass
  `max_bytes_per_sec` is stored at the largest quality that fits: the clips that are hit are
  those whose detail hides the loss best, and 10 s with mono sound at 24 kHz stay below 3 MB.

  Attributes:
    quality: JPEG quality, 1..100, of clips that fit.
    max_bytes_per_sec: bound on the frames of one second; `None`: no bound.
    min_quality: never gone below, even where the bound is missed.
    chroma: subsampling of colour, `"4:2:0"` or `"4:4:4"`.
  """

  quality: int = 85
  max_bytes_per_sec: Optional[int] = 200_000
  min_quality: int = 30
  chroma: str = "4:2:0"

  def __post_init__(self):
    if not 1 <= self.quality <= 100:
      raise UserError(f"JPEG quality is {self.quality}; expected 1..100.")
    if self.chroma not in _CHROMA:
      raise UserError(f"JPEG chroma is {self.chroma!r}; expected one of {sorted(_CHROMA)}.")


def encode_frames(frames: np.ndarray, frame_rate_hz: float, settings: JpegSettings) -> list[bytes]:
  """Compresses the frames of one clip, all at the same quality.

  Args:
    frames: uint8 `[T, H, W, 3]`, RGB.
    frame_rate_hz: rate of the frames, which the bound on bytes a second goes by.
    settings: see `JpegSettings`.

  Returns:
    T baseline JPEGs; the same bytes for the same input.
  """
  if settings.max_bytes_per_sec is None:
    return _encode_all(frames, settings.quality, settings.chroma)
  budget = settings.max_bytes_per_sec / frame_rate_hz
  low = min(settings.min_quality, settings.quality)
  quality = _largest_fitting_quality(frames[::_TRIAL_STRIDE], budget, low, settings)
  encoded = _encode_all(frames, quality, settings.chroma)
  # The frames tried are a sample: the others may take a little more.
  while quality > low and sum(map(len, encoded)) > budget * len(frames):
    quality -= 1
    encoded = _encode_all(frames, quality, settings.chroma)
  return encoded


def decode(encoded: bytes) -> np.ndarray:
  """Decodes a stored frame whose size is within bounds.

  Args:
    encoded: JPEG bytes.

  Returns:
    uint8 `[H, W, 3]`, RGB.

  Raises:
    UserError: it is no JPEG, is damaged, or has more than `media_limits.MAX_STORED_PIXELS`
      pixels.
  """
  check_size(io.BytesIO(encoded), "A stored frame", "JPEG", media_limits.MAX_STORED_PIXELS)
  picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
  if picture is None:
    raise UserError("A stored frame is damaged: it is not a JPEG that can be decoded.")
  return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def check_size(file: Union[str, BinaryIO], name: str, kind: str, max_pixels: int) -> None:
  """Makes sure, by its header, that decoding a picture does not take too much memory.

  Args:
    file: its path, or its bytes.
    name: of the picture, for messages.
    kind: the format expected, as Pillow calls it.
    max_pixels: largest number of pixels.

  Raises:
    UserError: it is not of that format or has more pixels.
  """
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", Image.DecompressionBombWarning)
      with Image.open(file, formats=[kind]) as image:  # Reads the header alone.
        width, height = image.size
  except Image.DecompressionBombError as error:
    raise UserError(f"{name} is too large ({error}); expected at most {max_pixels}.") from error
  except (OSError, SyntaxError) as error:
    raise UserError(f"{name} is no {kind} that can be decoded ({error}).") from error
  if width * height > max_pixels:
    raise UserError(
      f"{name} has {width}x{height} pixels; expected at most {max_pixels} in all."
    )


def _largest_fitting_quality(
  frames: np.ndarray, budget: float, low: int, settings: JpegSettings
) -> int:
  """Largest quality in low..settings.quality at which `frames` take `budget` bytes each."""

  def fits(quality: int) -> bool:
    size = sum(map(len, _encode_all(frames, quality, settings.chroma)))
    return size <= budget * len(frames)

  high = settings.quality
  if fits(high):
    return high
  # Invariant: `high` does not fit. The size grows with the quality.
  while high - low > 1:
    middle = (low + high) // 2
    low, high = (middle, high) if fits(middle) else (low, middle)
  return low


def _encode_all(frames: np.ndarray, quality: int, chroma: str) -> list[bytes]:
  parameters = [
    cv2.IMWRITE_JPEG_QUALITY,
    quality,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    _CHROMA[chroma],
    # 2-3% smaller. Progressive scans would save more, but take longer to decode.
    cv2.IMWRITE_JPEG_OPTIMIZE,
    1,
  ]
  encoded = []
  for frame in frames:
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), parameters)
    if not done:
      raise UserError(f"OpenCV could not encode a frame of shape {frame.shape}.")
    encoded.append(jpeg.tobytes())
  return encoded
