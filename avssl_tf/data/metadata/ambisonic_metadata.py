"""Metadata of a file about its audio channels: which ones are ambisonics, and with which weights.

Sources are the `SA3D` ("Spatial Audio RFC") and `chan` boxes of MP4 and QuickTime, the channel
layouts of CAF and AIFF, the extended ambiX format, the B-format of WAVE and AMB files (FuMa), the
`chna` chunk (ADM), the channel mapping of Opus, and FFmpeg's channel layouts.
"""

import dataclasses
import functools
import math
import os
import struct
from collections.abc import Sequence
from typing import Optional

import av

from avssl_tf.data.metadata import isobmff
from avssl_tf.data.metadata.ambisonic_chunks import PLAIN_SAMPLES, READERS, of_chunks
from avssl_tf.data.metadata.ambisonic_field import (
  Field,
  checked,
  of_chan,
)
from avssl_tf.data.metadata.isobmff import Box, BoxError


def of_track(path: str, track: av.AudioStream) -> Optional[Field]:
  """The ambisonic metadata of an audio track; None if the file does not describe it as ambisonics.

  Args:
    path: the file.
    track: open track of that file.
  """
  kind = track.container.format.name
  status = os.stat(path)
  field = None
  if "mp4" in kind:
    field = _all_of_mp4(path, status.st_size, status.st_mtime_ns).get(track.id)
  elif kind in READERS:
    field = of_chunks(path, kind, status.st_size, status.st_mtime_ns)
  if field is None and track.codec_context is not None:
    field = _of_opus(track) or _of_layout(track.codec_context.layout)
  return field


@functools.lru_cache(maxsize=64)
def _all_of_mp4(path: str, size: int, mtime_ns: int) -> dict[int, Optional[Field]]:
  """The fields of all audio tracks, by track id."""
  del size, mtime_ns  # Cache key: they change when the file changes.
  try:
    with open(path, "rb") as file:
      movie = isobmff.read_movie(file)
    return {track.track_id: _of_entries(track.sample_entries()) for track in movie.tracks(b"soun")}
  except (BoxError, struct.error):
    return {}  # FFmpeg may still read the file.


def _of_entries(entries: Sequence[Box]) -> Optional[Field]:
  for entry in entries:
    boxes = list(entry.boxes)
    for box in entry.boxes:
      if box.type == b"wave":  # QuickTime stores codec-specific boxes in there.
        boxes += isobmff.parse_boxes(box.fields)
    for kind, read in ((b"SA3D", _of_sa3d), (b"chan", lambda fields: of_chan(fields[4:]))):
      found = next((box for box in boxes if box.type == kind), None)
      field = found and read(found.fields)
      if field is not None:
        return _counted(field, entry)
  return None


def _counted(field: Field, entry: Box) -> Field:
  """Returns the field, with a problem if uncompressed samples have another number of channels.

  FFmpeg uses the number in `SA3D`, which would deinterleave uncompressed samples incorrectly. For
  compressed audio, it uses the number in the codec.
  """
  if field.problem is not None or entry.type not in PLAIN_SAMPLES:
    return field
  version, count = struct.unpack_from(">H6xH", entry.fields, 8)
  if version == 2:
    count = struct.unpack_from(">I", entry.fields, 40)[0]
  if count == len(field.components):
    return field
  problem = f"{len(field.components)} channel(s), but the sample description states {count}"
  return dataclasses.replace(field, problem=problem)


def _of_sa3d(fields: bytes) -> Field:
  where = "its SA3D box"
  if len(fields) < 12:
    return Field(where, problem=f"damaged data: {len(fields)} bytes; expected 12 or more")
  version, kind, order, ordering, weights, count = struct.unpack_from(">BBIBBI", fields)
  if len(fields) < 12 + 4 * count:
    return Field(where, problem=f"damaged data: too short for {count} channels")
  channel_map = struct.unpack_from(f">{count}I", fields, 12)
  # The first bit of the type marks two channels of head-locked stereo.
  for what, value in (
    ("version", version), ("ambisonic type", kind & 127), ("channel ordering", ordering),
    ("normalisation", weights),
  ):  # fmt: skip
    if value != 0:
      return Field(where, problem=f"{what} {value}; expected 0")
  number = (min(order, 100) + 1) ** 2
  components = tuple(place if place < number else None for place in channel_map)
  return checked(Field(where, components))


def _of_opus(track: av.AudioStream) -> Optional[Field]:
  """The field that an Opus header describes (RFC 7845 and 8486)."""
  if track.codec_context.name not in ("opus", "libopus"):
    return None
  head = bytes(track.codec_context.extradata or b"")
  if head[:8] != b"OpusHead" or len(head) < 19:
    return None
  family, channels = head[18], head[9]
  where = f"its Opus header (channel mapping family {family})"
  if family == 3:
    return Field(where, problem="ambisonics that require a mixing matrix")
  if family != 2:
    return None
  number = math.isqrt(channels) ** 2
  if channels - number not in (0, 2):
    return Field(where, problem=f"{channels} channels, the number of no ambisonic order")
  return Field(where, (*range(number), *[None] * (channels - number)))


def _of_layout(layout: av.AudioLayout) -> Optional[Field]:
  """The field of an FFmpeg layout that names ambisonic components or an order."""
  names = [channel.name for channel in layout.channels]
  number = math.isqrt(len(names)) ** 2
  components = tuple(
    int(name[4:]) if name.startswith("AMBI") and name[4:].isdigit() else None for name in names
  )
  if layout.name.startswith("ambisonic") and not any(c is not None for c in components):
    components = (*range(number), *[None] * (len(names) - number))
  if not any(component is not None for component in components):
    return None
  return checked(Field("its channel layout", components))


