"""Tests of the selection of the track and the channels for W, Y, Z and X."""

import os
import unittest

import numpy as np
from absl.testing import parameterized

from avssl_tf.data.building.readers import MediaReader
from avssl_tf.data.building.spherical_reader import SphericalReader
from avssl_tf.data.clip_content import PlannedClip
from avssl_tf.data.media import clip_reading, media_probe, media_streams, sound_field, sound_stream
from avssl_tf.data.media.media_limits import MediaError
from tests import media_variants, spatial_files

_FIELD = spatial_files.field()
_W, _Y, _Z, _X = _FIELD
_STEREO = np.stack([0.4 * media_variants.sine(2.0, 48000, f)[0] for f in (2000, 3000)])


def _read(path, **settings):
  """The field of a file as stored in records, and the notes of its probe."""
  reader = SphericalReader(frame_rate_hz=8.0, height=64, sample_rate_hz=48000, **settings)
  notes = reader.probe(path, ("audio",)).notes
  clip = PlannedClip(0, "train", path, "name", (), 0, 1_500_000)
  return reader.read(clip, ("audio",)).waveform.T, notes


class SoundFieldTest(media_variants.MediaTestCase):

  def path(self, name):
    return os.path.join(self.folder, name)

  def assert_field(self, found, atol=1e-3):
    self.assertEqual(found.shape, (4, 72000))
    np.testing.assert_allclose(found, _FIELD[:, :72000], atol=atol)

  def mov(self, samples, *boxes, layout="4.0"):
    path = self.write(
      "a.mov", samples=np.float32(samples), layout=layout, audio_codec="pcm_s16le", duration_sec=2.0
    )
    spatial_files.change_mp4(path, sound=boxes)
    return path

  def test_channel_maps_of_mp4_are_heeded(self):
    found, notes = _read(self.mov([_W, _Y, _Z, _X], spatial_files.sa3d([0, 1, 2, 3])))
    self.assert_field(found)
    self.assertEqual(notes, ())
    found, notes = _read(self.mov([_X, _W, _Z, _Y], spatial_files.sa3d([3, 0, 2, 1])))
    self.assert_field(found)
    self.assertIn("its SA3D box states that W is channel 2, Y is channel 4, Z is", notes[0])

  @parameterized.parameters((1, "4.0", 6), (2, "9 channels", 11), (3, "hexadecagonal", 18))
  def test_head_locked_stereo_is_left_out(self, order, layout, count):
    del layout
    number = (order + 1) ** 2
    samples = np.concatenate([_FIELD, 0.1 * np.repeat(_STEREO[:1], number - 4, 0), _STEREO])
    path = spatial_files.write_wave(self.path("a.wav"), samples.T)
    found, notes = _read(path)
    self.assert_field(found)
    self.assertRegex(
      notes[0], f"{count} channels: the first {number} are read .* head-locked stereo, are ignored"
    )

  def test_head_locked_stereo_of_mp4(self):
    samples = [*_STEREO, _W, _X, _Y, _Z]
    path = self.mov(samples, spatial_files.sa3d([4, 5, 0, 3, 1, 2], kind=128), layout="5.1")
    found, notes = _read(path)
    self.assert_field(found)
    self.assertRegex(notes[1], "states that 2 of the 6 channels are not ambisonics")

  def test_the_header_of_wave_files_is_heeded(self):
    fuma = np.stack([_W / np.sqrt(2.0), _X, _Y, _Z])
    path = spatial_files.write_wave(self.path("a.wav"), fuma.T, spatial_files.B_FORMAT)
    found, notes = _read(path)
    self.assert_field(found)
    self.assertRegex(notes[0], "its WAVE header .* with FuMa weights: converted to W Y Z X")
    self.assert_field(_read(path, channel_order="fuma")[0])
    path = spatial_files.write_wave(self.path("b.wav"), fuma[:3].T, spatial_files.B_FORMAT)
    found, notes = _read(path)
    np.testing.assert_allclose(found[[0, 1, 3]], _FIELD[[0, 1, 3], :72000], atol=1e-3)
    self.assertFalse(found[2].any())
    self.assertRegex(notes[-1], r"lists no Z channel \(height\): Z is silent")
    names = [f"AT_000401{place + 1:02x}_01" for place in (0, 1, 2, 3)]
    n3d = np.stack([_W, *(np.sqrt(3.0) * channel for channel in (_Y, _Z, _X))])
    chunk = spatial_files.chna(names)
    path = spatial_files.write_wave(self.path("c.wav"), 0.5 * n3d.T, None, [chunk])
    found, notes = _read(path)
    self.assert_field(2 * found)
    self.assertIn("N3D weights", notes[0])

  def test_a_flag_that_contradicts_the_file(self):
    wave = spatial_files.write_wave(self.path("a.wav"), _FIELD.T, spatial_files.B_FORMAT)
    with self.assertRaisesRegex(MediaError, "channel order mismatch: its WAVE header .*youtube"):
      _read(wave, channel_order="youtube_aac")
    mov = self.mov([_W, _Y, _Z, _X], spatial_files.sa3d([0, 1, 2, 3]))
    with self.assertRaisesRegex(MediaError, "its SA3D box .* contradicts --channel_order=fuma"):
      _read(mov, channel_order="fuma")

  def test_fields_that_cannot_be_read(self):
    for box, message in (
      (spatial_files.sa3d([0, 1, 2, 3], version=1), "in its SA3D box: version 1; expected 0"),
      (spatial_files.sa3d([1, 2, 3, 4], order=2), "its SA3D box lists no W channel"),
    ):
      with self.assertRaisesRegex(MediaError, message):
        _read(self.mov([_W, _Y, _Z, _X], box))
    path = self.mov([_W, _Y, _Z, _X, _X, _X], spatial_files.sa3d([0, 1, 2, 3]), layout="5.1")
    with self.assertRaisesRegex(MediaError,
      r"SA3D box: 4 channel\(s\), but the sample description states 6"
    ):
      _read(path)

  def test_one_channel_of_a_field_is_w(self):
    path = self.mov([_X, _W, _Z, _Y], spatial_files.sa3d([3, 0, 2, 1]))
    for count in (1, 2):
      reader = MediaReader(sample_rate_hz=48000, num_channels=count)
      clip = PlannedClip(0, "train", path, "name", (), 0, 1_500_000)
      found = reader.read(clip, ("audio",)).waveform
      self.assertEqual(found.shape, (72000, count))
      for channel in found.T:
        np.testing.assert_allclose(channel, _W[:72000], atol=1e-3)
    four = clip_reading.read_clip(path, 0.0, 1.5, sample_rate_hz=48000, num_channels=4).waveform
    self.assert_field(four.T)
    fuma = np.stack([_W / np.sqrt(2.0), _X, _Y, _Z])
    wave = spatial_files.write_wave(self.path("a.wav"), fuma.T, spatial_files.B_FORMAT)
    for name in (path, wave):
      with sound_stream.open_mono(name, 48000) as stream:
        self.assertEqual(stream.made_from, "the W channel of its ambisonics")
        np.testing.assert_allclose(np.concatenate(list(stream.blocks())), _W, atol=1e-3)


