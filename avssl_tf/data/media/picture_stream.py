"""The pictures of a file, one after another, whatever its length, and on a regular grid.

They are 360° pictures in a known projection, or ordinary ones.

Unlike in clips for training, damage does not end them: in place of a picture that cannot be decoded
the one before it stays, and it is counted.
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
# Pictures whose aspect is this near to that of their projection are taken for it.
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
  """Opens the pictures of a file.

  Args:
    path: the file.
    projection: of its pictures, one of `PROJECTIONS`; `CUBEMAP` are equi-angular ones; None for
      ordinary pictures, of any shape.
    stereo_mode: where two eyes are in them, one of `picture_view.STEREO_MODES`.

  Raises:
    MediaError: no such file, not a media file, no pictures that can be decoded, pictures of
      another shape than those of the projection, or what the file says of them is something else.
  """
  with media_streams.open_streams(path, (keys.VIDEO,)) as media:
    # One file at a time is read here, and decoding is much of the work.
    media.video.thread_type = "AUTO"
    media.video.codec_context.thread_count = 0
    yield PictureStream(path, media, Wanted(projection, stereo_mode))


class PictureStream:
  """The pictures of an open file.

  Attributes:
    start_sec: time of the first picture on the container's time line.
    rate_hz: mean rate of the pictures.
    estimated_duration_sec: of all pictures, as far as that is known beforehand; None: not at all.
    view: how they are read: whole, or the left of two eyes.
    height: rows of the upright pictures, those that equirectangular ones of this fineness have.
    width: their columns.
    codec: name of the decoder.
    can_be_copied: whether the packets can be what another file holds: pictures are equirectangular
      and upright, the container knows when each of them is shown, and marks can say where two eyes
      are.
    num_damaged: packets and pictures, up to now, in whose place the one before stays.
  """

  def __init__(self, path: str, media: media_streams.MediaStreams, wanted: Wanted):
    """Decodes the first picture."""
    projection = wanted.projection
    self.num_damaged = 0
    self._video = media.video
    self._media = media
    self._projection = projection
    self._reformatter = av.video.reformatter.VideoReformatter()
    self._decoded = self._decode()
    first = next(self._decoded, None)
    if first is None:
      raise MediaError("truncated or damaged: the video stream holds nothing to decode")
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
      # It only has the order of decoding.
      and media.container.format.name != "avi"
      and not self.view.right_first
    )

  def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
    """All pictures with their times, ascending, on the container's time line; call it once."""
    last_sec = -float("inf")
    frame = self._first
    while frame is not None:
      time_sec = media_streams.frame_time_sec(frame)
      if time_sec > last_sec:
        yield time_sec, frame
        last_sec = time_sec
      frame = next(self._decoded, None)

  def to_rgb(self, frame: av.VideoFrame, height: int, width: int) -> np.ndarray:
    """A picture as it is, upright and scaled: uint8 RGB `[height, width, 3]`."""
    return media_pictures.to_rgb(self._reformatter, frame, (height, width), self.view.eye)

  def to_equirect(self, frame: av.VideoFrame, height: int) -> np.ndarray:
    """A picture as equirectangular: uint8 RGB `[height, 2 * height, 3]`."""
    if self._projection == EQUIRECTANGULAR:
      return self.to_rgb(frame, height, 2 * height)
    # Two rows of faces: as fine as the result at the middle of a face.
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
  """Pictures at equal steps of time, as they are stored in records, each taken when it is due.

  Before the first picture that one is shown, after the last one it stays.

  Attributes:
    num_held: pictures in memory.
  """

  def __init__(
    self,
    frames: Iterator[tuple[float, av.VideoFrame]],
    convert: Callable[[av.VideoFrame], np.ndarray],
    start_sec: float,
    rate_hz: float,
  ):
    """Starts the grid.

    Args:
      frames: pictures with their times, ascending; at least one.
      convert: makes an array of a picture; called at most once for each.
      start_sec: time of picture 0 of the grid.
      rate_hz: pictures of the grid a second.
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
    """Whether the last picture has been taken: all later ones are the same."""
    return self._upcoming is None

  def take(self, first: int, count: int) -> np.ndarray:
    """Pictures `first` to `first + count - 1` of the grid: `[count, ...]`.

    Raises:
      UserError: `first` is before that of the call before: those pictures are gone.
    """
    if first < self._first:
      raise UserError(f"Pictures from {first} on; those before {self._first} are gone.")
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
    """Goes on to the picture that is on screen at a time."""
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
  names = {EQUIRECTANGULAR: "equirectangular picture", CUBEMAP: "equi-angular cubemap"}
  remedy = "scale it to 2:1, or convert it from its own projection"
  if fitting:
    remedy = f"if it is an {names[fitting[0]]}, say --projection={fitting[0]}"
  remedy = picture_view.describe_shape(height, width) or remedy
  raise MediaError(
    f"its pictures are {width}x{height}; an {names[projection]} is {shapes[projection]}: {remedy}"
  )
