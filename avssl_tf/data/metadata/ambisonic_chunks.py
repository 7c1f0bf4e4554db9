"""Reads descriptions of sound fields in the chunks of WAVE, CAF and AIFF files."""

import functools
import os
import struct
from typing import BinaryIO, Optional

from avssl_tf.data.metadata.ambisonic_field import (
  ADM_WEIGHTS,
  Field,
  checked,
  of_chan,
  of_fuma,
)

# Sub-format GUID of WAVE_FORMAT_EXTENSIBLE, without its first four bytes, which distinguish integer
# from floating-point samples.
_B_FORMAT_GUID = bytes.fromhex("21 07 d3 11 86 44 c8 c1 ca 00 00 00")
_EXTENSIBLE = 0xFFFE
_AMBIX_UUIDS = (b"IEM.AT/AMBIX/XML", bytes.fromhex("1ad318c300e55576be2d0dca2460bc89"))
# Codecs of uncompressed samples in MP4 and QuickTime.
PLAIN_SAMPLES = frozenset(
  name.encode() for name in "lpcm sowt twos in24 in32 fl32 fl64 ipcm fpcm NONE".split()
)
_MAX_CHUNKS = 1000
_MAX_CHUNK_BYTES = 1 << 20


@functools.lru_cache(maxsize=64)
def of_chunks(path: str, kind: str, size: int, mtime_ns: int) -> Optional[Field]:
  """The sound field that a WAVE, CAF or AIFF file describes; None without a description."""
  del size, mtime_ns
  with open(path, "rb") as file:
    try:
      return READERS[kind](file)
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
        field = of_fuma("its WAVE header (B-format)", channels)
    elif name == b"chna":
      field = _of_chna(fields) or field
  return field


def _of_chna(fields: bytes) -> Optional[Field]:
  """The sound field of an audio definition model (ADM), from its common definitions."""
  where = "its chna chunk (ADM)"
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
    if weights >= len(ADM_WEIGHTS) or component < 0:
      return Field(where, problem=f"custom definitions ({reference})")
    tracks[number - 1] = (weights, component)
  if not tracks:
    return None
  if len({weights for weights, _ in tracks.values()}) > 1:
    return Field(where, problem="channels of different weights")
  components = tuple(tracks[i][1] if i in tracks else None for i in range(max(tracks) + 1))
  return checked(Field(where, components, ADM_WEIGHTS[tracks[min(tracks)][0]]))


def _of_caf(file: BinaryIO) -> Optional[Field]:
  if file.read(8)[:4] != b"caff":
    return None
  field = None
  for name, _, fields in _chunks(file, ">4sq", 1, {b"chan", b"uuid"}, b""):
    if name == b"uuid" and fields[:16] in _AMBIX_UUIDS:
      return Field(
        "its ambiX chunk", problem="the extended format, which requires mixing the channels first"
      )
    if name == b"chan":
      field = of_chan(fields)
  return field


def _of_aiff(file: BinaryIO) -> Optional[Field]:
  if file.read(12)[:4] != b"FORM":
    return None
  found = [fields for _, _, fields in _chunks(file, ">4sI", 2, {b"CHAN"}, b"")]
  return next((field for field in map(of_chan, found) if field is not None), None)

# By name of the FFmpeg demuxer.
READERS = {"wav": _of_wave, "caf": _of_caf, "aiff": _of_aiff}


def _chunks(file: BinaryIO, header: str, even: int, wanted: set[bytes], sizes: bytes):
  """Name, size and contents of the chunks; contents only for the chunks in `wanted`.

  Args:
    file: file, positioned at the first chunk.
    header: struct format of name and size.
    even: alignment of the chunks, in bytes.
    wanted: names of the chunks to read.
    sizes: name of the chunk with the 64-bit data size, for data too large for the 32-bit field.
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
    if size < 0:  # CAF: up to the end of the file.
      return
    fields = file.read(min(size, _MAX_CHUNK_BYTES)) if name in wanted else b""
    yield name, size, fields
    end = file.tell() - len(fields) + size + size % even
    if end >= length:
      return
    file.seek(end)
