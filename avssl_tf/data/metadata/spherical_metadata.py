"""Metadata of a file about its frames: stereo packing and projection.

Sources are boxes of MP4 and QuickTime (`st3d` and `sv3d` of Google's "Spherical Video V2 RFC", its
version 1 as XML, and Apple's `vexu`) and elements of Matroska and WebM. Without metadata in the
container, FFmpeg's side data of the frames is used (frame packing of H.264 and HEVC).
"""

import dataclasses
import functools
import os
import re
import struct
import uuid
from typing import Optional

import av

from avssl_tf.data.metadata import isobmff, matroska
from avssl_tf.data.metadata.isobmff import Box, BoxError

SPHERICAL_UUID = uuid.UUID("ffcc8263-f855-4a93-8814-587a02521fdd").bytes

# Packings of one or two eyes.
MONO, TOP_BOTTOM, LEFT_RIGHT = "mono", "top-bottom", "left-right"
CUSTOM = "a custom or unknown stereo packing"
ALTERNATING = "alternating frames of two eyes"
CHECKERBOARD = "a checkerboard of two eyes"
ROWS = "interleaved rows of two eyes"
COLUMNS = "interleaved columns of two eyes"
ANAGLYPH = "an anaglyph, with two eyes encoded in colours"
QUINCUNX = "two eyes side by side with quincunx sampling"
# Projections.
EQUIRECTANGULAR = "equirectangular"
HALF_EQUIRECTANGULAR = "half equirectangular"
EQUI_ANGULAR_CUBEMAP = "equi-angular cubemap"
STANDARD_CUBEMAP = "cubemap"
MESH = "mesh"
FISHEYE = "fisheye"
OTHER = "unknown"

# By value in `st3d`; 4, right to left, is in later drafts.
_ST3D = {0: (MONO, False), 1: (TOP_BOTTOM, False), 2: (LEFT_RIGHT, False), 4: (LEFT_RIGHT, True)}
# By value of StereoMode in Matroska: packing, and whether the right eye comes first.
_STEREO_MODE = {
  0: (MONO, False), 1: (LEFT_RIGHT, False), 2: (TOP_BOTTOM, True), 3: (TOP_BOTTOM, False),
  4: (CHECKERBOARD, True), 5: (CHECKERBOARD, False), 6: (ROWS, True), 7: (ROWS, False),
  8: (COLUMNS, True), 9: (COLUMNS, False), 10: (ANAGLYPH, False), 11: (LEFT_RIGHT, True),
  12: (ANAGLYPH, False), 13: (ALTERNATING, False), 14: (ALTERNATING, True),
}  # fmt: skip
# By value of AVStereo3DType in FFmpeg (libavutil/stereo3d.h).
_STEREO3D = (
  MONO, LEFT_RIGHT, TOP_BOTTOM, ALTERNATING, CHECKERBOARD, QUINCUNX, ROWS, COLUMNS, CUSTOM,
)  # fmt: skip
_SINGLE_EYES = (1, 2)  # Of AVStereo3DView.
# By value in libavutil/spherical.h, and by value of ProjectionType in Matroska.
_SPHERICAL = (
  EQUIRECTANGULAR, STANDARD_CUBEMAP, EQUIRECTANGULAR, HALF_EQUIRECTANGULAR, None, FISHEYE, OTHER,
)  # fmt: skip
_PROJECTION_TYPE = (None, EQUIRECTANGULAR, STANDARD_CUBEMAP, MESH)
_PRJI = {
  b"rect": None, b"equi": EQUIRECTANGULAR, b"hequ": HALF_EQUIRECTANGULAR, b"fish": FISHEYE,
}  # fmt: skip
_PKIN = {b"side": LEFT_RIGHT, b"over": TOP_BOTTOM}
_XML_STEREO = {"mono": MONO, "left-right": LEFT_RIGHT, "top-bottom": TOP_BOTTOM}


