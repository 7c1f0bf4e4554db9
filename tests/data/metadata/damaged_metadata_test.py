"""Tests that damaged container metadata is ignored or misread, but causes no other error."""

import io
import os
import unittest

import numpy as np

from avssl_tf.data.metadata import (
  ambisonic_chunks,
  ambisonic_metadata,
  isobmff,
  matroska,
  spherical_metadata,
)
from tests import media_variants, spatial_files

_NUM_DAMAGED = 300


class DamagedMetadataTest(media_variants.MediaTestCase):

  def damaged(self, path, first, last):
    """Copies of a file with changed bytes in a part of it, or truncated there."""
    with open(path, "rb") as f:
      data = f.read()
    rng = np.random.default_rng(0)
    for number in range(_NUM_DAMAGED):
      changed = bytearray(data)
      for place in rng.integers(first, min(last, len(data)), rng.integers(1, 20)):
        changed[place] = rng.choice([0, 255, rng.integers(256)])
      if number % 10 == 0:
        changed = changed[: rng.integers(first, min(last, len(data)))]
      copy = f"{path}.{number}"
      with open(copy, "wb") as f:
        f.write(changed)
      yield copy
      os.remove(copy)

  def test_mp4(self):
    path = self.write("a.mp4", samples=spatial_files.field(0.2), layout="4.0", duration_sec=0.2)
    boxes = [spatial_files.st3d(1), spatial_files.sv3d(fields=spatial_files.bounds(0, 0, 0, 0.2))]
    spatial_files.change_mp4(
      path, boxes, [spatial_files.sa3d([0, 1, 2, 3])], xml=spatial_files.xml("top-bottom")
    )
    with open(path, "rb") as f:
      start = f.read().index(b"moov")
    for copy in self.damaged(path, start, start + 3000):
      for said in spherical_metadata._all_of_mp4(copy, 0, 0).values():
        self.assertIsInstance(said, spherical_metadata.Said)
      ambisonic_metadata._all_of_mp4(copy, 0, 0)

  def test_matroska(self):
    path = self.write("a.mkv", container_options=spatial_files.ROOM)
    element = spatial_files.projection(1, bytes(20), (1, 2, 3))
    spatial_files.change_matroska(path, stereo_mode=3, projection=element)
    for copy in self.damaged(path, 0, 1200):
      for said in spherical_metadata._all_of_matroska(copy, 0, 0):
        self.assertIsInstance(said, spherical_metadata.Said)

  def test_sound_files(self):
    samples = spatial_files.field(0.05).T
    chunk = spatial_files.chna([f"AT_0004000{i}_01" for i in (1, 2, 3, 4)])
    wave = spatial_files.write_wave(
      os.path.join(self.folder, "a.wav"), samples, spatial_files.B_FORMAT, [chunk]
    )
    layout = (b"chan", spatial_files.chan(0, [200, 201, 202, 203]))
    caf = spatial_files.write_caf(os.path.join(self.folder, "a.caf"), samples, [layout])
    for path, kind in ((wave, "wav"), (caf, "caf")):
      for copy in self.damaged(path, 0, 300):
        field = ambisonic_chunks.of_chunks(copy, kind, 0, 0)
        self.assertIsInstance(field, (ambisonic_metadata.Field, type(None)))

  def test_elements_without_end_and_without_number(self):
    head = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
    for contents in (
      b"\xec\x80" * 100_000,
      b"\x16\x54\xae\x6b\x01\xff\xff\xff\xff\xff\xff\xff\xae\x80",
      spatial_files.element(b"\x16\x54\xae\x6b", b"\xae\x80" * 100_000),
      b"\x16\x54\xae\x6b\x08\xff\xff\xff\xff",
      b"",
    ):
      self.assertEqual(matroska.picture_tracks(io.BytesIO(head + contents)), [])

  def test_a_movie_box_that_is_too_large(self):
    path = os.path.join(self.folder, "a.mp4")
    with open(path, "wb") as f:
      f.write((1 << 30).to_bytes(4, "big") + b"moov")
      f.truncate(1 << 30)
    with open(path, "rb") as f, self.assertRaisesRegex(isobmff.BoxError, "expected at most"):
      isobmff.read_movie(f)


if __name__ == "__main__":
  unittest.main()
