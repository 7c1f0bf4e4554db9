"""Reads the metadata of Matroska and WebM video tracks (RFC 9559) without FFmpeg.

FFmpeg exposes only part of it: it drops mesh projections.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Optional

_EBML, _SEGMENT, _CLUSTER, _TRACKS = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B
_TRACK_ENTRY, _TRACK_TYPE, _VIDEO = 0xAE, 0x83, 0xE0
_STEREO_MODE, _PROJECTION = 0x53B8, 0x7670
_PROJECTION_TYPE, _PROJECTION_PRIVATE = 0x7671, 0x7672
_POSE = (0x7673, 0x7674, 0x7675)
_PICTURES = 1
# Tracks are among the first elements of a segment. Damaged files may have any number of elements.
_MAX_ELEMENTS = 10_000
_MAX_TRACKS_BYTES = 1 << 24


@dataclasses.dataclass(frozen=True)
class PictureTrack:
  """The fields of a video track, as stored; None if absent.

  Attributes:
    stereo_mode: element StereoMode.
    projection_type: element ProjectionType.
    private: element ProjectionPrivate.
    pose_deg: yaw, pitch and roll of the projection, in degrees.
  """

  stereo_mode: Optional[int] = None
  projection_type: Optional[int] = None
  private: bytes = b""
  pose_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)


class _Element(NamedTuple):
  id: int
  start: int  # Of its contents.
  end: Optional[int]  # None if unknown: up to the end of the parent.


def picture_tracks(file: BinaryIO) -> list[PictureTrack]:
  """The video tracks in order; empty if the file is damaged or not Matroska.

  Args:
    file: open for reading.
  """
  length = file.seek(0, os.SEEK_END)
  end, found = length, None
  at = 0
  for _ in range(_MAX_ELEMENTS):
    file.seek(at)
    element = _element(file.read(12), at)
    if element is None or (at == 0 and element.id != _EBML) or element.id == _CLUSTER:
      break
    if element.id == _SEGMENT:
      at, end = element.start, min(length, element.end or length)
      continue
    if element.end is None or element.end > end:
      break
    if element.id == _TRACKS and element.end - element.start <= _MAX_TRACKS_BYTES:
      file.seek(element.start)
      found = file.read(element.end - element.start)
      break
    at = element.end
  return [] if found is None else _tracks(found)


def _tracks(data: bytes) -> list[PictureTrack]:
  tracks = []
  for number, entry in _children(data):
    if number == _TRACK_ENTRY:
      fields = dict(_children(entry))
      if _unsigned(fields.get(_TRACK_TYPE, b"")) == _PICTURES:
        tracks.append(_track(dict(_children(fields.get(_VIDEO, b"")))))
  return tracks


def _track(video: dict[int, bytes]) -> PictureTrack:
  projection = dict(_children(video.get(_PROJECTION, b"")))
  kind = None
  if _PROJECTION in video:  # Rectangular if the element is present without a type.
    kind = _unsigned(projection.get(_PROJECTION_TYPE, b""))
  return PictureTrack(
    stereo_mode=_unsigned(video[_STEREO_MODE]) if _STEREO_MODE in video else None,
    projection_type=kind,
    private=projection.get(_PROJECTION_PRIVATE, b""),
    pose_deg=tuple(_float(projection.get(number, b"")) for number in _POSE),
  )


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
  at = 0
  for _ in range(_MAX_ELEMENTS):
    element = _element(data[at : at + 12], at)
    if element is None or element.end is None or element.end > len(data):
      return
    yield element.id, data[element.start : element.end]
    at = element.end


def _element(head: bytes, at: int) -> Optional[_Element]:
  """The element that starts with `head`, at offset `at`; None if it is not valid."""
  if not head or not head[0]:
    return None
  id_length = 9 - head[0].bit_length()
  if id_length > 4 or len(head) <= id_length or not head[id_length]:
    return None
  size_length = 9 - head[id_length].bit_length()
  size_bytes = head[id_length : id_length + size_length]
  if len(size_bytes) < size_length:
    return None
  start = at + id_length + size_length
  unknown = (1 << 7 * size_length) - 1
  size = int.from_bytes(size_bytes, "big") & unknown
  number = int.from_bytes(head[:id_length], "big")
  return _Element(number, start, None if size == unknown else start + size)


def _unsigned(data: bytes) -> int:
  return int.from_bytes(data, "big")


def _float(data: bytes) -> float:
  kinds = {4: ">f", 8: ">d"}
  return struct.unpack(kinds[len(data)], data)[0] if len(data) in kinds else 0.0
