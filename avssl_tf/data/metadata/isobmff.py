"""Boxes of MP4 and QuickTime files: reading the movie box, and writing a file with another one.

A file is a sequence of boxes: a size, a type of four letters, and contents, which may be boxes
again (ISO/IEC 14496-12). The movie box, `moov`, describes the tracks and says where in the file
their samples lie, so that these places have to be put right when it grows or moves. The samples
themselves, in `mdat`, are copied block by block and never held.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Optional, Union

from avssl_tf.errors import UserError

# Boxes that hold nothing but boxes.
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"sv3d", b"proj"})
# What comes before the boxes inside: version, flags and number of entries; fields that describe
# pictures; those that describe sound, which are longer in QuickTime's versions 1 and 2.
_STSD_FIELDS = 8
_PICTURE_FIELDS = 78
_SOUND_FIELDS = {0: 28, 1: 44, 2: 64}
_LARGEST_U32 = 2**32 - 1
_COPY_BYTES = 1 << 20
# Damaged or made-up files may have a box every 8 bytes, or boxes in boxes without end. A day of
# fragments of half a second has 350,000 boxes.
_MAX_BOXES = 1_000_000
_MAX_DEPTH = 16
# A day of pictures and sound has about 50 MB of tables in its movie box.
_MAX_MOVIE_BYTES = 1 << 28


class BoxError(UserError):
  """A file is no MP4, or not one that can be changed; the message says why."""


@dataclasses.dataclass
class Box:
  """A box, to be changed in place.

  Attributes:
    type: its four letters.
    fields: its contents, or those before the boxes inside.
    boxes: the boxes inside.
  """

  type: bytes
  fields: bytes = b""
  boxes: list["Box"] = dataclasses.field(default_factory=list)

  @property
  def size(self) -> int:
    """Bytes, with the header."""
    return 8 + len(self.fields) + sum(box.size for box in self.boxes)

  def to_bytes(self) -> bytes:
    """The box as it stands in a file."""
    inside = b"".join(box.to_bytes() for box in self.boxes)
    return struct.pack(">I4s", self.size, self.type) + self.fields + inside

  def find_all(self, *path: bytes) -> Iterator["Box"]:
    """All boxes at a path of types, such as `b"mdia", b"hdlr"`."""
    for box in self.boxes:
      if box.type == path[0]:
        if len(path) == 1:
          yield box
        else:
          yield from box.find_all(*path[1:])

  def find(self, *path: bytes) -> Optional["Box"]:
    """The first of them; None where there is none."""
    return next(self.find_all(*path), None)

  def tracks(self, handler: bytes) -> list["Box"]:
    """Of a `moov`: the tracks of a kind, `vide` for pictures, `soun` for sound."""
    return [track for track in self.find_all(b"trak") if _handler(track) == handler]

  @property
  def track_id(self) -> int:
    """Of a `trak`: its number; 0 where it has none."""
    header = self.find(b"tkhd")
    if header is None or len(header.fields) < 24:
      return 0
    place = 20 if header.fields[0] == 1 else 12
    return int.from_bytes(header.fields[place : place + 4], "big")

  def sample_entries(self) -> Sequence["Box"]:
    """Of a `trak`: the descriptions of its samples, called by their codecs."""
    description = self.find(b"mdia", b"minf", b"stbl", b"stsd")
    return [] if description is None else description.boxes


def read_movie(file: BinaryIO) -> Box:
  """The movie box of a file that is open for reading.

  Raises:
    BoxError: the file has none, or is damaged.
  """
  movies = [extent for extent in _extents(file) if extent.type == b"moov"]
  if len(movies) != 1:
    raise BoxError(f"no MP4: it has {len(movies)} boxes 'moov', expected 1")
  size = movies[0].end - movies[0].start
  if size > _MAX_MOVIE_BYTES:
    raise BoxError(f"a box 'moov' of {size} bytes; expected at most {_MAX_MOVIE_BYTES}")
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
  """The boxes in the contents of a box.

  Raises:
    BoxError: they are damaged.
  """
  return _parse(contents)


def replace_movie(source: BinaryIO, target: BinaryIO, movie: Box) -> None:
  """Copies a file with another movie box, which comes before the samples.

  Players can begin before they have all of such a file.

  Args:
    source: file to copy, open for reading.
    target: file to write to.
    movie: what `read_movie` gave for `source`, with more or fewer boxes in it. The places of the
      samples in it are put right.

  Raises:
    BoxError: the source is no MP4, or is in fragments.
  """
  extents = _extents(source)
  if any(extent.type == b"moof" for extent in extents):
    raise BoxError("the file is in fragments, whose samples have no places in 'moov'")
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
  """Where a box of the file itself lies; `header` is the size of its header."""

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
    if size == 1:  # A larger one follows.
      size, header = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0], 16
    elif size == 0:  # Up to the end.
      size = length - at
    if size < header or at + size > length:
      raise BoxError(f"no MP4, or damaged: a box of {size} bytes at {at} of {length}")
    extents.append(_Extent(kind, at, at + size, header))
    if len(extents) > _MAX_BOXES:
      raise BoxError(f"damaged: more than {_MAX_BOXES} boxes")
    at += size
  return extents


def _parse(
  contents: Union[bytes, memoryview], depth: int = 0, left: Optional[Iterator[int]] = None
) -> list[Box]:
  """The boxes in some contents; `left` counts down how many there may be in all."""
  if depth > _MAX_DEPTH:
    raise BoxError(f"damaged: boxes in boxes, more than {_MAX_DEPTH} levels deep")
  left = iter(range(_MAX_BOXES)) if left is None else left
  contents = memoryview(contents)  # Of parts of it, no copies are made but the last one.
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
  """A description of samples with the boxes inside taken apart."""
  if handler == b"vide":
    length = _PICTURE_FIELDS
  elif handler == b"soun":
    length = _SOUND_FIELDS.get(int.from_bytes(entry.fields[8:10], "big"), len(entry.fields))
  else:
    return entry
  return Box(entry.type, entry.fields[:length], _parse(entry.fields[length:]))


def _move_samples(movie: Box, before: Sequence[_Extent], after: Sequence[_Extent]) -> None:
  """Puts the places of samples right for a file of `before`, the movie box and `after`."""
  tables = [
    table
    for kind in (b"stco", b"co64")
    for table in movie.find_all(b"trak", b"mdia", b"minf", b"stbl", kind)
  ]
  places = [_chunk_places(table) for table in tables]
  for kind in ("I", "Q"):  # Four bytes a place or, where they do not do, eight.
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
  """Boxes of the file, each with the number of bytes that it moves by."""
  moves, at = [], 0
  for extents, size in ((before, movie_size), (after, 0)):
    for extent in extents:
      moves.append((extent, at - extent.start))
      at += extent.end - extent.start
    at += size
  return moves


def _moved(place: int, moves: Sequence[tuple[_Extent, int]]) -> int:
  for extent, distance in moves:
    # A chunk of no samples may lie at the end.
    if extent.type == b"mdat" and extent.start <= place <= extent.end:
      return place + distance
  raise BoxError(f"damaged: samples are said to be at {place}, where there is no box 'mdat'")


def _chunk_places(table: Box) -> list[int]:
  count = int.from_bytes(table.fields[4:8], "big")
  kind = "I" if table.type == b"stco" else "Q"
  try:
    return list(struct.unpack_from(f">{count}{kind}", table.fields, 8))
  except struct.error as error:
    raise BoxError(f"damaged: fewer places of samples than the {count} announced") from error


def _set_chunk_places(table: Box, places: Sequence[int], kind: str) -> None:
  table.type = {"I": b"stco", "Q": b"co64"}[kind]
  if kind == "I":  # Only their number counts where they do not fit; see `_move_samples`.
    places = [min(place, _LARGEST_U32) for place in places]
  table.fields = bytes(4) + struct.pack(f">I{len(places)}{kind}", len(places), *places)


def _copy(file: BinaryIO, copy: BinaryIO, extent: _Extent) -> None:
  file.seek(extent.start)
  left = extent.end - extent.start
  header = file.read(extent.header)
  if header[:4] == bytes(4):  # "Up to the end" is so no longer where another box follows.
    if left > _LARGEST_U32:
      raise BoxError("a box of more than 4 GiB has no size of its own")
    header = struct.pack(">I", left) + header[4:]
  copy.write(header)
  left -= extent.header
  while left:
    block = file.read(min(left, _COPY_BYTES))
    if not block:
      raise BoxError("the file became shorter while it was read")
    copy.write(block)
    left -= len(block)
