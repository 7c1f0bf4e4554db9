"""What a file says of the channels of its sound: which of them are ambisonics, in which weights.

Read are boxes `SA3D` ("Spatial Audio RFC") and `chan` of MP4 and QuickTime, channel layouts of CAF
and AIFF and the extended format of ambiX, the B-format of WAVE and AMB files (FuMa), the chunk
`chna` (ADM), the channel mapping of Opus, and layouts that FFmpeg knows.
"""

import dataclasses
import functools
import math
import os
import struct
from collections.abc import Sequence
from typing import BinaryIO, Optional

import av

from avssl_tf.data.metadata import isobmff
from avssl_tf.data.metadata.isobmff import Box, BoxError

SN3D, N3D, FUMA = "SN3D", "N3D", "FuMa"
# Which component, in ACN order, each letter of FuMa is.
_LETTERS = {letter: number for number, letter in enumerate("WYZXVTRSUQOMKLNP")}
# Letters of FuMa files by their number of channels; 3, 5 and 7 have no height.
_FUMA = {
  3: "WXY", 4: "WXYZ", 5: "WXYUV", 6: "WXYZUV", 7: "WXYUVPQ", 8: "WXYZUVPQ", 9: "WXYZRSTUV",
  11: "WXYZRSTUVPQ", 16: "WXYZRSTUVKLMNOPQ",
}  # fmt: skip
# Sub-formats of WAVE_FORMAT_EXTENSIBLE: after the first four bytes, which tell integers from
# floating-point numbers.
_B_FORMAT_GUID = bytes.fromhex("21 07 d3 11 86 44 c8 c1 ca 00 00 00")
_EXTENSIBLE = 0xFFFE
# Layout tags and labels of CoreAudio.
_TAG_B_FORMAT, _TAG_SN3D, _TAG_N3D = 107, 190, 191
_LABELS_B_FORMAT = {200: "W", 201: "X", 202: "Y", 203: "Z"}
_LABELS_SN3D, _LABELS_N3D = 2, 3
_AMBIX_UUIDS = (b"IEM.AT/AMBIX/XML", bytes.fromhex("1ad318c300e55576be2d0dca2460bc89"))
# Codecs of MP4 and QuickTime whose samples are as they are.
_PLAIN_SAMPLES = frozenset(
  name.encode() for name in "lpcm sowt twos in24 in32 fl32 fl64 ipcm fpcm NONE".split()
)
_MAX_CHUNKS = 1000
_MAX_CHUNK_BYTES = 1 << 20
_ADM_WEIGHTS = (SN3D, N3D, FUMA)


@dataclasses.dataclass(frozen=True)
class Field:
  """What is said of the channels of a sound.

  Attributes:
    where: what says so, for messages, such as "its box SA3D".
    components: for each channel, which component of the field it is in ACN order; None: none.
    weights: `SN3D`, `N3D` or `FUMA`.
    problem: why the field cannot be read; the two above mean nothing then.
  """

  where: str
  components: tuple[Optional[int], ...] = ()
  weights: str = SN3D
  problem: Optional[str] = None

  @property
  def is_plain(self) -> bool:
    """Whether the first order is W Y Z X with SN3D weights."""
    return self.weights == SN3D and self.components[:4] == (0, 1, 2, 3)


def of_track(path: str, track: av.AudioStream) -> Optional[Field]:
  """What a file says of a track of its sound; None where it does not say that it is ambisonics.

  Args:
    path: the file.
    track: open, of that file.
  """
  kind = track.container.format.name
  status = os.stat(path)
  field = None
  if "mp4" in kind:
    field = _all_of_mp4(path, status.st_size, status.st_mtime_ns).get(track.id)
  elif kind in _READERS:
    field = _of_chunks(path, kind, status.st_size, status.st_mtime_ns)
  if field is None and track.codec_context is not None:
    field = _of_opus(track) or _of_layout(track.codec_context.layout)
  return field


@functools.lru_cache(maxsize=64)
def _all_of_mp4(path: str, size: int, mtime_ns: int) -> dict[int, Optional[Field]]:
  """By the numbers of tracks."""
  del size, mtime_ns  # They tell whether the cache is of the same file.
  try:
    with open(path, "rb") as file:
      movie = isobmff.read_movie(file)
    return {track.track_id: _of_entries(track.sample_entries()) for track in movie.tracks(b"soun")}
  except (BoxError, struct.error):
    return {}  # What FFmpeg makes of the file still counts.


def _of_entries(entries: Sequence[Box]) -> Optional[Field]:
  for entry in entries:
    boxes = list(entry.boxes)
    for box in entry.boxes:
      if box.type == b"wave":  # QuickTime has what belongs to a codec in there.
        boxes += isobmff.parse_boxes(box.fields)
    for kind, read in ((b"SA3D", _of_sa3d), (b"chan", lambda fields: _of_chan(fields[4:]))):
      found = next((box for box in boxes if box.type == kind), None)
      field = found and read(found.fields)
      if field is not None:
        return _counted(field, entry)
  return None


