"""Marks of 360° video and of ambisonics in MP4 files, by which players know them.

After Google's drafts: "Spherical Video RFC" (version 1: XML in a box `uuid` of the track), which
much software still looks for, "Spherical Video V2 RFC" (boxes `st3d` and `sv3d` in the description
of the pictures) and "Spatial Audio RFC" (a box `SA3D` in the description of the sound).
"""

import struct
from typing import BinaryIO

from avssl_tf.data.metadata import isobmff
from avssl_tf.data.metadata.isobmff import Box, BoxError
from avssl_tf.data.metadata.spherical_metadata import LEFT_RIGHT, MONO, SPHERICAL_UUID, TOP_BOTTOM

NUM_CHANNELS = 4
# Which component of the field, in ACN order, each channel is.
_CHANNEL_MAP = (0, 1, 2, 3)
# Numbers of packings of eyes in a box `st3d`.
_STEREO_MODES = {MONO: 0, TOP_BOTTOM: 1, LEFT_RIGHT: 2}
_SOFTWARE = "avssl_tf"
_XML = (
  '<?xml version="1.0"?>'
  '<rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
  'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
  "<GSpherical:Spherical>true</GSpherical:Spherical>"
  "<GSpherical:Stitched>true</GSpherical:Stitched>"
  f"<GSpherical:StitchingSoftware>{_SOFTWARE}</GSpherical:StitchingSoftware>"
  "<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"
  "<GSpherical:StereoMode>{packing}</GSpherical:StereoMode>"
  "</rdf:SphericalVideo>"
)
# The new boxes of pictures belong before those that a description need not have.
_OPTIONAL_BOXES = frozenset(
  {b"btrt", b"clap", b"clli", b"colr", b"fiel", b"gama", b"mdcv", b"pasp"}
)


def mark(source: BinaryIO, target: BinaryIO, packing: str = MONO) -> None:
  """Copies an MP4 file and says in it that it shows a whole sphere, with ambisonics.

  This comes last: whoever writes the file anew after it may leave the marks out.

  Args:
    source: file, open for reading, with equirectangular pictures and sound of four channels,
      W Y Z X with SN3D weights in this order.
    target: file to write to.
    packing: of eyes in the pictures: `MONO`, `TOP_BOTTOM` or `LEFT_RIGHT`.

  Raises:
    BoxError: the file is no MP4, has no pictures or no sound of four channels.
  """
  movie = isobmff.read_movie(source)
  pictures, sounds = movie.tracks(b"vide"), movie.tracks(b"soun")
  for tracks, what in ((pictures, "pictures"), (sounds, "sound")):
    if not tracks:
      raise BoxError(f"the file has no track of {what}")
  for track in pictures:
    for entry in track.sample_entries():
      _mark_pictures(entry, packing)
    track.boxes = [box for box in track.boxes if not _is_spherical_xml(box)]
    xml = _XML.format(packing=packing)
    track.boxes.append(Box(b"uuid", SPHERICAL_UUID + xml.encode("utf-8")))
  for track in sounds:
    for entry in track.sample_entries():
      _mark_sound(entry)
  isobmff.replace_movie(source, target, movie)


def _mark_pictures(entry: Box, packing: str) -> None:
  entry.boxes = [box for box in entry.boxes if box.type not in (b"st3d", b"sv3d", b"vexu")]
  places = [i for i, box in enumerate(entry.boxes) if box.type in _OPTIONAL_BOXES]
  place = places[0] if places else len(entry.boxes)
  entry.boxes[place:place] = [_stereo_box(packing), _spherical_box()]


def _mark_sound(entry: Box) -> None:
  num_channels = int.from_bytes(entry.fields[16:18], "big")
  if num_channels != NUM_CHANNELS:
    raise BoxError(f"the sound has {num_channels} channel(s), expected {NUM_CHANNELS}")
  entry.boxes = [box for box in entry.boxes if box.type != b"SA3D"] + [_ambisonics_box()]


def _is_spherical_xml(box: Box) -> bool:
  return box.type == b"uuid" and box.fields.startswith(SPHERICAL_UUID)


def _stereo_box(packing: str) -> Box:
  """Where both eyes are in a picture."""
  return Box(b"st3d", bytes(4) + bytes([_STEREO_MODES[packing]]))


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
