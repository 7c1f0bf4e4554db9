"""Writes metadata of 360° video and ambisonics to MP4 files, by which players recognise them.

It follows Google's drafts: "Spherical Video RFC" (version 1: XML in a `uuid` box of the track),
which much software still requires, "Spherical Video V2 RFC" (`st3d` and `sv3d` boxes in the video
sample entry) and "Spatial Audio RFC" (an `SA3D` box in the audio sample entry).
"""

import struct
from typing import BinaryIO

from avssl_tf.data.metadata import isobmff
from avssl_tf.data.metadata.isobmff import Box, BoxError
from avssl_tf.data.metadata.spherical_metadata import LEFT_RIGHT, MONO, SPHERICAL_UUID, TOP_BOTTOM

NUM_CHANNELS = 4
# ACN index of each channel.
_CHANNEL_MAP = (0, 1, 2, 3)
# Stereo modes of an `st3d` box.
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
# The new video boxes precede the optional boxes of a sample entry.
_OPTIONAL_BOXES = frozenset(
  {b"btrt", b"clap", b"clli", b"colr", b"fiel", b"gama", b"mdcv", b"pasp"}
)


def mark(source: BinaryIO, target: BinaryIO, packing: str = MONO) -> None:
  """Copies an MP4 file and adds metadata that it is a full 360° video with ambisonics.

  This must be the last step: software that rewrites the file afterwards may drop the metadata.

  Args:
    source: file, open for reading, with equirectangular video and four-channel audio: W Y Z X in
      this order, with SN3D weights.
    target: file to write to.
    packing: stereo packing of the frames: `MONO`, `TOP_BOTTOM` or `LEFT_RIGHT`.

  Raises:
    BoxError: the file is not an MP4, or has no video or no four-channel audio.
  """
  movie = isobmff.read_movie(source)
  pictures, sounds = movie.tracks(b"vide"), movie.tracks(b"soun")
  for tracks, what in ((pictures, "video"), (sounds, "audio")):
    if not tracks:
      raise BoxError(f"the file has no {what} track")
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
    raise BoxError(f"the audio has {num_channels} channel(s); expected {NUM_CHANNELS}")
  entry.boxes = [box for box in entry.boxes if box.type != b"SA3D"] + [_ambisonics_box()]


def _is_spherical_xml(box: Box) -> bool:
  return box.type == b"uuid" and box.fields.startswith(SPHERICAL_UUID)


def _stereo_box(packing: str) -> Box:
  """States the arrangement of the two eyes in a frame."""
  return Box(b"st3d", bytes(4) + bytes([_STEREO_MODES[packing]]))


def _spherical_box() -> Box:
  """States a full equirectangular sphere whose centre is in front."""
  header = Box(b"svhd", bytes(4) + _SOFTWARE.encode("utf-8") + b"\0")
  pose = Box(b"prhd", bytes(4) + struct.pack(">3i", 0, 0, 0))  # Yaw, pitch, roll.
  projection = Box(b"equi", bytes(4) + struct.pack(">4I", 0, 0, 0, 0))  # No cropping.
  return Box(b"sv3d", boxes=[header, Box(b"proj", boxes=[pose, projection])])


def _ambisonics_box() -> Box:
  version, periphonic, order, acn, sn3d = 0, 0, 1, 0, 0
  fields = struct.pack(">BBIBBI", version, periphonic, order, acn, sn3d, NUM_CHANNELS)
  return Box(b"SA3D", fields + struct.pack(f">{NUM_CHANNELS}I", *_CHANNEL_MAP))
