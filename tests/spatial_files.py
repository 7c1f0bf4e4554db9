"""Creates test files with spatial metadata of their video or audio channels."""

import os
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Optional

import av
import numpy as np

from avssl_tf.data.media import media_streams
from avssl_tf.data.metadata import ambisonic_metadata, isobmff, spherical_metadata
from avssl_tf.data.metadata.isobmff import Box
from tests import media_variants

_SEGMENT, _TRACKS = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b"
_VOID, _CLUSTER = b"\xec", b"\x1f\x43\xb6\x75"
_TRACK_ENTRY, _VIDEO, _TRACK_TYPE = b"\xae", b"\xe0", b"\x83"


def components_of(path: str, track: int = 0) -> Optional[tuple[Optional[int], ...]]:
  """Metadata of the channels of an audio track; None without metadata."""
  field = field_of(path, track)
  return None if field is None else field.components


def field_of(path: str, track: int = 0) -> Optional[ambisonic_metadata.Field]:
  """Metadata of an audio track."""
  with media_streams.open_streams(path, ()) as media:
    return ambisonic_metadata.of_track(path, media.container.streams.audio[track])


def said_of(path: str) -> spherical_metadata.Said:
  """Metadata of a video track."""
  with media_streams.open_streams(path, ("video",)) as media:
    first = next(media.container.decode(media.video))
    return spherical_metadata.of_pictures(path, media.video, first)


def change_mp4(
  path: str, pictures: Sequence[Box] = (), sound: Sequence[Box] = (), xml: str = "", track: int = 0
) -> None:
  """Adds boxes to the video and audio descriptions of an MP4, and metadata version 1."""
  with open(path, "rb") as source, open(path + ".new", "wb") as target:
    movie = isobmff.read_movie(source)
    for handler, boxes in ((b"vide", pictures), (b"soun", sound)):
      tracks = movie.tracks(handler)
      if boxes:
        for entry in tracks[track].sample_entries():
          kinds = {box.type for box in boxes}
          entry.boxes = [box for box in entry.boxes if box.type not in kinds] + list(boxes)
    if xml:
      fields = spherical_metadata.SPHERICAL_UUID + xml.encode()
      movie.tracks(b"vide")[0].boxes.append(Box(b"uuid", fields))
    isobmff.replace_movie(source, target, movie)
  os.replace(path + ".new", path)


def st3d(mode: int) -> Box:
  """The box of stereo modes."""
  return Box(b"st3d", bytes(4) + bytes([mode]))


def sv3d(
  kind: bytes = b"equi", fields: bytes = bytes(16), pose_deg: Sequence[float] = (0, 0, 0)
) -> Box:
  """The box of projections."""
  pose = Box(b"prhd", bytes(4) + struct.pack(">3i", *(round(65536 * angle) for angle in pose_deg)))
  return Box(
    b"sv3d",
    boxes=[
      Box(b"svhd", bytes(4) + b"test\0"),
      Box(b"proj", boxes=[pose, Box(kind, bytes(4) + fields)]),
    ],
  )


def bounds(top: float, bottom: float, left: float, right: float) -> bytes:
  """Missing fractions of a sphere on each side."""
  return struct.pack(">4I", *(min(2**32 - 1, round(2**32 * s)) for s in (top, bottom, left, right)))


def sa3d(
  channel_map: Sequence[int], order: int = 1, kind: int = 0, version: int = 0, weights: int = 0
) -> Box:
  """The box of ambisonics."""
  fields = struct.pack(">BBIBBI", version, kind, order, 0, weights, len(channel_map))
  return Box(b"SA3D", fields + struct.pack(f">{len(channel_map)}I", *channel_map))


def chan(tag: int, labels: Sequence[int] = ()) -> bytes:
  """A CoreAudio channel layout, as in CAF; in QuickTime it is preceded by four zeros."""
  descriptions = b"".join(struct.pack(">2I3f", label, 0, 0, 0, 0) for label in labels)
  return struct.pack(">3I", tag, 0, len(labels)) + descriptions


