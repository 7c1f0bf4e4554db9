"""Tests of the metadata of MP4 and Matroska files about their frames."""

import unittest

from absl.testing import parameterized

from avssl_tf.data.metadata import spherical_metadata
from avssl_tf.data.metadata.isobmff import Box
from avssl_tf.data.metadata.spherical_metadata import LEFT_RIGHT, MONO, TOP_BOTTOM, Said
from tests import media_variants, spatial_files


def _mesh(kind):
  return spatial_files.sv3d(kind, b"mesh" * 8)


class SphericalMetadataTest(media_variants.MediaTestCase):

  @parameterized.parameters(
    (0, MONO, False), (1, TOP_BOTTOM, False), (2, LEFT_RIGHT, False), (4, LEFT_RIGHT, True),
    (3, spherical_metadata.CUSTOM, False), (9, spherical_metadata.CUSTOM, False),
  )  # fmt: skip
  def test_stereo_modes_of_mp4(self, mode, packing, right_first):
    path = self.write("a.mp4")
    spatial_files.change_mp4(path, [spatial_files.st3d(mode)])
    self.assertEqual(spatial_files.said_of(path), Said(packing, right_first))

  @parameterized.parameters(
    (0, MONO, False), (1, LEFT_RIGHT, False), (2, TOP_BOTTOM, True), (3, TOP_BOTTOM, False),
    (11, LEFT_RIGHT, True), (5, spherical_metadata.CHECKERBOARD, False),
    (7, spherical_metadata.ROWS, False), (9, spherical_metadata.COLUMNS, False),
    (10, spherical_metadata.ANAGLYPH, False), (12, spherical_metadata.ANAGLYPH, False),
    (13, spherical_metadata.ALTERNATING, False), (14, spherical_metadata.ALTERNATING, True),
    (99, spherical_metadata.CUSTOM, False),
  )  # fmt: skip
  def test_stereo_modes_of_matroska(self, mode, packing, right_first):
    path = self.write("a.mkv", container_options=spatial_files.ROOM)
    spatial_files.change_matroska(path, stereo_mode=mode)
    self.assertEqual(spatial_files.said_of(path), Said(packing, right_first))

  def test_projections_of_mp4(self):
    for name, box, said in (
      ("equi", spatial_files.sv3d(), Said(projection="equirectangular")),
      (
        "half",
        spatial_files.sv3d(fields=spatial_files.bounds(0, 0, 0.25, 0.25)),
        Said(projection="equirectangular", cut=(0.25, 0.0, 0.25, 0.0)),
      ),
      (
        "pose",
        spatial_files.sv3d(pose_deg=(90, -30, 5)),
        Said(projection="equirectangular", pose_deg=(90.0, -30.0, 5.0)),
      ),
      ("cube", spatial_files.sv3d(b"cbmp", bytes(8)), Said(projection="cubemap")),
      ("mesh", _mesh(b"mshp"), Said(projection="mesh")),
      ("youtube", _mesh(b"ytmp"), Said(projection="equi-angular cubemap")),
      ("new", _mesh(b"neww"), Said(projection="unknown")),
    ):
      with self.subTest(name):
        path = self.write(f"{name}.mp4")
        spatial_files.change_mp4(path, [box])
        self.assertEqual(spatial_files.said_of(path), said)

  def test_projections_of_matroska(self):
    half = bytes(4) + spatial_files.bounds(0, 0, 0.25, 0.25)
    for name, element, said in (
      ("flat", spatial_files.projection(0, pose_deg=(0, 0, 90)), Said()),
      ("equi", spatial_files.projection(1), Said(projection="equirectangular")),
      (
        "half",
        spatial_files.projection(1, half),
        Said(projection="equirectangular", cut=(0.25, 0.0, 0.25, 0.0)),
      ),
      (
        "pose",
        spatial_files.projection(1, pose_deg=(90, -30, 5)),
        Said(projection="equirectangular", pose_deg=(90.0, -30.0, 5.0)),
      ),
      ("cube", spatial_files.projection(2, bytes(12)), Said(projection="cubemap")),
      ("mesh", spatial_files.projection(3, bytes(40)), Said(projection="mesh")),
      (
        "youtube",
        spatial_files.projection(3, b"\0\0\1\0ytmp" + bytes(32)),
        Said(projection="equi-angular cubemap"),
      ),
      ("new", spatial_files.projection(7), Said(projection="unknown")),
    ):
      with self.subTest(name):
        path = self.write(f"{name}.mkv", container_options=spatial_files.ROOM)
        spatial_files.change_matroska(path, projection=element)
        self.assertEqual(spatial_files.said_of(path), said)

  def test_version_1_whose_view_is_only_a_view(self):
    path = self.write("a.mp4")
    view = {"InitialViewHeadingDegrees": 90, "InitialViewPitchDegrees": 20}
    spatial_files.change_mp4(path, xml=spatial_files.xml("top-bottom", **view))
    said = Said(TOP_BOTTOM, projection="equirectangular")
    self.assertEqual(spatial_files.said_of(path), said)
    cropped = {
      "FullPanoWidthPixels": 400, "FullPanoHeightPixels": 200, "CroppedAreaImageWidthPixels": 200,
      "CroppedAreaImageHeightPixels": 180, "CroppedAreaLeftPixels": 100, "CroppedAreaTopPixels": 20,
    }  # fmt: skip
    said = spherical_metadata.of_xml(spatial_files.xml(**cropped))
    self.assertEqual(said, Said(MONO, projection="equirectangular", cut=(0.25, 0.1, 0.25, 0.0)))
    flat = spatial_files.xml().replace("true", "false")
    self.assertEqual(spherical_metadata.of_xml(flat), Said(MONO))

  def test_version_2_comes_before_version_1(self):
    path = self.write("a.mp4")
    spatial_files.change_mp4(path, [spatial_files.st3d(2)], xml=spatial_files.xml("mono"))
    said = Said(LEFT_RIGHT, projection="equirectangular")
    self.assertEqual(spatial_files.said_of(path), said)

  def test_boxes_of_apple(self):
    def full(kind, name):
      return Box(kind, bytes(4) + name)

    for packing, projection, said in (
      (b"side", b"equi", Said(LEFT_RIGHT, projection="equirectangular")),
      (b"over", b"hequ", Said(TOP_BOTTOM, projection="half equirectangular")),
      (b"side", b"fish", Said(LEFT_RIGHT, projection="fisheye")),
      (b"side", b"rect", Said(LEFT_RIGHT)),
    ):
      inside = Box(b"vexu", boxes=[
        Box(b"pack", boxes=[full(b"pkin", packing)]),
        Box(b"proj", boxes=[full(b"prji", projection)]),
      ])  # fmt: skip
      path = self.write("a.mp4")
      spatial_files.change_mp4(path, [inside])
      self.assertEqual(spatial_files.said_of(path), said)

  def test_frame_packing_in_the_pictures_themselves(self):
    for number, packing in ((3, LEFT_RIGHT), (4, TOP_BOTTOM), (5, spherical_metadata.ALTERNATING)):
      path = self.write(
        f"{number}.ts", spatial_files.two_eyes("top-bottom"), duration_sec=2.0,
        video_options={"x264-params": f"frame-packing={number}"},
      )  # fmt: skip
      self.assertEqual(spatial_files.said_of(path).packing, packing)

  def test_a_file_that_takes_the_place_of_another_is_read_again(self):
    path = self.write("a.mp4")
    self.assertEqual(spatial_files.said_of(path), Said())
    spatial_files.change_mp4(path, [spatial_files.st3d(1)])
    self.assertEqual(spatial_files.said_of(path), Said(TOP_BOTTOM))


if __name__ == "__main__":
  unittest.main()
