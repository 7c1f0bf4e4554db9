"""Selects the part of the stored frames to read from the metadata: all of it, or the left eye.

All readers of frames share these rules. From two eyes, one above the other or side by side, the
left one is read, and this is reported. Any other stereoscopic format is refused. 360° frames must
show the whole sphere in the projection that the caller expects. Contradicting metadata is refused.
"""

import dataclasses
import math
from typing import NamedTuple, Optional

import av

from avssl_tf.data.clip_content import EQUIRECTANGULAR
from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.data.metadata import spherical_metadata
from avssl_tf.data.metadata.spherical_metadata import LEFT_RIGHT, MONO, TOP_BOTTOM, Said
from avssl_tf.errors import UserError

CUBEMAP = "cubemap"
PROJECTIONS = (EQUIRECTANGULAR, CUBEMAP)
_ASPECTS = {EQUIRECTANGULAR: 2.0, CUBEMAP: 1.5}
_NAMES = {EQUIRECTANGULAR: "equirectangular frame", CUBEMAP: "equi-angular cubemap"}
# Values of --stereo_mode, for files without metadata; AUTO follows the metadata.
AUTO = "auto"
STEREO_MODES = (AUTO, MONO, *(name.replace("-", "_") for name in (TOP_BOTTOM, LEFT_RIGHT)))
# Share of the sphere that may be missing on a side: frames of 1920 x 968 count as complete.
_CUT_TOLERANCE = 0.02
_POSE_TOLERANCE_DEG = 0.5
# In stereoscopic films, each eye may be squeezed to half its size; most films have this aspect.
_USUAL_ASPECT = 16 / 9
_SHAPE_TOLERANCE = 0.05


class Eye(NamedTuple):
  """One of `rows` times `columns` equal parts of a stored frame."""

  rows: int = 1
  columns: int = 1
  row: int = 0
  column: int = 0


WHOLE = Eye()


@dataclasses.dataclass(frozen=True)
class Wanted:
  """Projection and stereo mode in which the caller reads the frames of a file.

  Attributes:
    projection: one of `PROJECTIONS`; None for ordinary frames.
    stereo_mode: one of `STEREO_MODES`.
  """

  projection: Optional[str] = None
  stereo_mode: str = AUTO

  def __post_init__(self):
    if self.stereo_mode not in STEREO_MODES:
      raise UserError(
        f"stereo_mode is {self.stereo_mode!r}; expected one of {', '.join(STEREO_MODES)}."
      )


ORDINARY = Wanted()


@dataclasses.dataclass(frozen=True)
class View:
  """How to read the frames of a file.

  Attributes:
    eye: the part of each frame that is read.
    packing: stereo packing of the file, such as `spherical_metadata.MONO`.
    right_first: whether the right eye is on top or on the left.
    squeezed: whether each eye is displayed with the aspect ratio of the whole frame.
    notes: remarks for the user.
  """

  eye: Eye = WHOLE
  packing: str = MONO
  right_first: bool = False
  squeezed: bool = False
  notes: tuple[str, ...] = ()


WHOLE_VIEW = View()


def view_of(
  path: str, video: av.VideoStream, first: av.VideoFrame, wanted: Wanted = ORDINARY
) -> View:
  """Determines how to read the frames of a file.

  Args:
    path: the file.
    video: the video track.
    first: a decoded frame of the track.
    wanted: projection and stereo mode that the caller expects.

  Raises:
    MediaError: the metadata contradicts `wanted`; the message states it.
  """
  said = spherical_metadata.of_pictures(path, video, first)
  packing = _packing(said, wanted.stereo_mode)
  notes = []
  if wanted.projection is not None:
    check_projection(said, packing, wanted.projection)
  elif said.projection is not None:
    notes.append(
      f"the file states that it is a 360° video ({said.projection}): its frames are read as "
      "ordinary ones"
    )
  if packing == MONO:
    return View(notes=tuple(notes))
  right_first = said.right_first if said.packing == packing else False
  eye = (
    Eye(rows=2, row=int(right_first)) if packing == TOP_BOTTOM
    else Eye(columns=2, column=int(right_first))
  )  # fmt: skip
  source = "the file" if said.packing == packing else f"--stereo_mode={wanted.stereo_mode}"
  notes.insert(0, f"stereoscopic according to {source} ({packing}): the left eye is used")
  pixel_aspect = float(video.sample_aspect_ratio or 1) or 1.0
  if wanted.projection is not None:
    _check_eye(first, pixel_aspect, eye, packing, wanted.projection)
  flat = wanted.projection is None and said.projection is None
  squeezed = flat and _is_squeezed(first, pixel_aspect, packing)
  return View(eye, packing, right_first, squeezed, tuple(notes))