def xml(stereo: str = "mono", projection: str = "equirectangular", **fields) -> str:
  """Metadata version 1."""
  named = {
    "Spherical": "true", "ProjectionType": projection, "StereoMode": stereo, **fields,
  }  # fmt: skip
  inside = "".join(f"<GSpherical:{k}>{v}</GSpherical:{k}>" for k, v in named.items())
  return f'<?xml version="1.0"?><rdf:SphericalVideo>{inside}</rdf:SphericalVideo>'


def change_matroska(
  path: str, *, stereo_mode: Optional[int] = None, projection: bytes = b""
) -> None:
  """Adds elements to the first video track; the file was written with `ROOM`."""
  added = projection
  if stereo_mode is not None:
    added += element(b"\x53\xb8", bytes([stereo_mode]))
  with open(path, "rb") as f:
    data = f.read()
  at = data.index(_SEGMENT) + 4 + 8
  places = dict(_elements(data, at))
  start, end = places[_TRACKS]
  tracks = _changed(data[start:end], [_TRACKS, _TRACK_ENTRY, _VIDEO], added)
  void_start, void_end = places[_VOID]
  grown = len(tracks) - (end - start)
  void = void_end - void_start - grown
  assert void_start > start and void >= 9, "no room"
  data = (
    data[:start] + tracks + data[end:void_start] + _VOID + _size(void - 9, 8) + bytes(void - 9)
    + data[void_end:]
  )  # fmt: skip
  with open(path, "wb") as f:
    f.write(data)


# Options of a Matroska writer that reserves space for `change_matroska`.
ROOM = {"reserve_index_space": "4000"}


def projection(kind: int, private: bytes = b"", pose_deg: Sequence[float] = (0, 0, 0)) -> bytes:
  """The element Projection of Matroska."""
  inside = element(b"\x76\x71", bytes([kind]))
  if private:
    inside += element(b"\x76\x72", private)
  for number, angle in zip((b"\x76\x73", b"\x76\x74", b"\x76\x75"), pose_deg):
    inside += element(number, struct.pack(">d", angle))
  return element(b"\x76\x70", inside)


def element(number: bytes, contents: bytes) -> bytes:
  """An element of EBML."""
  return number + _size(len(contents), 8) + contents


def _size(size: int, length: int) -> bytes:
  return (size | 1 << 7 * length).to_bytes(length, "big")


def _elements(data: bytes, at: int):
  """Elements with their positions; of repeated elements, the last before the first cluster."""
  while at < len(data):
    id_length = 9 - data[at].bit_length()
    number = data[at : at + id_length]
    if number == _CLUSTER:
      return
    length = 9 - data[at + id_length].bit_length()
    begin = at + id_length + length
    size = int.from_bytes(data[at + id_length : begin], "big") & ((1 << 7 * length) - 1)
    yield number, (at, begin + size)
    at = begin + size


def _changed(data: bytes, path: Sequence[bytes], added: bytes) -> bytes:
  """An element with something added to the element at a path within it."""
  number = path[0]
  length = 9 - data[len(number)].bit_length()
  inside = data[len(number) + length :]
  if len(path) == 1:
    return element(number, inside + added)
  parts, done = [], False
  for name, (start, end) in _elements(inside, 0):
    part = inside[start:end]
    if name == path[1] and not done and (name != _TRACK_ENTRY or _VIDEO in part):
      part, done = _changed(part, path[1:], added), True
    parts.append(part)
  return element(number, b"".join(parts))


B_FORMAT = bytes.fromhex("01 00 00 00 21 07 d3 11 86 44 c8 c1 ca 00 00 00")


