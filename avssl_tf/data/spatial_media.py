"""Marks of 360° video and of ambisonics in MP4 files, by which players know them.

After Google's drafts: "Spherical Video RFC" (version 1: XML in a box `uuid` of the track), which
much software still looks for, "Spherical Video V2 RFC" (boxes `st3d` and `sv3d` in the description
of the pictures) and "Spatial Audio RFC" (a box `SA3D` in the description of the sound).
"""

import struct
import uuid
from typing import BinaryIO, Optional

from avssl_tf.data import isobmff
from avssl_tf.data.isobmff import Box, BoxError

NUM_CHANNELS = 4
# Which component of the field, in ACN order, each channel is.
_CHANNEL_MAP = (0, 1, 2, 3)
_SPHERICAL_UUID = uuid.UUID("ffcc8263-f855-4a93-8814-587a02521fdd").bytes
_SOFTWARE = "avssl_tf"
_XML = (
  '<?xml version="1.0"?>'
  '<rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
  'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
  "<GSpherical:Spherical>true</GSpherical:Spherical>"
  "<GSpherical:Stitched>true</GSpherical:Stitched>"
  f"<GSpherical:StitchingSoftware>{_SOFTWARE}</GSpherical:StitchingSoftware>"
  "<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"
  "<GSpherical:StereoMode>mono</GSpherical:StereoMode>"
  "</rdf:SphericalVideo>"
)
# The new boxes of pictures belong before those that a description need not have.
_OPTIONAL_BOXES = frozenset(
  {b"btrt", b"clap", b"clli", b"colr", b"fiel", b"gama", b"mdcv", b"pasp"}
)


def mark(source: BinaryIO, target: BinaryIO) -> None:
  """Copies an MP4 file and says in it that it shows a whole sphere, with ambisonics.

  This comes last: whoever writes the file anew after it may leave the marks out.

  Args:
    source: file, open for reading, with equirectangular pictures, of one eye, and sound of four
      channels, W Y Z X with SN3D weights in this order.
    target: file to write to.

  Raises:
    BoxError: the file is no MP4, has no pictures or no sound of four channels.
  """
  movie = isobmff.read_movie(source)
  for handler, what, mark_entry in (
    (b"vide", "pictures", _mark_pictures), (b"soun", "sound", _mark_sound),
  ):  # fmt: skip
    tracks = movie.tracks(handler)
    if not tracks:
      raise BoxError(f"the file has no track of {what}")
    for track in tracks:
      for entry in track.sample_entries():
        mark_entry(entry)
      if handler == b"vide":
        track.boxes = [box for box in track.boxes if not _is_spherical_xml(box)]
        track.boxes.append(Box(b"uuid", _SPHERICAL_UUID + _XML.encode("utf-8")))
  isobmff.replace_movie(source, target, movie)


def ambisonic_channels(path: str) -> Optional[tuple[int, ...]]:
  """Which component of an ambisonic field (in ACN order) each channel of a file is.

  Args:
    path: any file.

  Returns:
    The channel map of the first box `SA3D`; None where the file has none, or is no MP4.
  """
  try:
    with open(path, "rb") as file:
      movie = isobmff.read_movie(file)
  except BoxError:
    return None
  for track in movie.tracks(b"soun"):
    for entry in track.sample_entries():
      box = entry.find(b"SA3D")
      if box is not None and len(box.fields) >= 12:
        count = int.from_bytes(box.fields[8:12], "big")
        if len(box.fields) >= 12 + 4 * count:
          return struct.unpack_from(f">{count}I", box.fields, 12)
  return None


def _mark_pictures(entry: Box) -> None:
  entry.boxes = [box for box in entry.boxes if box.type not in (b"st3d", b"sv3d")]
  places = [i for i, box in enumerate(entry.boxes) if box.type in _OPTIONAL_BOXES]
  place = places[0] if places else len(entry.boxes)
  entry.boxes[place:place] = [_stereo_box(), _spherical_box()]


def _mark_sound(entry: Box) -> None:
  num_channels = int.from_bytes(entry.fields[16:18], "big")
  if num_channels != NUM_CHANNELS:
    raise BoxError(f"the sound has {num_channels} channel(s), expected {NUM_CHANNELS}")
  entry.boxes = [box for box in entry.boxes if box.type != b"SA3D"] + [_ambisonics_box()]


def _is_spherical_xml(box: Box) -> bool:
  return box.type == b"uuid" and box.fields.startswith(_SPHERICAL_UUID)


def _stereo_box() -> Box:
  """One picture for both eyes."""
  return Box(b"st3d", bytes(4) + b"\0")


def _spherical_box() -> Box:
  """All of the sphere, equirectangular, its middle in front."""
  header = Box(b"svhd", bytes(4) + _SOFTWARE.encode("utf-8") + b"\0")
  pose = Box(b"prhd", bytes(4) + struct.pack(">3i", 0, 0, 0))  # Yaw, pitch, roll.
  projection = Box(b"equi", bytes(4) + struct.pack(">4I", 0, 0, 0, 0))  # Nothing is cut off.
  return Box(b"sv3d", boxes=[header, Box(b"proj", boxes=[pose, projection])])


def _ambisonics_box() -> Box:
  version, periphonic, order, acn, sn3d = 0, 0, 1, 0, 0
  fields = struct.pack(">BBIBBI", version, periphonic, order, acn, sn3d, NUM_CHANNELS)
  return Box(b"SA3D", fields + struct.pack(f">{NUM_CHANNELS}I", *_CHANNEL_MAP))
