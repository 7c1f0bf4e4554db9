"""Frames of a video: selection by time, orientation and size."""

from typing import NamedTuple, Optional

import av
import numpy as np

from avssl_tf.data.media import media_limits, media_streams, picture_view

# Containers round times, Matroska to a millisecond. A frame that starts this much after a requested
# time or less is the frame for that time.
_TIME_TOLERANCE_SEC = 0.001
_KNOWN_COLORSPACES = frozenset({1, 4, 5, 6, 7, 9})  # AVCOL_SPC_* that libswscale has matrices for.


class Orientation(NamedTuple):
  """Transform from stored to upright frames: transpose first, then flip."""

  transpose: bool = False
  flip_x: bool = False
  flip_y: bool = False


def orientation(frame: av.VideoFrame) -> Orientation:
  """Orientation according to the display matrix of a frame; upright if it has none.

  The matrix maps a stored pixel (x, y) to (a x + c y, b x + d y), in 16.16 fixed point:
  [a, b, u, c, d, v, x, y, w] (ISO/IEC 14496-12, section 6.2.2; libavutil/display.h).

  Raises:
    MediaError: the rotation is not a multiple of 90 degrees.
  """
  side_data = frame.side_data.get("DISPLAYMATRIX")
  if side_data is None:
    return Orientation()
  a, b, _, c, d = np.frombuffer(side_data, dtype=np.int32)[:5]
  if b == 0 and c == 0 and a != 0 and d != 0:
    return Orientation(False, bool(a < 0), bool(d < 0))
  if a == 0 and d == 0 and b != 0 and c != 0:
    return Orientation(True, bool(c < 0), bool(b < 0))
  raise media_streams.MediaError(
    f"rotated by {frame.rotation} degrees; only multiples of 90 degrees are supported"
  )


def turn_upright(picture: np.ndarray, how: Orientation) -> np.ndarray:
  """Applies an orientation to a frame `[height, width, ...]`."""
  if how.transpose:
    picture = np.swapaxes(picture, 0, 1)
  return np.ascontiguousarray(picture[:: -1 if how.flip_y else 1, :: -1 if how.flip_x else 1])


def display_size(
  frame: av.VideoFrame, video: av.VideoStream, view: picture_view.View = picture_view.WHOLE_VIEW
) -> tuple[int, int]:
  """Height and width of the upright frame, or of the eye that is read, with square pixels.

  Raises:
    MediaError: they exceed `media_limits`, or a frame with two eyes is rotated.
  """
  aspect = float(video.sample_aspect_ratio or 1) or 1.0
  height, width = frame.height, frame.width * aspect
  if view.eye != picture_view.WHOLE:
    if orientation(frame) != Orientation():
      raise media_streams.MediaError(
        "stereoscopic frames with a rotation or a flip: extract the left eye into a file first"
      )
    if not view.squeezed:
      height, width = height / view.eye.rows, width / view.eye.columns
  media_limits.check_upright(height, width)
  height, width = max(1, round(height)), max(1, round(width))
  return (width, height) if orientation(frame).transpose else (height, width)


def scaled_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
  """Scales `size` to the given short side; the long side is rounded to the nearest pixel."""
  short, long = sorted(size)
  long_side = max(short_side, round(long * short_side / short))
  return (short_side, long_side) if size[0] <= size[1] else (long_side, short_side)


