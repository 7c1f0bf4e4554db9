"""Streams the frames of a file of any length, and samples them on a regular grid.

Frames are 360° frames in a known projection, or ordinary ones.

Unlike in training clips, damage is not an error: a frame that cannot be decoded is replaced by the
previous one, and counted.
"""

import collections
import contextlib
from collections.abc import Iterator
from typing import Callable, Optional

import av
import numpy as np

from avssl_tf import keys
from avssl_tf.data.clip_content import EQUIRECTANGULAR
from avssl_tf.data.media import decoding, media_extent, media_pictures, media_streams, picture_view
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.data.media.picture_view import CUBEMAP, PROJECTIONS, Wanted
from avssl_tf.errors import UserError
from avssl_tf.spatial import cubemap

__all__ = ["CUBEMAP", "PROJECTIONS", "PictureGrid", "PictureStream", "open_pictures"]
# Aspect ratio of each projection, and the relative tolerance.
_ASPECTS = {EQUIRECTANGULAR: 2.0, CUBEMAP: 1.5}
_ASPECT_TOLERANCE = 0.02
# Containers round times, Matroska to a millisecond.
_TIME_TOLERANCE_SEC = 0.001


@contextlib.contextmanager
def open_pictures(
  path: str,
  projection: Optional[str] = EQUIRECTANGULAR,
  stereo_mode: str = picture_view.AUTO,
) -> Iterator["PictureStream"]:
  """Opens the video of a file.

  Args:
    path: the file.
    projection: projection of the frames, one of `PROJECTIONS` (`CUBEMAP` is equi-angular), or None
      for ordinary frames of any shape.
    stereo_mode: arrangement of the two eyes, one of `picture_view.STEREO_MODES`.

  Raises:
    MediaError: no such file; not a media file; no decodable video; or the shape of the frames or
      the metadata of the file contradicts `projection` or `stereo_mode`.
  """
  with media_streams.open_streams(path, (keys.VIDEO,)) as media:
    # Only one file is read at a time, and decoding dominates the cost.
    media.video.thread_type = "AUTO"
    media.video.codec_context.thread_count = 0
    yield PictureStream(path, media, Wanted(projection, stereo_mode))