@dataclasses.dataclass(frozen=True)
class Said:
  """Metadata about the frames of a file.

  Attributes:
    packing: stereo packing, such as `MONO`; None if not stated.
    right_first: whether the right eye is on top or on the left.
    projection: projection, such as `EQUIRECTANGULAR`; None for flat frames, or if not stated.
    cut: shares of the sphere that are missing from an equirectangular frame at the left, top, right
      and bottom.
    pose_deg: yaw, pitch and roll by which the frames are to be rotated, in degrees.
  """

  packing: Optional[str] = None
  right_first: bool = False
  projection: Optional[str] = None
  cut: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
  pose_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)

  def or_else(self, other: "Said") -> "Said":
    """Returns this metadata, with missing values from `other`."""
    said = self
    if said.packing is None:
      said = dataclasses.replace(said, packing=other.packing, right_first=other.right_first)
    if said.projection is None:
      said = dataclasses.replace(
        said, projection=other.projection, cut=other.cut, pose_deg=other.pose_deg
      )
    return said


def of_pictures(path: str, video: av.VideoStream, first: av.VideoFrame) -> Said:
  """Reads the metadata of a file about its frames.

  Args:
    path: the file.
    video: the video track.
    first: a decoded frame of the track.
  """
  kind = video.container.format.name
  said = Said()
  if "mp4" in kind:
    said = _all_of_mp4(path, *_state(path)).get(video.id, said)
  elif "matroska" in kind:
    tracks = _all_of_matroska(path, *_state(path))
    number = [stream.index for stream in video.container.streams.video].index(video.index)
    said = tracks[number] if number < len(tracks) else said
    for metadata in (video.metadata, video.container.metadata):
      xml = {key.upper(): value for key, value in metadata.items()}.get("SPHERICAL-VIDEO")
      said = said.or_else(of_xml(xml)) if xml else said
  return said.or_else(_of_frame(first))


def of_xml(xml: str) -> Said:
  """Parses the XML of version 1; the initial view is ignored."""
  fields = dict(re.findall(r"<GSpherical:(\w+)>\s*([^<]*?)\s*</GSpherical:", xml))
  packing = fields.get("StereoMode")
  packing = None if packing is None else _XML_STEREO.get(packing.lower(), CUSTOM)
  if fields.get("Spherical", "").lower() not in ("true", "1"):
    return Said(packing)
  named = fields.get("ProjectionType", "equirectangular").lower()
  if named != "equirectangular":
    return Said(packing, projection={"cubemap": STANDARD_CUBEMAP, "mesh": MESH}.get(named, OTHER))
  return Said(packing, projection=EQUIRECTANGULAR, cut=_cut_of_xml(fields))


def _cut_of_xml(fields: dict[str, str]) -> tuple[float, float, float, float]:
  def pixels(name: str, default: float) -> float:
    value = fields.get(name, "")
    return float(value) if value.isdigit() else default

  cut = []
  for side, before in (("Width", "Left"), ("Height", "Top")):
    full = pixels(f"FullPano{side}Pixels", 0)
    if full <= 0:
      return (0.0, 0.0, 0.0, 0.0)
    first = pixels(f"CroppedArea{before}Pixels", 0)
    shown = pixels(f"CroppedAreaImage{side}Pixels", full)
    cut.append((first / full, max(0.0, full - first - shown) / full))
  (left, right), (top, bottom) = cut
  return (left, top, right, bottom)


def _state(path: str) -> tuple[int, int]:
  """Size and modification time, which change when the file changes."""
  status = os.stat(path)
  return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=64)
def _all_of_mp4(path: str, size: int, mtime_ns: int) -> dict[int, Said]:
  """Metadata of each video track, by track id."""
  del size, mtime_ns  # Cache key: they change when the file changes.
  try:
    with open(path, "rb") as file:
      movie = isobmff.read_movie(file)
    return {track.track_id: _of_track(track) for track in movie.tracks(b"vide")}
  except BoxError:
    return {}  # FFmpeg may still read the file.


def _of_track(track: Box) -> Said:
  said = Said()
  for entry in track.sample_entries()[:1]:
    said = _of_st3d(entry.find(b"st3d"), _of_sv3d(entry.find(b"sv3d")))
    said = said.or_else(_of_vexu(entry.find(b"vexu")))
  for box in track.find_all(b"uuid"):
    if box.fields.startswith(SPHERICAL_UUID):
      said = said.or_else(of_xml(box.fields[16:].decode("utf-8", "replace")))
  return said


def _of_st3d(box: Optional[Box], said: Said) -> Said:
  if box is None or len(box.fields) < 5:
    return said
  packing, right_first = _ST3D.get(box.fields[4], (CUSTOM, False))
  return dataclasses.replace(said, packing=packing, right_first=right_first)