class TracksTest(media_variants.MediaTestCase):

  def tracks(self, name, *sounds, default=None):
    return spatial_files.write_tracks(os.path.join(self.folder, name), sounds, default)

  @parameterized.parameters("a.mkv", "a.mp4")
  def test_the_default_track_is_read(self, name):
    tones = [media_variants.sine(2.0, 48000, f) for f in (500, 900)]
    path = self.tracks(name, (0.5 * tones[0], "mono"), (tones[1], "mono"), default=1)
    clip = clip_reading.read_clip(path, 0, 1, sample_rate_hz=48000)
    np.testing.assert_allclose(clip.waveform[:, 0], tones[1][0, :48000], atol=1e-3)
    clip = clip_reading.read_clip(path, 0.5, 1.5, sample_rate_hz=48000, audio_track=1)
    np.testing.assert_allclose(clip.waveform[:, 0], 0.5 * tones[0][0, 24000:72000], atol=1e-3)
    with self.assertRaisesRegex(
      MediaError, r"--audio_track=3, but the file has 2 audio tracks: 1 \(flac, 1 channel\(s\)\); "
      r"2 \(flac, 1 channel\(s\), the default\)",
    ):
      media_probe.probe(path, audio_track=3)

  def test_the_first_track_where_none_is_the_default(self):
    tones = [media_variants.sine(2.0, 48000, f) for f in (500, 900)]
    path = self.tracks("a.mkv", *((tone, "mono") for tone in tones))
    with media_streams.open_streams(path) as media_file:
      self.assertEqual(media_file.audio.index, 1)

  @parameterized.parameters("a.mkv", "a.mp4")
  def test_the_first_track_that_can_be_ambisonics(self, name):
    path = self.tracks(name, (_STEREO, "stereo"), (_FIELD, "4.0"), default=0)
    found, notes = _read(path)
    np.testing.assert_allclose(found, _FIELD[:, :72000], atol=1e-3)
    self.assertRegex(notes[0], "audio track 2 is used, which can be ambisonics, instead of")
    with self.assertRaisesRegex(MediaError, r"has 2 channel\(s\).* The file has 2 audio tracks: 1"):
      _read(path, audio_track=1)
    both = np.concatenate([_FIELD, _STEREO])
    path = self.tracks(
      name, (both, "5.1"), (0.5 * _FIELD, "4.0"), (_FIELD, "4.0"), default=2
    )
    self.assertEqual(sound_field.choose(path).track, 3)
    self.assertEqual(sound_field.choose(path, audio_track=1).num_channels, 6)
    np.testing.assert_allclose(_read(path, audio_track=2)[0], 0.5 * _FIELD[:, :72000], atol=1e-3)

  def test_no_track_can_be_ambisonics(self):
    path = self.tracks("a.mkv", (_STEREO, "stereo"), (_STEREO[:1], "mono"))
    with self.assertRaisesRegex(
      MediaError, r"not ambisonics: the audio has 2 channel\(s\).* 2 audio tracks: .*; 2 \(flac, 1"
    ):
      _read(path)

  def test_a_track_that_says_that_it_is_ambisonics_comes_first(self):
    path = self.tracks("a.mp4", (0.5 * _FIELD, "4.0"), (_FIELD, "4.0"), default=0)
    spatial_files.change_mp4(path, sound=[spatial_files.sa3d([0, 1, 2, 3])], track=1)
    self.assertEqual(sound_field.choose(path).track, 2)


if __name__ == "__main__":
  unittest.main()
