"""JPEG encoding of the frames of a clip at a bounded bit rate, and decoding."""

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
# One frame in this many is used to find the quality that fits.
_TRIAL_STRIDE = 8


@dataclasses.dataclass(frozen=True)
class JpegSettings:
  """Compression of the frames.

  The defaults were measured on highly detailed film (the meadow of Big Buck Bunny, 340x256 at 16
  Hz) with 4:2:0 and optimised Huffman tables. PSNR is given for the stored frame, and after both
  frames are reduced to the network input of 112x112:

  | quality | KB per frame | MB per 10 s | PSNR stored | PSNR at 112x112 |
  |---|---|---|---|---|
  | 95 | 41.2 | 6.6 | 39.2 | - |
  | 85 | 23.8 | 3.8 | 34.9 | 40.4 |
  | 75 | 17.7 | 2.8 | 33.1 | 38.6 |
  | 60 | 13.4 | 2.1 | 31.6 | 37.0 |
  | 50 | 11.6 | 1.9 | 30.9 | 36.2 |

  4:4:4 needs a quarter more bytes at the same quality and takes twice as long to decode; the extra
  colour detail is lost once frames are reduced. Quality 85 is past the knee: 40 dB at the network
  input is sufficient, and ten more points cost half as many bytes again. Detailed film would still
  need 4.8 MB per 10 s including audio (1 MB). A clip that exceeds `max_bytes_per_sec` is therefore
  stored at the largest quality that fits. This affects the clips whose detail hides the loss best,
  and 10 s with mono audio at 24 kHz stay below 3 MB.

  Attributes:
    quality: JPEG quality, 1..100, of clips within the bound.
    max_bytes_per_sec: maximum bytes of the frames of one second; `None` removes the bound.
    min_quality: smallest quality, used even if the bound is then exceeded.
    chroma: chroma subsampling, `"4:2:0"` or `"4:4:4"`.
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
    frame_rate_hz: rate of the frames, to apply the bound on bytes per second.
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
  # These frames are a sample: the others may need a little more.
  while quality > low and sum(map(len, encoded)) > budget * len(frames):
    quality -= 1
    encoded = _encode_all(frames, quality, settings.chroma)
  return encoded


def decode(encoded: bytes) -> np.ndarray:
  """Decodes a stored frame after checking its size.

  Args:
    encoded: JPEG bytes.

  Returns:
    uint8 `[H, W, 3]`, RGB.

  Raises:
    UserError: not a JPEG, damaged, or more than `media_limits.MAX_STORED_PIXELS` pixels.
  """
  check_size(io.BytesIO(encoded), "A stored frame", "JPEG", media_limits.MAX_STORED_PIXELS)
  image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
  if image is None:
    raise UserError("A stored frame is damaged: it cannot be decoded as a JPEG.")
  return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_size(file: Union[str, BinaryIO], name: str, kind: str, max_pixels: int) -> None:
  """Checks the format and the number of pixels in the header of an image, without decoding it.

  Args:
    file: path of the image, or an open binary file.
    name: name of the image, for messages.
    kind: expected format, as Pillow names it.
    max_pixels: largest number of pixels.

  Raises:
    UserError: the image has another format or more pixels.
  """
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", Image.DecompressionBombWarning)
      with Image.open(file, formats=[kind]) as image:  # Reads only the header.
        width, height = image.size
  except Image.DecompressionBombError as error:
    raise UserError(f"{name} is too large ({error}); expected at most {max_pixels}.") from error
  except (OSError, SyntaxError) as error:
    raise UserError(f"{name} cannot be decoded as a {kind} ({error}).") from error
  if width * height > max_pixels:
    raise UserError(
      f"{name} has {width}x{height} pixels; expected at most {max_pixels} in total."
    )


def _largest_fitting_quality(
  frames: np.ndarray, budget: float, low: int, settings: JpegSettings
) -> int:
  """Largest quality in low..settings.quality at which `frames` average at most `budget` bytes."""

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