class PictureStream:
  """The video of an open file.

  Attributes:
    start_sec: time of the first frame, in container time.
    rate_hz: mean frame rate.
    estimated_duration_sec: duration of the video, estimated beforehand; None if unknown.
    view: the part of the frames that is read: the whole frame, or the left of two eyes.
    height: height of the upright frames, in pixels.
    width: width of the upright frames, in pixels.
    codec: name of the decoder.
    can_be_copied: whether the packets can be copied to another file without re-encoding. The frames
      must be equirectangular and upright, the container must have presentation times, and the
      metadata must be able to describe the arrangement of the eyes.
    num_damaged: number of packets and frames so far that were replaced by the previous frame.
  """

  def __init__(self, path: str, media: media_streams.MediaStreams, wanted: Wanted):
    """Decodes the first frame."""
    projection = wanted.projection
    self.num_damaged = 0
    self._video = media.video
    self._media = media
    self._projection = projection
    self._reformatter = av.video.reformatter.VideoReformatter()
    self._decoded = self._decode()
    first = next(self._decoded, None)
    if first is None:
      raise MediaError("truncated or damaged: the video stream contains nothing to decode")
    self._first = first
    self.start_sec = media_streams.frame_time_sec(first)
    self.rate_hz = 1.0 / media_streams.picture_duration_sec(media.video)
    end_sec = media_extent.estimated_end_sec(media, media.video)
    self.estimated_duration_sec = end_sec and end_sec - self.start_sec
    self.view = picture_view.view_of(path, media.video, first, wanted)
    self.height, self.width = media_pictures.display_size(first, media.video, self.view)
    if projection is not None:
      _check_shape(self.height, self.width, projection)
    self.codec = media.video.codec_context.name
    self.can_be_copied = (
      projection == EQUIRECTANGULAR
      and media_pictures.orientation(first) == media_pictures.Orientation()
      # AVI stores decoding times only.
      and media.container.format.name != "avi"
      and not self.view.right_first
    )

  def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
    """All frames with their ascending times, in container time; may be called only once."""
    last_sec = -float("inf")
    frame = self._first
    while frame is not None:
      time_sec = media_streams.frame_time_sec(frame)
      if time_sec > last_sec:
        yield time_sec, frame
        last_sec = time_sec
      frame = next(self._decoded, None)

  def to_rgb(self, frame: av.VideoFrame, height: int, width: int) -> np.ndarray:
    """Converts a frame to upright, scaled uint8 RGB `[height, width, 3]` in its projection."""
    return media_pictures.to_rgb(self._reformatter, frame, (height, width), self.view.eye)

  def to_equirect(self, frame: av.VideoFrame, height: int) -> np.ndarray:
    """Converts a frame to equirectangular uint8 RGB `[height, 2 * height, 3]`."""
    if self._projection == EQUIRECTANGULAR:
      return self.to_rgb(frame, height, 2 * height)
    # Two rows of faces, at the resolution of the result in the middle of a face.
    side = max(1, height // 2)
    faces = self.to_rgb(frame, 2 * side, 3 * side)
    return cubemap.to_equirect(faces[np.newaxis], height)[0].numpy()

  def _decode(self) -> Iterator[av.VideoFrame]:
    decoder = decoding.Decoder(self._video)
    for packet in media_streams.demux(self._media):
      try:
        frames = decoder.frames(packet)
      except av.error.FFmpegError:
        self.num_damaged += 1
        continue
      for frame in frames:
        if frame.is_corrupt:
          self.num_damaged += 1
        else:
          yield frame


class PictureGrid:
  """Frames at a constant rate, as stored in records, read on demand.

  Times before the first frame use the first frame; times after the last frame use the last frame.

  Attributes:
    num_held: number of frames in memory.
  """

  def __init__(
    self,
    frames: Iterator[tuple[float, av.VideoFrame]],
    convert: Callable[[av.VideoFrame], np.ndarray],
    start_sec: float,
    rate_hz: float,
  ):
    """Initialises the grid.

    Args:
      frames: frames with their ascending times; at least one.
      convert: converts a frame to an array; called at most once per frame.
      start_sec: time of frame 0 of the grid.
      rate_hz: frame rate of the grid.
    """
    self._frames = frames
    self._convert = convert
    self._start_sec = start_sec
    self._rate_hz = rate_hz
    self._upcoming = next(frames)
    self._shown = self._upcoming[1]
    self._converted = None
    self._first = 0
    self._held: collections.deque[np.ndarray] = collections.deque()

  @property
  def num_held(self) -> int:
    return len(self._held)

  @property
  def ended(self) -> bool:
    """Whether the last frame has been reached: all later ones are the same."""
    return self._upcoming is None

  def take(self, first: int, count: int) -> np.ndarray:
    """Returns frames `first` to `first + count - 1` of the grid: `[count, ...]`.

    Raises:
      UserError: `first` is smaller than in the previous call: those frames were discarded.
    """
    if first < self._first:
      raise UserError(f"Frame {first} was requested; frames before {self._first} are discarded.")
    while self._held and self._first < first:
      self._held.popleft()
      self._first += 1
    while self._first + len(self._held) < first + count:
      number = self._first + len(self._held)
      self._show(self._start_sec + number / self._rate_hz)
      if number < first:
        self._first += 1
        continue
      if self._converted is None:
        self._converted = self._convert(self._shown)
      self._held.append(self._converted)
    return np.stack([self._held[i] for i in range(count)])

  def _show(self, time_sec: float) -> None:
    """Advances to the frame that is on screen at a time."""
    while self._upcoming is not None and self._upcoming[0] <= time_sec + _TIME_TOLERANCE_SEC:
      if self._shown is not self._upcoming[1]:
        self._shown, self._converted = self._upcoming[1], None
      self._upcoming = next(self._frames, None)


def _check_shape(height: int, width: int, projection: str) -> None:
  fitting = [
    name for name, a in _ASPECTS.items() if abs(width / height / a - 1.0) <= _ASPECT_TOLERANCE
  ]
  if projection in fitting:
    return
  shapes = {EQUIRECTANGULAR: "twice as wide as high", CUBEMAP: "3:2, three by two square faces"}
  names = {EQUIRECTANGULAR: "equirectangular frame", CUBEMAP: "equi-angular cubemap"}
  remedy = "scale it to 2:1, or convert it from its projection"
  if fitting:
    remedy = f"if it is an {names[fitting[0]]}, pass --projection={fitting[0]}"
  remedy = picture_view.describe_shape(height, width) or remedy
  raise MediaError(
    f"its frames are {width}x{height}; an {names[projection]} is {shapes[projection]}: {remedy}"
  )