def _counted(field: Field, entry: Box) -> Field:
  """The field, with a problem where plain samples are of another number of channels.

  FFmpeg takes the number of `SA3D`, and tears the samples apart. Of codecs it knows better.
  """
  if field.problem is not None or entry.type not in _PLAIN_SAMPLES:
    return field
  version, count = struct.unpack_from(">H6xH", entry.fields, 8)
  if version == 2:
    count = struct.unpack_from(">I", entry.fields, 40)[0]
  if count == len(field.components):
    return field
  problem = f"{len(field.components)} channel(s), and the description of the sound {count}"
  return dataclasses.replace(field, problem=problem)


def _of_sa3d(fields: bytes) -> Field:
  where = "its box SA3D"
  if len(fields) < 12:
    return Field(where, problem=f"it is damaged: {len(fields)} bytes, expected 12 or more")
  version, kind, order, ordering, weights, count = struct.unpack_from(">BBIBBI", fields)
  if len(fields) < 12 + 4 * count:
    return Field(where, problem=f"it is damaged: too short for {count} channels")
  channel_map = struct.unpack_from(f">{count}I", fields, 12)
  # The first bit of the kind marks two channels of head-locked stereo.
  for what, value in (
    ("version", version), ("kind of ambisonics", kind & 127), ("channel ordering", ordering),
    ("normalisation", weights),
  ):  # fmt: skip
    if value != 0:
      return Field(where, problem=f"{what} {value}; expected 0")
  number = (min(order, 100) + 1) ** 2
  components = tuple(place if place < number else None for place in channel_map)
  return _checked(Field(where, components))


def _of_chan(fields: bytes) -> Optional[Field]:
  """Of a channel layout of CoreAudio."""
  where = "its channel layout (chan)"
  if len(fields) < 12:
    return None
  tag, _, count = struct.unpack_from(">3I", fields)
  kind, channels = tag >> 16, tag & 0xFFFF
  if kind == _TAG_B_FORMAT:
    return Field(where, _of_letters("WXYZ"), FUMA)
  if kind in (_TAG_SN3D, _TAG_N3D):
    return Field(where, tuple(range(channels)), SN3D if kind == _TAG_SN3D else N3D)
  if tag != 0 or count > 1000 or len(fields) < 12 + 20 * count:
    return None
  labels = [struct.unpack_from(">I", fields, 12 + 20 * i)[0] for i in range(count)]
  for weights, components in (
    (FUMA, [_LETTERS.get(_LABELS_B_FORMAT.get(label, "")) for label in labels]),
    (SN3D, [n & 0xFFFF if n >> 16 == _LABELS_SN3D else None for n in labels]),
    (N3D, [n & 0xFFFF if n >> 16 == _LABELS_N3D else None for n in labels]),
  ):
    if any(component is not None for component in components):
      return _checked(Field(where, tuple(components), weights))
  return None


@functools.lru_cache(maxsize=64)
def _of_chunks(path: str, kind: str, size: int, mtime_ns: int) -> Optional[Field]:
  """Of a WAVE, CAF or AIFF file."""
  del size, mtime_ns
  with open(path, "rb") as file:
    try:
      return _READERS[kind](file)
    except struct.error:
      return None


def _of_wave(file: BinaryIO) -> Optional[Field]:
  head = file.read(12)
  if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
    return None
  field = None
  for name, size, fields in _chunks(file, "<4sI", 2, {b"fmt ", b"chna"}, b"ds64"):
    del size
    if name == b"fmt " and len(fields) >= 40 and fields[28:40] == _B_FORMAT_GUID:
      code, channels = struct.unpack_from("<2H", fields)
      if code == _EXTENSIBLE:
        field = _of_fuma("its WAVE header (B-format)", channels)
    elif name == b"chna":
      field = _of_chna(fields) or field
  return field


def _of_fuma(where: str, channels: int) -> Field:
  letters = _FUMA.get(channels)
  if letters is None:
    expected = ", ".join(map(str, _FUMA))
    return Field(where, problem=f"{channels} channel(s); FuMa has one of {expected}")
  return Field(where, _of_letters(letters), FUMA)


