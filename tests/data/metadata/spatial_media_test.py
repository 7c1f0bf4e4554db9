"""Tests of the metadata of 360° video and ambisonics, with an independent reader of boxes."""

import io
import struct
import unittest
import xml.etree.ElementTree as ET
from fractions import Fraction
from typing import NamedTuple
from unittest import mock

import av
import numpy as np

from avssl_tf.data.metadata import isobmff, spatial_media
from tests import media_variants

_HEADERS = {b"stsd": 8, b"avc1": 78, b"hvc1": 78, b"mp4a": 28}
_WITH_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"sv3d", b"proj", *_HEADERS}
_SPHERICAL = "{http://ns.google.com/videos/1.0/spherical/}"


class _Found(NamedTuple):
  path: str
  at: int
  contents: bytes


def _boxes(data, start=0, end=None, path=""):
  """All boxes of a file, depth first."""
  end = len(data) if end is None else end
  while start < end:
    size, kind = struct.unpack(">I4s", data[start : start + 8])
    header = 8
    if size == 1:
      size, header = struct.unpack(">Q", data[start + 8 : start + 16])[0], 16
    size = size or end - start
    name = f"{path}/{kind.decode('latin-1')}"
    yield _Found(name, start, data[start + header : start + size])
    if kind in _WITH_BOXES:
      inside = start + header + _HEADERS.get(kind, 0)
      yield from _boxes(data, inside, start + size, name)
    start += size


def _decoded(data):
  """Frames of a file with their times, and samples with the time of the first."""
  with av.open(io.BytesIO(data)) as container:
    pictures = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    container.seek(0)
    sound = list(container.decode(audio=0))
  return pictures, sound[0].time, np.concatenate([f.to_ndarray() for f in sound], axis=1)


