"""Tests of the metadata of files about their audio channels."""

import os
import unittest

import numpy as np
from absl.testing import parameterized

from avssl_tf.data.metadata import ambisonic_metadata
from avssl_tf.data.metadata.ambisonic_field import FUMA, N3D, SN3D
from avssl_tf.data.metadata.isobmff import Box
from tests import media_variants, spatial_files

_BOX = "its SA3D box"


class AmbisonicMetadataTest(media_variants.MediaTestCase):

  def path(self, name):
    return os.path.join(self.folder, name)

  def mp4(self, box, name="a.mov", samples=None, layout="4.0"):
    samples = spatial_files.field(0.5) if samples is None else samples
    path = self.write(name, samples=samples, layout=layout, audio_codec="pcm_s16le")
    spatial_files.change_mp4(path, sound=[box])
    return path

  def assert_field(self, path, components, weights=SN3D):
    field = spatial_files.field_of(path)
    self.assertIsNone(field.problem)
    self.assertEqual((field.components, field.weights), (components, weights))

  def test_nothing_is_said(self):
    for name, codec in (("a.mov", "pcm_s16le"), ("a.mkv", "flac"), ("a.wav", "pcm_s16le")):
      pictures = None if name.endswith("wav") else "plain"
      path = self.write(
        name, pictures, spatial_files.field(1.0), layout="4.0", audio_codec=codec
      )
      self.assertIsNone(spatial_files.field_of(path))

  def test_channel_maps_of_mp4(self):
    self.assert_field(self.mp4(spatial_files.sa3d([0, 1, 2, 3])), (0, 1, 2, 3))
    self.assert_field(self.mp4(spatial_files.sa3d([0, 3, 1, 2])), (0, 3, 1, 2))
    samples = np.repeat(spatial_files.field(0.5)[:1], 6, axis=0)
    path = self.mp4(spatial_files.sa3d(range(6), kind=128), samples=samples, layout="5.1")
    self.assert_field(path, (0, 1, 2, 3, None, None))
    box = spatial_files.sa3d(range(11), order=2, kind=128)
    field = ambisonic_metadata._of_entries([Box(b"mp4a", bytes(28), [box])])
    self.assertEqual(field.components, (*range(9), None, None))

  @parameterized.parameters(
    ({"version": 1}, "version 1; expected 0"), ({"kind": 2}, "ambisonic type 2; expected 0"),
    ({"weights": 1}, "normalisation 1; expected 0"),
  )  # fmt: skip
  def test_boxes_that_cannot_be_heeded(self, options, problem):
    field = spatial_files.field_of(self.mp4(spatial_files.sa3d([0, 1, 2, 3], **options)))
    self.assertEqual((field.where, field.problem), (_BOX, problem))

  def test_damaged_boxes(self):
    whole = spatial_files.sa3d([0, 1, 2, 3]).fields
    for length in (0, 5, 11, 15, 27):  # FFmpeg refuses most of these files entirely.
      entry = Box(b"sowt", bytes(28), [Box(b"SA3D", whole[:length])])
      field = ambisonic_metadata._of_entries([entry])
      self.assertIn("damaged data", field.problem)
    field = spatial_files.field_of(self.mp4(spatial_files.sa3d([0, 1, 1, 3])))
    self.assertIn("same component", field.problem)

  def test_layouts_of_coreaudio(self):
    for tag, labels, components, weights in (
      (190 << 16 | 4, (), (0, 1, 2, 3), SN3D),
      (191 << 16 | 4, (), (0, 1, 2, 3), N3D),
      (107 << 16 | 4, (), (0, 3, 1, 2), FUMA),
      (0, (200, 201, 202, 203), (0, 3, 1, 2), FUMA),
      (0, (2 << 16 | 1, 2 << 16 | 0, 2 << 16 | 2, 2 << 16 | 3), (1, 0, 2, 3), SN3D),
      (0, (3 << 16 | 0, 3 << 16 | 1, 3 << 16 | 2, 3 << 16 | 3), (0, 1, 2, 3), N3D),
    ):
      fields = spatial_files.chan(tag, labels)
      samples = spatial_files.field(0.5).T
      with self.subTest(tag=tag, labels=labels):
        caf = spatial_files.write_caf(self.path("a.caf"), samples, [(b"chan", fields)])
        self.assert_field(caf, components, weights)
        self.assert_field(self.mp4(Box(b"chan", bytes(4) + fields)), components, weights)

  def test_extended_ambix(self):
    chunk = (b"uuid", b"IEM.AT/AMBIX/XML" + bytes(84))
    path = spatial_files.write_caf(self.path("a.caf"), spatial_files.field(0.5).T, [chunk])
    self.assertIn("the extended format", spatial_files.field_of(path).problem)

  def test_b_format_of_wave(self):
    samples = spatial_files.field(0.5).T
    floats = b"\3" + spatial_files.B_FORMAT[1:]
    for name, guid in (("a.wav", spatial_files.B_FORMAT), ("a.amb", spatial_files.B_FORMAT)):
      path = spatial_files.write_wave(self.path(name), samples, guid)
      self.assert_field(path, (0, 3, 1, 2), FUMA)
    with open(path, "r+b") as f:
      data = f.read().replace(spatial_files.B_FORMAT, floats)
      f.seek(0)
      f.write(data)
    self.assert_field(path, (0, 3, 1, 2), FUMA)
    path = spatial_files.write_wave(self.path("a.wav"), samples[:, :3], spatial_files.B_FORMAT)
    self.assert_field(path, (0, 3, 1), FUMA)
    path = spatial_files.write_wave(self.path("a.wav"), samples[:, :2], spatial_files.B_FORMAT)
    self.assertIn("2 channel(s); FuMa has", spatial_files.field_of(path).problem)
    # The usual sub-format.
    pcm = bytes.fromhex("01 00 00 00 00 00 10 00 80 00 00 aa 00 38 9b 71")
    self.assertIsNone(spatial_files.field_of(spatial_files.write_wave(path, samples, pcm)))

  def test_definitions_of_adm(self):
    samples = spatial_files.field(0.5).T
    for number, weights in enumerate((SN3D, N3D, FUMA)):
      names = [f"AT_0004{number:02x}{place + 1:02x}_01" for place in (0, 3, 1, 2)]
      path = spatial_files.write_wave(
        self.path("a.wav"), samples, None, [spatial_files.chna(names)]
      )
      self.assert_field(path, (0, 3, 1, 2), weights)
    loudspeakers = [spatial_files.chna(["AT_00010001_01"] * 4)]
    path = spatial_files.write_wave(self.path("a.wav"), samples, None, loudspeakers)
    self.assertIsNone(spatial_files.field_of(path))
    own = [spatial_files.chna(["AT_00041001_01"] * 4)]
    path = spatial_files.write_wave(self.path("a.wav"), samples, None, own)
    self.assertIn("custom definitions", spatial_files.field_of(path).problem)

  @parameterized.parameters(".mkv", ".webm", ".mp4", ".ogg")
  def test_ambisonics_in_opus(self, ending):
    pictures = None if ending == ".ogg" else "plain"
    path = self.write(
      f"a{ending}", pictures, spatial_files.field(1.0), layout="ambisonic 1",
      audio_codec="libopus", video_codec="libvpx-vp9", audio_options={"mapping_family": "2"},
    )  # fmt: skip
    field = spatial_files.field_of(path)
    self.assertEqual(field.components, (0, 1, 2, 3))
    self.assertIn("Opus header (channel mapping family 2)", field.where)


if __name__ == "__main__":
  unittest.main()