def _of_chna(fields: bytes) -> Optional[Field]:
  """Of the tracks of an audio definition model: those of the definitions that all have."""
  where = "its chunk chna (ADM)"
  _, count = struct.unpack_from("<2H", fields)
  tracks: dict[int, tuple[int, int]] = {}
  for place in range(4, min(4 + 40 * count, len(fields) - 39), 40):
    number = struct.unpack_from("<H", fields, place)[0]
    reference = fields[place + 14 : place + 28].decode("latin-1")
    if number == 0 or not reference.startswith("AT_0004"):
      continue
    try:
      weights, component = int(reference[7:9], 16), int(reference[9:11], 16) - 1
    except ValueError:
      weights, component = 255, 0
    if weights >= len(_ADM_WEIGHTS) or component < 0:
      return Field(where, problem=f"definitions of its own ({reference})")
    tracks[number - 1] = (weights, component)
  if not tracks:
    return None
  if len({weights for weights, _ in tracks.values()}) > 1:
    return Field(where, problem="channels of different weights")
  components = tuple(tracks[i][1] if i in tracks else None for i in range(max(tracks) + 1))
  return _checked(Field(where, components, _ADM_WEIGHTS[tracks[min(tracks)][0]]))


def _of_caf(file: BinaryIO) -> Optional[Field]:
  if file.read(8)[:4] != b"caff":
    return None
  field = None
  for name, _, fields in _chunks(file, ">4sq", 1, {b"chan", b"uuid"}, b""):
    if name == b"uuid" and fields[:16] in _AMBIX_UUIDS:
      return Field(
        "its chunk of ambiX", problem="the extended format, whose channels are to be mixed first"
      )
    if name == b"chan":
      field = _of_chan(fields)
  return field


def _of_aiff(file: BinaryIO) -> Optional[Field]:
  if file.read(12)[:4] != b"FORM":
    return None
  found = [fields for _, _, fields in _chunks(file, ">4sI", 2, {b"CHAN"}, b"")]
  return next((field for field in map(_of_chan, found) if field is not None), None)


# By the names of FFmpeg's demuxers.
_READERS = {"wav": _of_wave, "caf": _of_caf, "aiff": _of_aiff}


def _chunks(file: BinaryIO, header: str, even: int, wanted: set[bytes], sizes: bytes):
  """Name, size and contents of chunks; contents of those wanted alone.

  Args:
    file: at the first chunk.
    header: format of name and size.
    even: what places of chunks are multiples of.
    wanted: names of those whose contents are read.
    sizes: name of the chunk that has the size of the data where that does not fit, if any.
  """
  data_size, length = 0, os.fstat(file.fileno()).st_size
  for _ in range(_MAX_CHUNKS):
    head = file.read(struct.calcsize(header))
    if len(head) < struct.calcsize(header):
      return
    name, size = struct.unpack(header, head)
    if name == sizes:
      fields = file.read(min(size, _MAX_CHUNK_BYTES))
      data_size = struct.unpack_from("<Q", fields, 8)[0]
      continue
    if name == b"data" and size == 0xFFFFFFFF:
      size = data_size
    if size < 0:  # CAF: up to the end.
      return
    fields = file.read(min(size, _MAX_CHUNK_BYTES)) if name in wanted else b""
    yield name, size, fields
    end = file.tell() - len(fields) + size + size % even
    if end >= length:
      return
    file.seek(end)


def _of_opus(track: av.AudioStream) -> Optional[Field]:
  """Of the header of Opus (RFC 7845 and 8486)."""
  if track.codec_context.name not in ("opus", "libopus"):
    return None
  head = bytes(track.codec_context.extradata or b"")
  if head[:8] != b"OpusHead" or len(head) < 19:
    return None
  family, channels = head[18], head[9]
  where = f"its Opus header (channel mapping family {family})"
  if family == 3:
    return Field(where, problem="ambisonics that are to be mixed by a matrix first")
  if family != 2:
    return None
  number = math.isqrt(channels) ** 2
  if channels - number not in (0, 2):
    return Field(where, problem=f"{channels} channels are of no order")
  return Field(where, (*range(number), *[None] * (channels - number)))


def _of_layout(layout: av.AudioLayout) -> Optional[Field]:
  """Of a layout of FFmpeg that names components, or orders."""
  names = [channel.name for channel in layout.channels]
  number = math.isqrt(len(names)) ** 2
  components = tuple(
    int(name[4:]) if name.startswith("AMBI") and name[4:].isdigit() else None for name in names
  )
  if layout.name.startswith("ambisonic") and not any(c is not None for c in components):
    components = (*range(number), *[None] * (len(names) - number))
  if not any(component is not None for component in components):
    return None
  return _checked(Field("its channel layout", components))


def _of_letters(letters: str) -> tuple[int, ...]:
  return tuple(_LETTERS[letter] for letter in letters)


def _checked(field: Field) -> Field:
  """The field, with a problem where channels are named twice."""
  named = [component for component in field.components if component is not None]
  if len(set(named)) < len(named):
    return dataclasses.replace(field, problem="a component of the field is named twice")
  return field