def _of_sv3d(box: Optional[Box]) -> Said:
  if box is None:
    return Said()
  pose = (0.0, 0.0, 0.0)
  header = box.find(b"proj", b"prhd")
  if header is not None and len(header.fields) >= 16:
    pose = tuple(number / 65536 for number in struct.unpack_from(">3i", header.fields, 4))
  projection, cut = OTHER, (0.0, 0.0, 0.0, 0.0)
  for inside in box.find_all(b"proj"):
    for kind in inside.boxes:
      if kind.type == b"equi":
        projection, cut = EQUIRECTANGULAR, _cut_of_bounds(kind.fields[4:])
      elif kind.type == b"cbmp":
        projection = STANDARD_CUBEMAP
      elif kind.type == b"ytmp":
        projection = EQUI_ANGULAR_CUBEMAP
      elif kind.type == b"mshp":
        projection = MESH
  return Said(projection=projection, cut=cut, pose_deg=pose)


def _of_vexu(box: Optional[Box]) -> Said:
  """Parses Apple's boxes: `pack` with the stereo packing, `proj` with the projection."""
  if box is None:
    return Said()
  packing = projection = None
  for outer in isobmff.parse_boxes(box.fields):
    for inner in isobmff.parse_boxes(outer.fields) or outer.boxes:
      if inner.type == b"prji":
        projection = _PRJI.get(inner.fields[4:8], OTHER)
      elif inner.type == b"pkin":
        packing = _PKIN.get(inner.fields[4:8], CUSTOM)
  return Said(packing, projection=projection)


def _cut_of_bounds(fields: bytes) -> tuple[float, float, float, float]:
  """Converts bounds of MP4 and Matroska: top, bottom, left and right, as shares of 2**32."""
  if len(fields) < 16:
    return (0.0, 0.0, 0.0, 0.0)
  top, bottom, left, right = (n / 2**32 for n in struct.unpack_from(">4I", fields))
  return (left, top, right, bottom)


@functools.lru_cache(maxsize=64)
def _all_of_matroska(path: str, size: int, mtime_ns: int) -> list[Said]:
  del size, mtime_ns
  with open(path, "rb") as file:
    tracks = matroska.picture_tracks(file)
  return [_of_matroska(track) for track in tracks]


def _of_matroska(track: matroska.PictureTrack) -> Said:
  packing, right_first = None, False
  if track.stereo_mode is not None:
    packing, right_first = _STEREO_MODE.get(track.stereo_mode, (CUSTOM, False))
  kind = track.projection_type
  if kind is None:
    return Said(packing, right_first)
  projection = _PROJECTION_TYPE[kind] if kind < len(_PROJECTION_TYPE) else OTHER
  cut = (0.0, 0.0, 0.0, 0.0)
  if projection == EQUIRECTANGULAR:
    cut = _cut_of_bounds(track.private[4:])
  if projection == MESH and b"ytmp" in track.private[:16]:
    projection = EQUI_ANGULAR_CUBEMAP
  pose = track.pose_deg if projection is not None else (0.0, 0.0, 0.0)
  return Said(packing, right_first, projection, cut, pose)


def _of_frame(frame: av.VideoFrame) -> Said:
  packing, right_first = None, False
  stereo = frame.side_data.get("STEREO3D")
  if stereo is not None:
    kind, flags, view = struct.unpack_from("<3i", bytes(stereo))
    packing = _STEREO3D[kind] if 0 <= kind < len(_STEREO3D) else CUSTOM
    if packing == CUSTOM and view in _SINGLE_EYES:  # Decoded from a stream with one layer per eye.

      packing = MONO
    right_first = bool(flags & 1)
  spherical = frame.side_data.get("SPHERICAL")
  if spherical is None:
    return Said(packing, right_first)
  kind, *pose = struct.unpack_from("<4i", bytes(spherical))
  bounds = struct.unpack_from("<4I", bytes(spherical), 16)
  projection = _SPHERICAL[kind] if 0 <= kind < len(_SPHERICAL) else OTHER
  cut = tuple(n / 2**32 for n in bounds) if projection == EQUIRECTANGULAR else (0.0,) * 4
  return Said(packing, right_first, projection, cut, tuple(n / 65536 for n in pose))
