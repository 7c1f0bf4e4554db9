"""Boxes of MP4 and QuickTime files: reading the movie box, and replacing it.

A file is a sequence of boxes: a size, a four-letter type, and contents, which may be nested boxes
(ISO/IEC 14496-12). The movie box, `moov`, describes the tracks and contains the file offsets of
their samples. These offsets must be corrected when the box grows or moves. The samples themselves,
in `mdat`, are copied block by block and never held in memory.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Optional, Union

from avssl_tf.errors import UserError

# Boxes that contain only boxes.
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"sv3d", b"proj"})
# Number of bytes before nested boxes: version, flags and number of entries; fields of a visual
# sample entry; fields of an audio sample entry, which has more in QuickTime's versions 1 and 2.
_STSD_FIELDS = 8
_PICTURE_FIELDS = 78
_SOUND_FIELDS = {0: 28, 1: 44, 2: 64}
_LARGEST_U32 = 2**32 - 1
_COPY_BYTES = 1 << 20
# Damaged or malicious files may have a box every 8 bytes, or endlessly nested boxes. A day of
# half-second fragments has 350,000 boxes.
_MAX_BOXES = 1_000_000
_MAX_DEPTH = 16
# The tables in the movie box of a day of video and audio take about 50 MB.
_MAX_MOVIE_BYTES = 1 << 28


class BoxError(UserError):
  """A file is not an MP4, or cannot be changed; the message states the reason."""


@dataclasses.dataclass
class Box:
  """A mutable box.

  Attributes:
    type: four-letter type.
    fields: contents, up to the nested boxes if there are any.
    boxes: nested boxes.
  """

  type: bytes
  fields: bytes = b""
  boxes: list["Box"] = dataclasses.field(default_factory=list)

  @property
  def size(self) -> int:
    """Size in bytes, including the header."""
    return 8 + len(self.fields) + sum(box.size for box in self.boxes)

  def to_bytes(self) -> bytes:
    """The serialised box."""
    inside = b"".join(box.to_bytes() for box in self.boxes)
    return struct.pack(">I4s", self.size, self.type) + self.fields + inside

  def find_all(self, *path: bytes) -> Iterator["Box"]:
    """All nested boxes at a path of types, such as `b"mdia", b"hdlr"`."""
    for box in self.boxes:
      if box.type == path[0]:
        if len(path) == 1:
          yield box
        else:
          yield from box.find_all(*path[1:])

  def find(self, *path: bytes) -> Optional["Box"]:
    """The first nested box at a path of types; None if there is none."""
    return next(self.find_all(*path), None)

  def tracks(self, handler: bytes) -> list["Box"]:
    """Tracks of a `moov` with a handler: `vide` for video, `soun` for audio."""
    return [track for track in self.find_all(b"trak") if _handler(track) == handler]

  @property
  def track_id(self) -> int:
    """Track id of a `trak`; 0 if it has none."""
    header = self.find(b"tkhd")
    if header is None or len(header.fields) < 24:
      return 0
    place = 20 if header.fields[0] == 1 else 12
    return int.from_bytes(header.fields[place : place + 4], "big")

  def sample_entries(self) -> Sequence["Box"]:
    """Sample entries of a `trak`. Their types name the codecs."""
    description = self.find(b"mdia", b"minf", b"stbl", b"stsd")
    return [] if description is None else description.boxes


def read_movie(file: BinaryIO) -> Box:
  """Reads the movie box of a file that is open for reading.

  Raises:
    BoxError: the file has no movie box, or is damaged.
  """
  movies = [extent for extent in _extents(file) if extent.type == b"moov"]
  if len(movies) != 1:
    raise BoxError(f"not an MP4: it has {len(movies)} 'moov' boxes; expected 1")
  size = movies[0].end - movies[0].start
  if size > _MAX_MOVIE_BYTES:
    raise BoxError(f"a 'moov' box of {size} bytes; expected at most {_MAX_MOVIE_BYTES}")
  file.seek(movies[0].start + movies[0].header)
  movie = Box(b"moov", boxes=_parse(file.read(movies[0].end - file.tell())))
  for track in movie.find_all(b"trak"):
    description = track.find(b"mdia", b"minf", b"stbl", b"stsd")
    if description is not None:
      entries = _parse(description.fields[_STSD_FIELDS:])
      description.fields = description.fields[:_STSD_FIELDS]
      description.boxes = [_with_boxes(entry, _handler(track)) for entry in entries]
  return movie


def parse_boxes(contents: bytes) -> list[Box]:
  """Parses the boxes nested in the contents of a box.

  Raises:
    BoxError: they are damaged.
  """
  return _parse(contents)


def replace_movie(source: BinaryIO, target: BinaryIO, movie: Box) -> None:
  """Copies a file with a new movie box, placed before the samples.

  Players can start such a file before they have received all of it.

  Args:
    source: file to copy, open for reading.
    target: file to write to.
    movie: result of `read_movie` for `source`, with boxes added or removed. Its sample offsets are
      corrected in place.

  Raises:
    BoxError: the source is not an MP4, or is fragmented.
  """
  extents = _extents(source)
  if any(extent.type == b"moof" for extent in extents):
    raise BoxError("the file is fragmented: 'moov' does not contain the offsets of its samples")
  # QuickTime files may begin with samples.
  first = next((i for i, extent in enumerate(extents) if extent.type == b"mdat"), len(extents))
  before = [extent for extent in extents[:first] if extent.type != b"moov"]
  after = [extent for extent in extents[first:] if extent.type != b"moov"]
  _move_samples(movie, before, after)
  for extent in before:
    _copy(source, target, extent)
  target.write(movie.to_bytes())
  for extent in after:
    _copy(source, target, extent)


class _Extent(NamedTuple):
  """Extent of a top-level box in the file; `header` is the size of its header."""

  type: bytes
  start: int
  end: int
  header: int


def _extents(file: BinaryIO) -> list[_Extent]:
  length = file.seek(0, os.SEEK_END)
  extents, at = [], 0
  while at < length:
    file.seek(at)
    size, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
    header = 8
    if size == 1:  # A 64-bit size follows.
      size, header = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0], 16
    elif size == 0:  # Up to the end of the file.
      size = length - at
    if size < header or at + size > length:
      raise BoxError(f"not an MP4, or damaged: a box of {size} bytes at {at} of {length}")
    extents.append(_Extent(kind, at, at + size, header))
    if len(extents) > _MAX_BOXES:
      raise BoxError(f"damaged: more than {_MAX_BOXES} boxes")
    at += size
  return extents


def _parse(
  contents: Union[bytes, memoryview], depth: int = 0, left: Optional[Iterator[int]] = None
) -> list[Box]:
  """Parses boxes recursively; `left` limits their total number."""
  if depth > _MAX_DEPTH:
    raise BoxError(f"damaged: boxes nested more than {_MAX_DEPTH} levels deep")
  left = iter(range(_MAX_BOXES)) if left is None else left
  contents = memoryview(contents)  # Slices are not copied, except for the innermost contents.
  boxes, at = [], 0
  while len(contents) - at >= 8:  # QuickTime ends some lists with four zeros.
    size, kind = struct.unpack_from(">I4s", contents, at)
    if not 8 <= size <= len(contents) - at:
      raise BoxError(f"damaged: a box of {size} bytes where {len(contents) - at} are left")
    if next(left, None) is None:
      raise BoxError(f"damaged: more than {_MAX_BOXES} boxes")
    inside = contents[at + 8 : at + size]
    if kind in _CONTAINERS:
      boxes.append(Box(kind, boxes=_parse(inside, depth + 1, left)))
    else:
      boxes.append(Box(kind, bytes(inside)))
    at += size
  return boxes


def _handler(track: Box) -> bytes:
  handler = track.find(b"mdia", b"hdlr")
  return b"" if handler is None else handler.fields[8:12]


def _with_boxes(entry: Box, handler: bytes) -> Box:
  """The sample entry with its nested boxes parsed."""
  if handler == b"vide":
    length = _PICTURE_FIELDS
  elif handler == b"soun":
    length = _SOUND_FIELDS.get(int.from_bytes(entry.fields[8:10], "big"), len(entry.fields))
  else:
    return entry
  return Box(entry.type, entry.fields[:length], _parse(entry.fields[length:]))


def _move_samples(movie: Box, before: Sequence[_Extent], after: Sequence[_Extent]) -> None:
  """Corrects the sample offsets for a file made of `before`, the movie box and `after`."""
  tables = [
    table
    for kind in (b"stco", b"co64")
    for table in movie.find_all(b"trak", b"mdia", b"minf", b"stbl", kind)
  ]
  places = [_chunk_places(table) for table in tables]
  for kind in ("I", "Q"):  # 32-bit offsets or, if they overflow, 64-bit ones.
    for table, old in zip(tables, places):
      _set_chunk_places(table, old, kind)
    moves = _moves(before, movie.size, after)
    moved = [[_moved(place, moves) for place in old] for old in places]
    if kind == "Q" or max(map(max, filter(None, moved)), default=0) <= _LARGEST_U32:
      break
  for table, new in zip(tables, moved):
    _set_chunk_places(table, new, kind)


def _moves(
  before: Sequence[_Extent], movie_size: int, after: Sequence[_Extent]
) -> list[tuple[_Extent, int]]:
  """Top-level boxes, each with the number of bytes by which it moves."""
  moves, at = [], 0
  for extents, size in ((before, movie_size), (after, 0)):
    for extent in extents:
      moves.append((extent, at - extent.start))
      at += extent.end - extent.start
    at += size
  return moves


def _moved(place: int, moves: Sequence[tuple[_Extent, int]]) -> int:
  for extent, distance in moves:
    # A chunk without samples may be at the end.
    if extent.type == b"mdat" and extent.start <= place <= extent.end:
      return place + distance
  raise BoxError(f"damaged: a sample offset {place} outside of all 'mdat' boxes")


def _chunk_places(table: Box) -> list[int]:
  count = int.from_bytes(table.fields[4:8], "big")
  kind = "I" if table.type == b"stco" else "Q"
  try:
    return list(struct.unpack_from(f">{count}{kind}", table.fields, 8))
  except struct.error as error:
    raise BoxError(f"damaged: fewer sample offsets than the stated {count}") from error


def _set_chunk_places(table: Box, places: Sequence[int], kind: str) -> None:
  table.type = {"I": b"stco", "Q": b"co64"}[kind]
  if kind == "I":  # If they overflow, only their number matters; see `_move_samples`.
    places = [min(place, _LARGEST_U32) for place in places]
  table.fields = bytes(4) + struct.pack(f">I{len(places)}{kind}", len(places), *places)


def _copy(file: BinaryIO, copy: BinaryIO, extent: _Extent) -> None:
  file.seek(extent.start)
  left = extent.end - extent.start
  header = file.read(extent.header)
  if header[:4] == bytes(4):  # "Up to the end" would be wrong if another box follows.
    if left > _LARGEST_U32:
      raise BoxError("a box of more than 4 GiB does not state its size")
    header = struct.pack(">I", left) + header[4:]
  copy.write(header)
  left -= extent.header
  while left:
    block = file.read(min(left, _COPY_BYTES))
    if not block:
      raise BoxError("the file was truncated while it was read")
    copy.write(block)
    left -= len(block)
