"""Limits on what media files may ask for, so that a small file cannot fill memory, disk or time.

They are far above what cameras, recorders and published data sets produce. What exceeds them is
refused with a `MediaError` before memory is allocated or work is done.
"""

from typing import Optional

from avssl_tf.errors import UserError

# A frame of 8192 x 8192 pixels: stereoscopic 8K. FFmpeg's decoders refuse larger frames as well,
# also after a change of size within a stream. A frame takes 100 MB in 4:2:0, and decoders keep up
# to 16 of them.
MAX_PIXELS = 2**26
# Long side over short side of the upright frame with square pixels. Joined cameras and ribbons of
# lights reach 10.
MAX_ASPECT = 16.0
# Of the frames of a record: an equirectangular frame of 8192 x 4096 pixels.
MAX_STORED_PIXELS = 2**25
# Of the frames, or of the sound, of one clip. Ten minutes of 16:9 with a short side of 256 pixels
# at 16 Hz, the longest clip of the data sets for evaluation, takes 3.4 GB.
MAX_CLIP_BYTES = 2**32
# Below, there is no sound to hear; above are only time bases taken for rates. Hydrophones and bat
# detectors record at up to 1 MHz.
MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 1000, 1_000_000
# Seventh-order ambisonics.
MAX_CHANNELS = 64
# High-speed cameras. No rate is too low: a picture may be held while there is sound.
MAX_FRAME_RATE_HZ = 10_000
# A stretch without picture and sound, such as a recorder that paused or a stream that was
# interrupted. A longer one is a jump of the clock: filling it could take for ever.
MAX_GAP_SEC = 300.0
# Of one file: a week.
MAX_DURATION_SEC = 7 * 24 * 3600.0
# Clips or windows of one file. A day has 864,000 windows at a stride of 0.1 s.
MAX_CLIPS = 1_000_000


class MediaError(UserError):
  """A file cannot be used; the message is the reason, e.g. "no audio stream"."""


def check_sound(rate_hz: int, num_channels: int) -> None:
  """Checks the sample rate and the number of channels of a sound.

  Raises:
    MediaError: one of them is out of bounds.
  """
  if not MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ:
    raise MediaError(
      f"sample rate out of bounds: {rate_hz} Hz; expected {MIN_SAMPLE_RATE_HZ} to "
      f"{MAX_SAMPLE_RATE_HZ} Hz. If the file states a wrong rate, write it again with the right one"
    )
  if num_channels > MAX_CHANNELS:
    raise MediaError(
      f"too many channels: {num_channels}; expected at most {MAX_CHANNELS}. Extract the ones needed"
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
    MediaError: it is too large, too wide or too high.
  """
  if max(height, width) > MAX_ASPECT * min(height, width):
    raise MediaError(
      f"frames too narrow: {width:g}x{height:g} with square pixels; expected at most "
      f"{MAX_ASPECT:g}:1. Crop them, or correct the sample aspect ratio"
    )
  check_picture(height, width)


def check_frame_rate(rate_hz: Optional[float]) -> None:
  """Checks the mean frame rate that a file states, if it does.

  Raises:
    MediaError: it is too high.
  """
  if rate_hz and rate_hz > MAX_FRAME_RATE_HZ:
    raise MediaError(
      f"frame rate out of bounds: {rate_hz:g} Hz; expected at most {MAX_FRAME_RATE_HZ} Hz. If the "
      "file states a wrong rate, write it again with the right one"
    )


def check_duration(duration_sec: float) -> None:
  """Checks the duration of a file.

  Raises:
    MediaError: it is too long.
  """
  if duration_sec > MAX_DURATION_SEC:
    raise MediaError(
      f"too long: it claims {duration_sec:.0f} s; expected at most {MAX_DURATION_SEC:.0f} s, a "
      "week. Cut the file, or repair its time stamps"
    )


def check_count(count: int, duration_sec: float, what: str) -> None:
  """Checks how many clips or windows a file is cut into.

  Raises:
    MediaError: there are too many.
  """
  if count > MAX_CLIPS:
    raise MediaError(
      f"too many {what}: {count} of its {duration_sec:.0f} s; expected at most {MAX_CLIPS}. Cut "
      f"the file, or ask for fewer {what}"
    )


def check_clip(num_bytes: int, what: str) -> None:
  """Checks the memory that the frames or the sound of a clip take.

  Raises:
    MediaError: it is too much.
  """
  if num_bytes > MAX_CLIP_BYTES:
    raise MediaError(
      f"clip too large: its {what} would take {num_bytes / 2**30:.1f} GiB; expected at most "
      f"{MAX_CLIP_BYTES / 2**30:g} GiB. Take shorter clips, or scale the file down first"
    )
