"""Tests that the left of two eyes is read, and 360° frames according to the metadata."""

import unittest

import numpy as np
from absl.testing import parameterized

from avssl_tf.data.media import clip_reading, media_probe, picture_stream
from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.data.media.picture_view import Wanted
from tests import media_variants, spatial_files

_360 = Wanted("equirectangular")
_CUBES = Wanted("cubemap")
_RED, _BLUE = (200, 0, 0), (0, 0, 200)


class PictureViewTest(media_variants.MediaTestCase):

  def eyes(self, name, packing, *boxes, stereo_mode=None, projection=b"", height=64, width=128):
    pictures = spatial_files.two_eyes(packing, height, width)
    path = self.write(
      name, pictures, duration_sec=2.0, container_options=spatial_files.ROOM
      if name.endswith("mkv") else {},
    )  # fmt: skip
    if boxes:
      spatial_files.change_mp4(path, boxes)
    elif stereo_mode is not None or projection:
      spatial_files.change_matroska(path, stereo_mode=stereo_mode, projection=projection)
    return path

  def assert_read(self, path, colour, wanted=_360, size=(64, 128)):
    info = media_probe.probe(path, ("video",), wanted)
    self.assertEqual((info.height, info.width), size)
    self.assertRegex(info.notes[0], "according to .*: the left eye is used")
    # Also at the border of the eyes, at the beginning and after a seek.
    for start_sec in (0.0, 1.6):
      frames = clip_reading.read_clip(
        path, start_sec, start_sec + 0.2, short_side=size[0], modalities=("video",), wanted=wanted
      ).frames
      self.assertEqual(frames.shape[1:3], size)
      inner = frames[:, 2:-2, 2:-2]
      np.testing.assert_allclose(inner, np.broadcast_to(colour, inner.shape), atol=12)
    with picture_stream.open_pictures(path, wanted.projection, wanted.stereo_mode) as stream:
      self.assertEqual((stream.height, stream.width), size)
      self.assertEqual(stream.view.notes, info.notes)
      _, frame = next(stream.frames())
      picture = stream.to_rgb(frame, *size)
      self.assertEqual(picture.shape, (*size, 3))
      np.testing.assert_allclose(picture[20, 30], colour, atol=12)

  @parameterized.parameters(
    ("top-bottom", 1, 3, _RED), ("left-right", 2, 1, _RED), ("left-right", 4, 11, _BLUE),
    ("top-bottom", None, 2, _BLUE),
  )  # fmt: skip
  def test_the_left_eye_is_taken(self, packing, of_mp4, of_matroska, colour):
    # If the right eye comes first, red is the right one.
    if of_mp4 is not None:
      boxes = (spatial_files.st3d(of_mp4), spatial_files.sv3d())
      self.assert_read(self.eyes("a.mp4", packing, *boxes), colour)
    path = self.eyes("a.mkv", packing, stereo_mode=of_matroska)
    self.assert_read(path, colour)
    self.assert_read(path, colour, Wanted())

  def test_eyes_that_only_the_flag_knows_of(self):
    path = self.eyes("a.mp4", "top-bottom")
    self.assert_read(path, _RED, Wanted("equirectangular", "top_bottom"))
    info = media_probe.probe(path, ("video",), Wanted("equirectangular", "top_bottom"))
    self.assertIn("according to --stereo_mode=top_bottom", info.notes[0])
    with self.assertRaisesRegex(MediaError, "frames are 128x128.*: if it shows two eyes, one"):
      with picture_stream.open_pictures(path):
        pass
    path = self.eyes("b.mp4", "left-right")
    with self.assertRaisesRegex(MediaError, "pass --stereo_mode=left_right"):
      with picture_stream.open_pictures(path):
        pass

  def test_a_flag_that_contradicts_the_file(self):
    path = self.eyes("a.mp4", "top-bottom", spatial_files.st3d(1))
    for flag in ("mono", "left_right"):
      with self.assertRaisesRegex(
        MediaError, f"the file states 'top-bottom', but --stereo_mode={flag} was requested"
      ):
        media_probe.probe(path, ("video",), Wanted("equirectangular", flag))
    with self.assertRaisesRegex(ValueError, "stereo_mode is 'both'; expected one of auto, mono"):
      Wanted(stereo_mode="both")

  @parameterized.parameters(
    (4, "a checkerboard"), (6, "interleaved rows"), (8, "interleaved columns"), (10, "an anaglyph"),
    (13, "alternating frames"), (50, "a custom or unknown stereo packing"),
  )  # fmt: skip
  def test_other_ways_of_showing_two_eyes(self, number, message):
    path = self.eyes("a.mkv", "left-right", stereo_mode=number)
    for wanted in (_360, Wanted()):
      with self.assertRaisesRegex(MediaError, f"two eyes: .* {message}.* Write only the left eye"):
        media_probe.probe(path, ("video",), wanted)
      with self.assertRaisesRegex(MediaError, message):
        clip_reading.read_clip(path, 0.0, 1.0, modalities=("video",), wanted=wanted)

  def test_parts_of_a_sphere(self):
    half = spatial_files.bounds(0, 0, 0.25, 0.25)
    vr180 = self.eyes(
      "a.mp4", "left-right", spatial_files.st3d(2), spatial_files.sv3d(fields=half), width=64
    )
    message = r"half a sphere: .* 180° x 180°, for each of two eyes \(left-right\); expected the"
    with self.assertRaisesRegex(MediaError, message):
      media_probe.probe(vr180, ("video",), _360)
    # An ordinary frame of the left eye, in its shape.
    self.assert_read(vr180, _RED, Wanted(), (64, 64))
    element = spatial_files.projection(1, bytes(4) + half)
    with self.assertRaisesRegex(MediaError, message):
      media_probe.probe(
        self.eyes("a.mkv", "left-right", stereo_mode=1, projection=element, width=64),
        ("video",), _360,
      )  # fmt: skip
    # Without bounds, the shape of an eye decides.
    path = self.eyes("b.mkv", "left-right", stereo_mode=1, width=64)
    with self.assertRaisesRegex(MediaError, r"two eyes \(left-right\) of 64x64 pixels each; .*2:1"):
      media_probe.probe(path, ("video",), _360)
    cut = self.write("c.mp4", [(i / 25, np.zeros((64, 128, 3), np.uint8)) for i in range(25)])
    spatial_files.change_mp4(cut, [spatial_files.sv3d(fields=spatial_files.bounds(0.2, 0, 0, 0))])
    with self.assertRaisesRegex(MediaError, "part of the sphere: .* 360° x 144°; expected"):
      media_probe.probe(cut, ("video",), _360)

  def test_projections_against_the_flag(self):
    mesh = bytes(40)
    for box, wanted, message in (
      (spatial_files.sv3d(), _CUBES, "--projection=cubemap .*Pass --projection=equirectangular"),
      (spatial_files.sv3d(b"ytmp", mesh), _360, "'equi-angular .*Pass --projection=cubemap"),
      (spatial_files.sv3d(b"cbmp", bytes(8)), _CUBES, "states 'cubemap', .*Convert it to equirect"),
      (spatial_files.sv3d(b"cbmp", bytes(8)), _360, "states 'cubemap', .*Convert it to equirect"),
      (spatial_files.sv3d(b"mshp", mesh), _360, "states 'mesh'.*YouTube.*--projection=cubemap"),
      (spatial_files.sv3d(pose_deg=(90, 0, 0)), _360, r"rotated by 90° \(yaw\), 0° \(pitch\)"),
    ):
      path = self.write("a.mp4")
      spatial_files.change_mp4(path, [box])
      with self.subTest(message), self.assertRaisesRegex(MediaError, message):
        media_probe.probe(path, ("video",), wanted)
    for kind in (b"ytmp", b"mshp"):
      path = self.write("a.mp4")
      spatial_files.change_mp4(path, [spatial_files.sv3d(kind, mesh)])
      self.assertEqual(media_probe.probe(path, ("video",), _CUBES).notes, ())

  def test_ordinary_reading_of_360_video_is_noted(self):
    path = self.write("a.mp4")
    spatial_files.change_mp4(path, [spatial_files.sv3d()])
    (note,) = media_probe.probe(path).notes
    self.assertRegex(note, r"360° video \(equirectangular\): its frames are")
    self.assertEqual(media_probe.probe(path, ("audio",)).notes, ())

  def test_films_of_two_squeezed_eyes_get_their_shape_back(self):
    squeezed = self.eyes("a.mkv", "left-right", stereo_mode=1, height=72, width=64)
    info = media_probe.probe(squeezed, ("video",))
    self.assertEqual((info.height, info.width), (72, 128))
    frames = clip_reading.read_clip(squeezed, 0, 1, short_side=72, modalities=("video",)).frames
    self.assertEqual(frames.shape[1:], (72, 128, 3))
    np.testing.assert_allclose(frames[5, 30, [5, 120]], [_RED, _RED], atol=12)

  def test_eyes_in_turned_pictures(self):
    path = self.eyes("a.mp4", "top-bottom", spatial_files.st3d(1))
    media_variants.set_rotation(path, 90)
    with self.assertRaisesRegex(MediaError, "stereoscopic frames with a rotation"):
      media_probe.probe(path, ("video",), _360)


if __name__ == "__main__":
  unittest.main()
