"""Tests of reading 360° files: frames by projection, audio by channel order."""

import os

import numpy as np
import tensorflow as tf
from scipy.io import wavfile

from avssl_tf.data.building.spherical_reader import SphericalReader
from avssl_tf.data.clip_content import PlannedClip
from avssl_tf.data.media.clip_reading import MediaError
from avssl_tf.data.metadata.spherical_metadata import EQUI_ANGULAR_CUBEMAP
from avssl_tf.spatial import ambisonics
from tests import media_variants, source_tree, test_base
from tests.data.building import segmentation_maps_test

_BOTH = ("video", "audio")
_FIELD = os.path.join(str(source_tree.ROOT), "tests", "testdata", "foa_acn_sn3d_48k.wav")


def _real_field() -> np.ndarray:
  """A real recording, float32 `[samples, 4]`, 48 kHz."""
  _, data = wavfile.read(_FIELD)
  return data.astype(np.float32) / 32768.0


def _pictures(height=64, width=128, count=40):
  """Red left half, blue right half, 20 frames per second."""
  frame = np.zeros([height, width, 3], np.uint8)
  frame[:, : width // 2, 0] = 200
  frame[:, width // 2 :, 2] = 200
  return [(i / 20, frame) for i in range(count)]


class SphericalReaderTest(test_base.TestCase):

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.field = _real_field()

  def write(self, name, field=None, pictures=None, layout="4.0"):
    path = os.path.join(self.get_temp_dir(), self.id(), *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    samples = None if field is None else np.ascontiguousarray(field.T)
    media_variants.write_media(
      path, pictures, samples, layout=layout, audio_codec="flac", pixel_format="yuv444p"
    )
    return path

  def read(self, reader, path, modalities=_BOTH, end_us=1_500_000):
    return reader.read(PlannedClip(0, "train", path, "name", (), 0, end_us), modalities)

  def reader(self, **settings):
    return SphericalReader(frame_rate_hz=8.0, height=64, sample_rate_hz=48000, **settings)

  def test_the_last_picture_stays_while_there_is_sound(self):
    path = self.write("clip.mkv", self.field, _pictures(count=10))
    reader = self.reader()
    duration_sec, _, _ = reader.probe(path, _BOTH)
    self.assertAllClose(duration_sec, len(self.field) / 48000, atol=0.05)
    self.assertLen(self.read(reader, path).frames, 12)

  def test_pictures_and_sound_of_one_file(self):
    path = self.write("clip.mkv", self.field, _pictures())
    reader = self.reader()
    duration_sec, num_channels, notes = reader.probe(path, _BOTH)
    self.assertEqual(notes, ())
    # The last frame is repeated while there is audio.
    self.assertAllClose(duration_sec, len(self.field) / 48000, atol=0.05)
    self.assertEqual(num_channels, 4)
    content = self.read(reader, path)
    self.assertEqual(content.projection, "equirectangular")
    self.assert_shape(content.frames, [12, 64, 128, 3], np.uint8)
    self.assertAllClose(content.frames[5, 10, [30, 100]], [[200, 0, 0], [0, 0, 200]], atol=12)
    self.assertAllClose(content.waveform, self.field[:72000], atol=1e-4)

  def test_sound_in_a_folder_beside_the_videos(self):
    path = self.write("video/abc-3.mp4", None, _pictures())
    reader = self.reader()
    os.makedirs(os.path.join(os.path.dirname(path), "..", "audio"))
    with self.assertRaisesRegex(MediaError, "no audio: no file 'abc-3' in .*audio"):
      reader.probe(path, _BOTH)
    self.write("audio/abc-3.mkv", self.field)
    self.assertAllClose(reader.probe(path, _BOTH)[0], 2.0, atol=0.1)
    content = self.read(reader, path)
    self.assertLen(content.frames, 12)
    self.assertAllClose(content.waveform, self.field[:72000], atol=1e-4)
    self.assertIsNone(self.read(reader, path, ("video",)).waveform)

  def test_sound_in_a_file_of_its_own_beside_the_video(self):
    path = self.write("abc-video.mkv", self.field, _pictures())
    reader = self.reader()
    # An unrelated file with audio and this name.
    self.assertAllClose(self.read(reader, path).waveform, self.field[:72000], atol=1e-4)
    turned = self.field * np.float32([1, -1, 1, -1])
    self.write("abc-ambix.mkv", turned)
    self.assertAllClose(reader.probe(path, _BOTH)[0], 2.0, atol=0.1)
    content = self.read(reader, path)
    self.assertLen(content.frames, 12)
    self.assertAllClose(content.waveform, turned[:72000], atol=1e-4)

  def test_segmentation_maps_in_a_folder_beside_the_videos(self):
    path = self.write("video/abc-3.mkv", self.field, _pictures())
    reader = self.reader()
    self.assertIsNone(self.read(reader, path).masks)
    folder = os.path.join(os.path.dirname(path), "..", "segmentation", "abc-3")
    for number in range(8):
      segmentation_maps_test.write_map(folder, "things", number, np.full([16, 32], 80))
      # Sky, and a wall from 1.2 s on.
      stuff = np.full([16, 32], 40 if number < 5 else 52)
      segmentation_maps_test.write_map(folder, "stuff", number, stuff)
    clip = PlannedClip(0, "train", path, "name", (), 500_000, 2_000_000)
    content = reader.read(clip, _BOTH)
    self.assert_shape(content.masks, [12, 64, 128], np.uint8)
    # Frames at 0.5, 0.625, ... s of the file.
    self.assertAllEqual(content.masks[:, 5, 7], [16] * 6 + [17] * 6)
    self.assertIsNone(reader.read(clip, ("audio",)).masks)

  def test_orders_of_channels(self):
    w, y, z, x = self.field.T
    silence = np.zeros_like(w)
    for order, channels in (
      # Left, right, centre, low frequencies, rear left, rear right.
      ("youtube_aac", [x, y, w, silence, z, silence]),
      ("youtube_aac", [x, y, w, z]),
      ("fuma", [w / np.sqrt(2.0), x, y, z]),
      ("acn", [w, y, z, x, *[0.1 * x] * 5]),
    ):
      found = self.reader(channel_order=order).to_acn(np.stack(channels, axis=-1))
      self.assert_shape(found, [len(self.field), 4], np.float32)
      self.assertAllClose(found, self.field, atol=1e-6)

  def test_loud_fields_stay_whole(self):
    loud = self.field / np.abs(self.field).max() * np.float32([0.9, 0.9, 0.9, 0.9])
    fuma = ambisonics.convert(loud, "ACN/SN3D", "FuMa").numpy()
    fuma *= 0.99 / np.abs(fuma).max()
    found = self.reader(channel_order="fuma").to_acn(fuma)
    self.assertLessEqual(np.abs(found).max(), 1.0)
    ratio = found[:, 3].std() / found[:, 0].std()
    self.assertAllClose(ratio, loud[:, 3].std() / loud[:, 0].std(), rtol=1e-4)

  def test_cubemaps_become_equirectangular(self):
    # The upper half of a cubemap has the left, the front and the right face.
    frame = np.zeros([96, 144, 3], np.uint8)
    for i in range(3):
      frame[:48, 48 * i : 48 * (i + 1), i] = 200
    path = self.write("cube.mkv", self.field, [(i / 20, frame) for i in range(40)])
    content = self.read(self.reader(input_projection=EQUI_ANGULAR_CUBEMAP), path)
    self.assert_shape(content.frames, [12, 64, 128, 3], np.uint8)
    # Left, front and right, on the horizon.
    found = content.frames[3, 32, [32, 64, 96]]
    self.assertAllClose(found, 200 * np.eye(3), atol=12)
    flat = self.write("flat.mkv", self.field, _pictures())
    with self.assertRaisesRegex(MediaError, "not an equi-angular cubemap: .* 3:2"):
      self.read(self.reader(input_projection=EQUI_ANGULAR_CUBEMAP), flat)

  def test_pictures_that_are_not_two_to_one(self):
    path = self.write("wide.mkv", self.field, _pictures(72, 128))
    with self.assertRaisesRegex(MediaError, "not equirectangular: .* 128x72 pixels"):
      self.reader().probe(path, _BOTH)
    nearly = self.write("nearly.mkv", self.field, _pictures(64, 130))
    self.assert_shape(self.read(self.reader(), nearly).frames, [12, 64, 128, 3])

  def test_sound_that_is_no_ambisonics(self):
    stereo = self.write("stereo.mkv", self.field[:, :2], _pictures(), layout="stereo")
    with self.assertRaisesRegex(MediaError, r"has 2 channel\(s\); the first order has 4"):
      self.reader().probe(stereo, _BOTH)
    w, y, z, x = self.field.T
    nothing = np.zeros_like(w)
    for channels, order, message in (
      ([w, nothing, nothing, nothing], "acn", "all channels but the first, W, are silent"),
      ([nothing, y, z, x], "acn", "the first channel, W, is silent"),
      ([w / 8, y, z, x], "acn", "in the order 'acn': Y, Z and X are at .* dB relative to W"),
      ([w, y], "youtube_aac", "AAC of YouTube's 360° videos has 4 or 6"),
    ):
      with self.assertRaisesRegex(MediaError, message):
        self.reader(channel_order=order).to_acn(np.stack(channels, axis=-1))

  def test_bad_settings(self):
    with self.assertRaisesRegex(ValueError, "channel_order is 'ambix'; expected one of acn, fuma"):
      SphericalReader(channel_order="ambix")
    with self.assertRaisesRegex(ValueError, "input_projection is 'round'"):
      SphericalReader(input_projection="round")


if __name__ == "__main__":
  tf.test.main()