def write_wave(
  path: str,
  samples: np.ndarray,
  guid: Optional[bytes] = None,
  chunks: Sequence[tuple[bytes, bytes]] = (),
  rate_hz: int = 48000,
) -> str:
  """Writes 16-bit audio `[samples, channels]` as WAVE, with a sub-format and additional chunks."""
  channels = samples.shape[1]
  header = struct.pack(
    "<HHIIHH", 0xFFFE if guid else 1, channels, rate_hz, 2 * channels * rate_hz, 2 * channels, 16
  )
  if guid:
    header += struct.pack("<HHI", 22, 16, 0) + guid
  data = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
  body = b"".join(
    name + struct.pack("<I", len(fields)) + fields + bytes(len(fields) % 2)
    for name, fields in ((b"fmt ", header), *chunks, (b"data", data))
  )
  with open(path, "wb") as f:
    f.write(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
  return path


def chna(references: Sequence[str]) -> tuple[bytes, bytes]:
  """The chunk that maps the tracks of a WAVE file to their ADM definitions."""
  entries = b"".join(
    struct.pack("<H12s14s11sx", i, b"ATU_%08d" % i, reference.encode(), b"AP_00040001")
    for i, reference in enumerate(references, start=1)
  )
  return b"chna", struct.pack("<2H", len(references), len(references)) + entries


def write_caf(
  path: str, samples: np.ndarray, chunks: Sequence[tuple[bytes, bytes]] = (), rate_hz: int = 48000
) -> str:
  """Writes 16-bit audio `[samples, channels]` as CAF, with additional chunks."""
  channels = samples.shape[1]
  described = struct.pack(">d4s5I", rate_hz, b"lpcm", 2, 2 * channels, 1, channels, 16)
  data = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
  with open(path, "wb") as f:
    f.write(b"caff" + struct.pack(">HH", 1, 0))
    for name, fields in ((b"desc", described), *chunks, (b"data", bytes(4) + data)):
      f.write(name + struct.pack(">q", len(fields)) + fields)
  return path


def two_eyes(packing: str, height: int = 64, width: int = 128, count: int = 50):
  """Stereo frames at 25 Hz, red for the left eye and blue for the right eye."""
  left, right = np.zeros((2, height, width, 3), np.uint8)
  left[..., 0] = right[..., 2] = 200
  axis = {"top-bottom": 0, "left-right": 1}[packing]
  frame = np.concatenate([left, right], axis=axis)
  return [(i / 25, frame) for i in range(count)]


def field(duration_sec: float = 2.0) -> np.ndarray:
  """Four different tones for W, Y, Z and X, float32 `[4, samples]`."""
  tones = [media_variants.sine(duration_sec, 48000, f)[0] for f in (300, 500, 700, 900)]
  return np.stack([g * 2 * t for g, t in zip((0.5, 0.3, 0.2, 0.1), tones)]).astype(np.float32)


def write_tracks(
  path: str, sounds: Sequence[tuple[np.ndarray, str]], default: Optional[int] = None
) -> str:
  """Writes a file with 2:1 frames and several audio tracks.

  Args:
    path: file to write.
    sounds: float32 `[channels, samples]` at 48 kHz, and the layout, per track.
    default: index of the default track, if any.
  """
  with av.open(path, "w") as output:
    video = output.add_stream("libx264", rate=25)
    video.height, video.width, video.pix_fmt = 64, 128, "yuv420p"
    tracks = [output.add_stream("flac", rate=48000, layout=layout) for _, layout in sounds]
    for number, track in enumerate(tracks):
      disposition = av.stream.Disposition.default.value if number == default else 0
      track.disposition = disposition
    packets = []
    for i in range(50):
      frame = av.VideoFrame.from_ndarray(np.full((64, 128, 3), 90, np.uint8), format="rgb24")
      frame.pts, frame.time_base = i, Fraction(1, 25)
      packets += video.encode(frame)
    packets += video.encode(None)
    for track, (samples, layout) in zip(tracks, sounds):
      packets += media_variants.encode_sound(track, samples, layout, 48000, 0)
    for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
      output.mux(packet)
  return path