def check_projection(said: Said, packing: str, wanted: str) -> None:
  """Checks that 360° frames show the whole sphere in the expected projection.

  Raises:
    MediaError: the metadata states something else.
  """
  projection = said.projection
  if projection is None:
    return
  eyes = f", for each of two eyes ({packing})" if packing != MONO else ""
  if projection == spherical_metadata.HALF_EQUIRECTANGULAR or max(said.cut) > _CUT_TOLERANCE:
    left, top, right, bottom = said.cut
    across, up = 360 * max(0.0, 1 - left - right), 180 * max(0.0, 1 - top - bottom)
    if projection == spherical_metadata.HALF_EQUIRECTANGULAR:
      across = 180.0
    part = "half a sphere" if abs(across - 180) < 2 and up > 178 else "part of the sphere"
    raise MediaError(
      f"{part}: the file states that its frames cover {across:.0f}° x {up:.0f}°{eyes}; expected "
      "the whole sphere, 360° x 180°. Exclude the file, or copy one eye into full equirectangular "
      "frames (2:1) that are black elsewhere"
    )
  known = {
    EQUIRECTANGULAR: spherical_metadata.EQUIRECTANGULAR,
    CUBEMAP: spherical_metadata.EQUI_ANGULAR_CUBEMAP,
  }
  # YouTube uses the mesh for its cubemaps; the shape of the frames decides otherwise.
  fits = projection == known[wanted] or (
    wanted == CUBEMAP and projection == spherical_metadata.MESH and packing == MONO
  )
  if not fits:
    raise MediaError(
      f"projection mismatch: the file states {projection!r}{eyes}, but --projection={wanted} was "
      f"requested. {_remedy(projection)}"
    )
  if any(abs((angle + 180) % 360 - 180) > _POSE_TOLERANCE_DEG for angle in said.pose_deg):
    yaw, pitch, roll = said.pose_deg
    raise MediaError(
      f"a pose: the file states that its frames must be rotated by {yaw:g}° (yaw), {pitch:g}° "
      f"(pitch) and {roll:g}° (roll); expected upright frames. Render the video without a pose "
      "first, or remove the pose if it is wrong"
    )


def describe_shape(height: int, width: int) -> str:
  """The likely reason and remedy for 360° frames of the wrong shape, for a message."""
  aspect = width / height
  if abs(aspect - 1) <= _SHAPE_TOLERANCE:
    return (
      "if it shows two eyes, one above the other, pass --stereo_mode=top_bottom, which reads the "
      "left eye; if it is half a sphere or a fisheye frame, convert it first"
    )
  if abs(aspect - 4) <= 4 * _SHAPE_TOLERANCE:
    return (
      "if it shows two eyes side by side, pass --stereo_mode=left_right, which reads the left eye"
    )
  return ""


def _check_eye(
  frame: av.VideoFrame, pixel_aspect: float, eye: Eye, packing: str, projection: str
) -> None:
  height, width = frame.height / eye.rows, frame.width * pixel_aspect / eye.columns
  aspect = _ASPECTS[projection]
  if abs(width / height / aspect - 1) <= _CUT_TOLERANCE:
    return
  raise MediaError(
    f"two eyes ({packing}) of {width:.0f}x{height:.0f} pixels each; expected {aspect:g}:1 for an "
    f"{_NAMES[projection]}. If they show half a sphere (VR180), exclude the file; if they are "
    "squeezed, write the left one, stretched, into a separate file"
  )


def _packing(said: Said, stereo_mode: str) -> str:
  asked = None if stereo_mode == AUTO else stereo_mode.replace("_", "-")
  packing = said.packing or asked or MONO
  if asked not in (None, packing):
    raise MediaError(
      f"stereo mode mismatch: the file states {packing!r}, but --stereo_mode={stereo_mode} was "
      "requested. Omit the flag, or correct the file"
    )
  if packing not in (MONO, TOP_BOTTOM, LEFT_RIGHT):
    raise MediaError(
      f"two eyes: the file states {packing}; expected one eye, or two, one above the other or side "
      "by side. Write only the left eye into a file first"
    )
  return packing


def _is_squeezed(frame: av.VideoFrame, pixel_aspect: float, packing: str) -> bool:
  whole = pixel_aspect * frame.width / frame.height
  one = whole * 2 if packing == TOP_BOTTOM else whole / 2
  return abs(math.log(whole / _USUAL_ASPECT)) < abs(math.log(one / _USUAL_ASPECT))


def _remedy(projection: str) -> str:
  if projection == spherical_metadata.EQUIRECTANGULAR:
    return f"Pass --projection={EQUIRECTANGULAR}"
  if projection == spherical_metadata.EQUI_ANGULAR_CUBEMAP:
    return f"Pass --projection={CUBEMAP}"
  if projection == spherical_metadata.MESH:
    return (
      f"If it is from YouTube, which uses meshes for equi-angular cubemaps, pass "
      f"--projection={CUBEMAP}; otherwise convert it to equirectangular first"
    )
  return "Convert it to equirectangular first"