class FramePicker:
  """Picks the frame that is on screen at each requested time.

  This is the last frame with a presentation time up to the requested one. It is correct for both
  constant and variable frame rates: a frame held for seconds is repeated, and no frame is used
  before its time.

  Attributes:
    done: whether all frames are available.
    late: whether the first decoded frame starts after the first requested time.
    end_sec: end of the last frame added; None before the first.
    num_picked: number of frames picked so far.
  """

  def __init__(
    self,
    video: av.VideoStream,
    times_sec: np.ndarray,
    short_side: int,
    view: picture_view.View = picture_view.WHOLE_VIEW,
  ):
    """Requests frames at `times_sec` (ascending), scaled to the given short side."""
    self.done = False
    self.late = False
    self.end_sec: Optional[float] = None
    self._video = video
    self._times_sec = times_sec
    self._short_side = short_side
    self._view = view
    self._reformatter = av.video.reformatter.VideoReformatter()
    self._size: Optional[tuple[int, int]] = None
    self._on_screen: Optional[av.VideoFrame] = None
    self._pictures: list[np.ndarray] = []

  @property
  def num_picked(self) -> int:
    return len(self._pictures)

  def needs(self, packet: av.Packet) -> bool:
    """True for every packet: later frames are predicted from earlier ones."""
    del packet
    return True

  def add(self, frame: av.VideoFrame) -> None:
    """Adds the next frame, in presentation order."""
    time_sec = media_streams.frame_time_sec(frame)
    if self.late or self.done:
      return
    if self._on_screen is None and time_sec > self._times_sec[0] + _TIME_TOLERANCE_SEC:
      self.late = True
      return
    self._show_until(time_sec - _TIME_TOLERANCE_SEC)
    self._on_screen = frame
    self.end_sec = time_sec + media_streams.frame_sec(frame, self._video)

  def finish(self, until_sec: float) -> np.ndarray:
    """Returns all frames, uint8 RGB `[T, height, width, 3]`, at the end of the stream.

    The last frame is held until `until_sec`. If that does not cover all requested times, fewer
    frames are returned.
    """
    if self._on_screen is not None and not self.done:
      self._show_until(until_sec)
    return np.stack(self._pictures) if self._pictures else np.zeros((0, 0, 0, 3), np.uint8)

  def _show_until(self, time_sec: float) -> None:
    """Uses the frame on screen for all pending times before `time_sec`."""
    picture = None
    while not self.done and self._times_sec[self.num_picked] < time_sec:
      if picture is None:
        picture = self._convert(self._on_screen)
      self._pictures.append(picture)
      self.done = self.num_picked == len(self._times_sec)

  def _convert(self, frame: av.VideoFrame) -> np.ndarray:
    if frame.is_corrupt:
      at_sec = media_streams.frame_time_sec(frame)
      raise media_streams.MediaError(f"damaged: the frame at {at_sec:.2f} s is corrupt")
    if self._size is None:  # The clip keeps its size if the frame size changes within the stream.
      self._size = scaled_size(
        display_size(frame, self._video, self._view), self._short_side
      )
      height, width = self._size
      media_limits.check_clip(3 * height * width * len(self._times_sec), "frames")
    return to_rgb(self._reformatter, frame, self._size, self._view.eye)


def to_rgb(
  reformatter: av.video.reformatter.VideoReformatter,
  frame: av.VideoFrame,
  size: tuple[int, int],
  eye: picture_view.Eye = picture_view.WHOLE,
) -> np.ndarray:
  """Converts a decoded frame to RGB, upright and scaled.

  Args:
    reformatter: converter; reusing it for frames of the same format saves work.
    frame: decoded frame.
    size: height and width of the result.
    eye: the part of the frame to return.

  Returns:
    uint8 RGB `[height, width, 3]`.

  Raises:
    MediaError: the pixel format cannot be converted, or the rotation is not a multiple of 90
      degrees.
  """
  how = orientation(frame)
  height, width = size[::-1] if how.transpose else size
  top, left = eye.row * height, eye.column * width
  bottom, right = top + height, left + width
  height, width = height * eye.rows, width * eye.columns
  # Area averaging neither aliases nor rings in downscaling, but is blocky in upscaling.
  shrinks = height <= frame.height and width <= frame.width
  colorspace = frame.colorspace if frame.colorspace in _KNOWN_COLORSPACES else "DEFAULT"
  try:
    scaled = reformatter.reformat(
      frame,
      width=width,
      height=height,
      format="rgb24",
      src_colorspace=colorspace,
      dst_colorspace="DEFAULT",
      interpolation="AREA" if shrinks else "BICUBIC",
    )
  except av.error.FFmpegError as error:
    raise media_streams.MediaError(
      f"frames in the format {frame.format.name} cannot be converted to RGB ({error.strerror})"
    ) from error
  return turn_upright(scaled.to_ndarray()[top:bottom, left:right], how)