class SpatialMediaTest(media_variants.MediaTestCase):

  def file(self, **options):
    """Bytes of a small video with four audio channels."""
    rng = np.random.default_rng(0)
    pictures = [
      (Fraction(k, 10), np.kron(rng.integers(0, 255, (4, 8, 3)), np.ones((16, 16, 1))).astype("u1"))
      for k in range(12)
    ]
    tones = [media_variants.sine(1.2, 48000, f)[0] for f in (300, 700, 1500, 4000)]
    path = self.write(
      "plain.mp4", pictures, np.stack(tones), **{"layout": "4.0", "keyframe_interval": 5, **options}
    )
    with open(path, "rb") as f:
      return f.read()

  def marked(self, data):
    target = io.BytesIO()
    spatial_media.mark(io.BytesIO(data), target)
    return target.getvalue()

  def assert_plays_alike(self, data, other):
    pictures, start, samples = _decoded(data)
    other_pictures, other_start, other_samples = _decoded(other)
    self.assertEqual(len(pictures), 12)
    self.assertEqual([t for t, _ in pictures], [t for t, _ in other_pictures])
    for (_, picture), (_, other_picture) in zip(pictures, other_pictures):
      np.testing.assert_array_equal(picture, other_picture)
    self.assertEqual(start, other_start)
    np.testing.assert_array_equal(samples, other_samples)

  def test_every_field_is_what_the_drafts_say(self):
    found = list(_boxes(self.marked(self.file())))
    boxes = {box.path: box.contents for box in found}
    sound = boxes["/moov/trak/mdia/minf/stbl/stsd/mp4a/SA3D"]
    self.assertEqual(struct.unpack(">BBIBBI4I", sound), (0, 0, 1, 0, 0, 4, 0, 1, 2, 3))
    entry = "/moov/trak/mdia/minf/stbl/stsd/avc1"
    self.assertEqual(boxes[f"{entry}/st3d"], bytes(5))
    self.assertEqual(boxes[f"{entry}/sv3d/svhd"], b"\0\0\0\0avssl_tf\0")
    self.assertEqual(boxes[f"{entry}/sv3d/proj/prhd"], bytes(16))
    self.assertEqual(boxes[f"{entry}/sv3d/proj/equi"], bytes(20))
    # After the codec configuration, before the optional boxes.
    order = [b.path.removeprefix(f"{entry}/") for b in found if b.path.startswith(f"{entry}/")]
    order = [name for name in order if "/" not in name]
    self.assertEqual(order[:3], ["avcC", "st3d", "sv3d"])
    self.assertGreater(len(order), 3)

    xml = boxes["/moov/trak/uuid"]
    self.assertEqual(xml[:16].hex(), "ffcc8263f8554a938814587a02521fdd")
    tree = ET.fromstring(xml[16:].decode("utf-8"))
    self.assertEqual(tree.tag, "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}SphericalVideo")
    texts = {child.tag.removeprefix(_SPHERICAL): child.text for child in tree}
    self.assertEqual((texts["Spherical"], texts["Stitched"]), ("true", "true"))
    self.assertEqual(texts["ProjectionType"], "equirectangular")
    self.assertIn("StitchingSoftware", texts)
    # Only the video track has the metadata.
    self.assertEqual([box.path for box in found].count("/moov/trak/uuid"), 1)

  def test_files_play_as_before_whatever_the_order_of_their_boxes(self):
    for name, options in (
      ("samples first", {}),
      ("movie box first", {"container_options": {"movflags": "+faststart"}}),
      ("places of eight bytes", {"container_options": {"movflags": "+faststart"}}),
    ):
      with self.subTest(name):
        data = self.file(**options)
        if name == "places of eight bytes":
          data = _with_large_places(data)
          self.assertNotIn(b"stco", data)
        kinds = [box.path for box in _boxes(data) if box.path.count("/") == 1]
        first = name != "samples first"
        self.assertEqual(kinds.index("/moov") < kinds.index("/mdat"), first)
        marked = self.marked(data)
        kinds = [box.path for box in _boxes(marked) if box.path.count("/") == 1]
        self.assertLess(kinds.index("/moov"), kinds.index("/mdat"))
        self.assert_plays_alike(data, marked)

  def test_marks_again_change_nothing(self):
    once = self.marked(self.file())
    self.assertEqual(self.marked(once), once)

  def test_chunk_places_grow_to_eight_bytes_where_four_do_not_do(self):
    movie = isobmff.read_movie(io.BytesIO(self.file()))
    tables = list(movie.find_all(b"trak", b"mdia", b"minf", b"stbl", b"stco"))
    self.assertEqual(len(tables), 2)
    # As in a file of 4 GiB, in which the larger movie box moves the last samples beyond the limit.
    first, last = 100, 2**32 - 10
    for table in tables:
      table.fields = bytes(4) + struct.pack(">3I", 2, first, last)
    size = movie.size
    samples = isobmff._Extent(b"mdat", 20, 2**32, 8)
    isobmff._move_samples(movie, [isobmff._Extent(b"ftyp", 0, 20, 8)], [samples])
    self.assertEqual([table.type for table in tables], [b"co64", b"co64"])
    grown = movie.size
    self.assertEqual(grown, size + 2 * 2 * 4)
    for table in tables:
      self.assertEqual(struct.unpack(">2Q", table.fields[8:]), (first + grown, last + grown))

  def test_what_cannot_be_marked_is_told(self):
    data = self.file()
    stereo = self.file(layout="4.0", audio_layout="stereo")
    fragments = self.file(container_options={"movflags": "+frag_keyframe+empty_moov"})
    with open(self.write("sound.mp4", None, np.zeros((4, 4800), "f4"), layout="4.0"), "rb") as f:
      sound = f.read()
    for content, message in (
      (b"", "it has 0 'moov' boxes"),
      (b"This is no video." * 9, "a box of 1416128883 bytes at 0 of 153"),
      (data[:-9], "not an MP4, or damaged"),
      (stereo, r"the audio has 2 channel\(s\); expected 4"),
      (sound, "no video track"),
      (fragments, "is fragmented"),
      (data.replace(b"mdat", b"free"), "outside of all 'mdat' boxes"),
    ):
      with self.subTest(message), self.assertRaisesRegex(isobmff.BoxError, message):
        self.marked(content)


def _with_large_places(data: bytes) -> bytes:
  """The same file with `co64` instead of `stco`."""
  source, target = io.BytesIO(data), io.BytesIO()
  movie = isobmff.read_movie(source)
  with mock.patch.object(isobmff, "_LARGEST_U32", 2):
    isobmff.replace_movie(source, target, movie)
  return target.getvalue()



class HostileBoxesTest(unittest.TestCase):

  def assert_damaged(self, data):
    with self.assertRaisesRegex(isobmff.BoxError, "damaged"):
      isobmff.read_movie(io.BytesIO(data))

  def test_boxes_in_boxes_without_end(self):
    data = b""
    for _ in range(5000):
      data = struct.pack(">I4s", len(data) + 8, b"trak") + data
    self.assert_damaged(struct.pack(">I4s", len(data) + 8, b"moov") + data)

  def test_boxes_without_number(self):
    empty = struct.pack(">I4s", 8, b"free") * 1_100_000
    self.assert_damaged(empty)
    self.assert_damaged(struct.pack(">I4s", len(empty) + 8, b"moov") + empty)


if __name__ == "__main__":
  unittest.main()
