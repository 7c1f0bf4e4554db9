"""Which part of a stored picture is read, by what its file says: all of it, or its left eye.

One rule for all who read pictures. Of two eyes above each other or side by side the left one is
taken, and reported; any other way of showing two is refused. Of 360° pictures the whole sphere is
taken, in the projection that the caller reads; what the file says otherwise is refused.
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
_NAMES = {EQUIRECTANGULAR: "equirectangular picture", CUBEMAP: "equi-angular cubemap"}
# What --stereo_mode may say where a file says nothing; AUTO: what the file says.
AUTO = "auto"
STEREO_MODES = (AUTO, MONO, *(name.replace("-", "_") for name in (TOP_BOTTOM, LEFT_RIGHT)))
# Parts of the sphere that may be missing on a side: pictures of 1920 x 968 are whole ones.
_CUT_TOLERANCE = 0.02
_POSE_TOLERANCE_DEG = 0.5
# Films with two eyes may have each of them squeezed to half: most are of about this shape.
_USUAL_ASPECT = 16 / 9
_SHAPE_TOLERANCE = 0.05


class Eye(NamedTuple):
  """One of `rows` times `columns` equal parts of a stored picture."""

  rows: int = 1
  columns: int = 1
  row: int = 0
  column: int = 0


WHOLE = Eye()


@dataclasses.dataclass(frozen=True)
class Wanted:
  """What the caller takes the pictures of a file for.

  Attributes:
    projection: one of `PROJECTIONS`; None for ordinary pictures.
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
  """How to read the pictures of a file.

  Attributes:
    eye: the part that is read.
    packing: of the file, such as `spherical_metadata.MONO`.
    right_first: whether its right eye is above, or on the left.
    squeezed: whether an eye has the shape of the whole picture once it is shown.
    notes: what the user should know.
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
  """How to read the pictures of a file.

  Args:
    path: the file.
    video: its track of pictures.
    first: a decoded picture of it.
    wanted: what the caller takes them for.

  Raises:
    MediaError: they cannot be read so; the message says what the file says of them.
  """
  said = spherical_metadata.of_pictures(path, video, first)
  packing = _packing(said, wanted.stereo_mode)
  notes = []
  if wanted.projection is not None:
    check_projection(said, packing, wanted.projection)
  elif said.projection is not None:
    notes.append(
      f"the file says that its pictures are 360° video ({said.projection}): they are read as "
      "ordinary ones"
    )
  if packing == MONO:
    return View(notes=tuple(notes))
  right_first = said.right_first if said.packing == packing else False
  eye = (
    Eye(rows=2, row=int(right_first)) if packing == TOP_BOTTOM
    else Eye(columns=2, column=int(right_first))
  )  # fmt: skip
  who = "the file says" if said.packing == packing else f"--stereo_mode={wanted.stereo_mode} says"
  notes.insert(0, f"{who} that its pictures show two eyes ({packing}): the left eye is taken")
  pixel_aspect = float(video.sample_aspect_ratio or 1) or 1.0
  if wanted.projection is not None:
    _check_eye(first, pixel_aspect, eye, packing, wanted.projection)
  flat = wanted.projection is None and said.projection is None
  squeezed = flat and _is_squeezed(first, pixel_aspect, packing)
  return View(eye, packing, right_first, squeezed, tuple(notes))


def check_projection(said: Said, packing: str, wanted: str) -> None:
  """Makes sure that 360° pictures are whole spheres in the projection that is wanted.

  Raises:
    MediaError: the file says something else.
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
    part = "half a sphere" if abs(across - 180) < 2 and up > 178 else "a part of the sphere"
    raise MediaError(
      f"{part}: the file says that its pictures show {across:.0f}° x {up:.0f}°{eyes}, expected all "
      "directions, 360° x 180°. Leave it out, or write one eye of it into a whole equirectangular "
      "picture (2:1), which stays black elsewhere"
    )
  known = {
    EQUIRECTANGULAR: spherical_metadata.EQUIRECTANGULAR,
    CUBEMAP: spherical_metadata.EQUI_ANGULAR_CUBEMAP,
  }
  # The mesh of YouTube is that of its cubemaps; the shape of the picture tells the rest.
  fits = projection == known[wanted] or (
    wanted == CUBEMAP and projection == spherical_metadata.MESH and packing == MONO
  )
  if not fits:
    raise MediaError(
      f"another projection: the file says {projection!r}{eyes}, and --projection={wanted} "
      f"something else. {_remedy(projection)}"
    )
  if any(abs((angle + 180) % 360 - 180) > _POSE_TOLERANCE_DEG for angle in said.pose_deg):
    yaw, pitch, roll = said.pose_deg
    raise MediaError(
      f"a pose: the file says that its pictures are to be turned by {yaw:g}° (yaw), {pitch:g}° "
      f"(pitch) and {roll:g}° (roll), expected upright ones. Render it without a pose first, or "
      "remove the pose if it is wrong"
    )


def describe_shape(height: int, width: int) -> str:
  """What 360° pictures of a wrong shape may be, and the cure, for a message."""
  aspect = width / height
  if abs(aspect - 1) <= _SHAPE_TOLERANCE:
    return (
      "if it shows two eyes, one above the other, pass --stereo_mode=top_bottom, which takes the "
      "left eye; if it is half a sphere or a fisheye picture, convert it first"
    )
  if abs(aspect - 4) <= 4 * _SHAPE_TOLERANCE:
    return (
      "if it shows two eyes side by side, pass --stereo_mode=left_right, which takes the left eye"
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
    f"two eyes ({packing}) of {width:.0f}x{height:.0f} pixels each; expected {aspect:g}:1, as an "
    f"{_NAMES[projection]} is. If they show half a sphere (VR180), leave the file out; if they are "
    "squeezed, write the left one stretched into a file of its own"
  )


def _packing(said: Said, stereo_mode: str) -> str:
  asked = None if stereo_mode == AUTO else stereo_mode.replace("_", "-")
  packing = said.packing or asked or MONO
  if asked not in (None, packing):
    raise MediaError(
      f"another stereo mode: the file says {packing!r}, and --stereo_mode={stereo_mode} something "
      "else. Leave the flag out, or correct the file"
    )
  if packing not in (MONO, TOP_BOTTOM, LEFT_RIGHT):
    raise MediaError(
      f"two eyes: the file says that its pictures are {packing}; expected one eye, or two above "
      "each other or side by side. Write the left eye alone into a file first"
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
      "If it is from YouTube, whose meshes are equi-angular cubemaps, pass "
      f"--projection={CUBEMAP}; convert others to equirectangular first"
    )
  return "Convert it to equirectangular first"
