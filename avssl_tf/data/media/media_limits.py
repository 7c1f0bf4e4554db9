"""Limits on media files: a small file must not exhaust memory, disk or time.

The limits are far above what cameras, recorders and published data sets produce. Files that exceed
them are refused with a `MediaError` before memory is allocated or work is done.
"""

from typing import Optional

from avssl_tf.errors import UserError

# A frame of 8192 x 8192 pixels: stereoscopic 8K. FFmpeg's decoders refuse larger frames as well,
# even after a size change within a stream. A frame takes 100 MB in 4:2:0, and decoders keep up to
# 16 of them.
MAX_PIXELS = 2**26
# Long side over short side of the upright frame with square pixels. Stitched cameras and LED strips
# reach 10.
MAX_ASPECT = 16.0
# For frames in a record: an equirectangular frame of 8192 x 4096 pixels.
MAX_STORED_PIXELS = 2**25
# For the frames, or for the audio, of one clip. Ten minutes of 16:9 with a short side of 256 pixels
# at 16 Hz, the longest clip of the evaluation data sets, takes 3.4 GB.
MAX_CLIP_BYTES = 2**32
# Lower rates cannot represent audible sound; higher ones are time bases mistaken for sample rates.
# Hydrophones and bat detectors record at up to 1 MHz.
MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 1000, 1_000_000
# Seventh-order ambisonics.
MAX_CHANNELS = 64
# High-speed cameras. There is no lower limit: a frame may be held while there is audio.
MAX_FRAME_RATE_HZ = 10_000
# A gap in both video and audio, such as a paused recorder or an interrupted stream. A longer one is
# a clock jump, which could take forever to fill.
MAX_GAP_SEC = 300.0
# Of one file: a week.
MAX_DURATION_SEC = 7 * 24 * 3600.0
# Clips or windows of one file. A day has 864,000 windows at a stride of 0.1 s.
MAX_CLIPS = 1_000_000


class MediaError(UserError):
  """A media file cannot be used. The message is the reason, such as "no audio stream"."""


def check_sound(rate_hz: int, num_channels: int) -> None:
  """Checks the sample rate and the number of audio channels.

  Raises:
    MediaError: one of them is out of bounds.
  """
  if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
    raise MediaError(
      f"sample rate out of bounds: {rate_hz} Hz; expected {MIN_SAMPLE_RATE_HZ} to "
      f"{MAX_SAMPLE_RATE_HZ} Hz. If the file states a wrong rate, rewrite it with the right one"
    )
  if num_channels > MAX_CHANNELS:
    raise MediaError(
      f"too many channels: {num_channels}; expected at most {MAX_CHANNELS}. Extract those you need"
    )


def check_picture(height: float, width: float) -> None:
  """Checks the size of a frame.

  Raises:
    MediaError: it has too many pixels.
  """
  if height * width > MAX_PIXELS:
    raise MediaError(
      f"frames too large: {width:.0f}x{height:.0f} pixels; expected at most {MAX_PIXELS} in all. "
      "Scale them down first"
    )


def check_upright(height: float, width: float) -> None:
  """Checks the size of an upright frame with square pixels.

  Raises:
    MediaError: it is too large, or its aspect ratio too extreme.
  """
  if max(height, width) > MAX_ASPECT * min(height, width):
    raise MediaError(
      f"frames too narrow: {width:g}x{height:g} with square pixels; expected at most "
      f"{MAX_ASPECT:g}:1. Crop them, or correct the sample aspect ratio"
    )
  check_picture(height, width)


def check_frame_rate(rate_hz: Optional[float]) -> None:
  """Checks the mean frame rate stated by a file; None or 0 passes.

  Raises:
    MediaError: it is too high.
  """
  if rate_hz and rate_hz > MAX_FRAME_RATE_HZ:
    raise MediaError(
      f"frame rate out of bounds: {rate_hz:g} Hz; expected at most {MAX_FRAME_RATE_HZ} Hz. If the "
      "file states a wrong rate, rewrite it with the right one"
    )


def check_duration(duration_sec: float) -> None:
  """Checks the duration of a file.

  Raises:
    MediaError: it is too long.
  """
  if duration_sec > MAX_DURATION_SEC:
    raise MediaError(
      f"too long: it states {duration_sec:.0f} s; expected at most {MAX_DURATION_SEC:.0f} s, a "
      "week. Cut the file, or repair its time stamps"
    )


def check_count(count: int, duration_sec: float, what: str) -> None:
  """Checks the number of clips or windows that a file is cut into.

  Raises:
    MediaError: there are too many.
  """
  if count > MAX_CLIPS:
    raise MediaError(
      f"too many {what}: {count} in {duration_sec:.0f} s; expected at most {MAX_CLIPS}. Cut the "
      f"file, or request fewer {what}"
    )


def check_clip(num_bytes: int, what: str) -> None:
  """Checks the memory required for the frames or the audio of a clip.

  Raises:
    MediaError: it exceeds the limit.
  """
  if num_bytes > MAX_CLIP_BYTES:
    raise MediaError(
      f"clip too large: its {what} would take {num_bytes / 2**30:.1f} GiB; expected at most "
      f"{MAX_CLIP_BYTES / 2**30:g} GiB. Use shorter clips, or scale the file down first"
    )
