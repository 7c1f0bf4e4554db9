"""Tests of the audio of whole files as a stream, on a variety of files."""

import os
import unittest
from fractions import Fraction
from unittest import mock

import av
import numpy as np
from absl.testing import parameterized

from avssl_tf.data.media import sound_file, sound_stream
from avssl_tf.data.media.media_streams import MediaError
from avssl_tf.data.metadata import spatial_media
from tests import media_variants


def _read(path, rate_hz=48000):
  """All samples, and the stream after reading."""
  with sound_stream.open_mono(path, rate_hz) as stream:
    return np.concatenate([np.zeros(0, np.float32), *stream.blocks()]), stream


def _tones(duration_sec, *frequencies_hz):
  return np.concatenate([media_variants.sine(duration_sec, 48000, f) for f in frequencies_hz])


class SoundStreamTest(media_variants.MediaTestCase):

  def test_all_channels_as_they_are_stored(self):
    samples = np.random.default_rng(0).normal(0, 0.2, (2, 50_003)).astype(np.float32)
    path = self.write("a.mkv", None, samples, layout="stereo", audio_codec="pcm_f32le")
    with sound_stream.open_mono(path, 16000) as stream:
      self.assertEqual((stream.stored_rate_hz, stream.stored_layout), (48000, "stereo"))
      found = np.concatenate(list(stream.stored_blocks()))
    np.testing.assert_allclose(found, samples.T, atol=1e-6)

  @parameterized.parameters(
    (1, "mono", 48000), (1, "mono", 16000), (2, "stereo", 48000), (2, "stereo", 22050),
    (6, "5.1", 24000),
  )  # fmt: skip
  def test_all_samples_are_those_of_a_file_read_at_once(self, num_channels, layout, rate_hz):
    samples = np.random.default_rng(0).normal(0, 0.2, (num_channels, 100_003)).astype(np.float32)
    path = self.write("a.mkv", None, samples, layout=layout, audio_codec="flac")
    found, stream = _read(path, rate_hz)
    self.assertEqual(found.dtype, np.float32)
    self.assertEqual(len(found), round(100_003 * rate_hz / 48000))
    self.assertEqual((stream.num_damaged, stream.start_sec), (0, 0.0))
    whole = sound_file.read_sound(path, rate_hz, 1)[:, 0]
    length = min(len(whole), len(found))
    self.assertLessEqual(len(whole) - length, 1)
    np.testing.assert_allclose(found[:length], np.clip(whole[:length], -1, 1), atol=2e-6)

  def test_what_an_encoder_added_is_left_out(self):
    path = self.write("a.mp4", samples=_tones(1.3, 440))
    length = round(1.3 * 48000)
    # FFmpeg of PyAV 19 leaves it out itself.
    self.assertIn(len(sound_file.read_sound(path, 48000, 1)), (length, 61 * 1024))
    found, _ = _read(path)
    self.assertEqual(len(found), length)

  def test_one_channel_of_ambisonics_and_the_mix_of_others(self):
    tones = _tones(1.0, 300, 700, 1500, 4000)
    for name, options, taken in (
      ("foa.mkv", {"layout": "4.0", "audio_codec": "flac"}, "the first of its 4 channels"),
      ("foa.mp4", {"layout": "4.0"}, "the first of its 4 channels"),
      ("quad.mkv", {"layout": "quad", "audio_codec": "flac"}, "a mix of its 4 channels"),
    ):
      with self.subTest(name):
        found, stream = _read(self.write(name, samples=tones, duration_sec=1.0, **options))
        self.assertIn(taken, stream.made_from)
        spectrum = np.abs(np.fft.rfft(found[4800:43200], 48000))
        heard = [f for f in (300, 700, 1500, 4000) if spectrum[f] > 100]
        self.assertEqual(heard, [300] if taken.startswith("the first") else [300, 700, 1500, 4000])

  def test_the_channel_that_the_file_calls_w(self):
    plain = self.write("plain.mp4", samples=_tones(1.0, 300, 700, 1500, 4000), layout="4.0")
    path = os.path.join(self.folder, "marked.mp4")
    with mock.patch.object(spatial_media, "_CHANNEL_MAP", (2, 1, 0, 3)):
      with open(plain, "rb") as source, open(path, "wb") as target:
        spatial_media.mark(source, target)
    found, stream = _read(path)
    self.assertEqual(stream.made_from, "the W channel of its ambisonics")
    self.assertEqual(np.argmax(np.abs(np.fft.rfft(found[:48000]))), 1500)

  def test_gaps_are_silent_and_later_sound_stays_in_its_place(self):
    first, second = _tones(0.5, 440), _tones(0.5, 880)
    path = os.path.join(self.folder, "gap.mkv")
    with av.open(path, "w") as output:
      stream = output.add_stream("pcm_s16le", rate=48000, layout="mono")
      for samples, start in ((first, 9600), (second, 48000)):
        frame = av.AudioFrame.from_ndarray(
          np.round(samples * 32767).astype(np.int16), format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        output.mux(stream.encode(frame))
      output.mux(stream.encode(None))
    found, stream = _read(path)
    self.assertAlmostEqual(stream.start_sec, 0.2, places=3)
    self.assertEqual(len(found), 48000 - 9600 + 24000)
    self.assertAlmostEqual(stream.gap_sec, 0.3, places=3)
    np.testing.assert_allclose(found[:24000], first[0], atol=1e-4)
    np.testing.assert_array_equal(found[24000:38400], 0)
    np.testing.assert_allclose(found[38400:], second[0], atol=1e-4)

  def test_damage_is_silent_and_told(self):
    for name, codec in (("a.mp4", "aac"), ("a.mkv", "libmp3lame")):
      with self.subTest(name):
        path = self.write(name, None, _tones(4.0, 440), audio_codec=codec)
        clean, stream = _read(path)
        self.assertEqual((stream.num_damaged, stream.gap_sec), (0, 0.0))
        media_variants.damage(path, "audio", 90)
        found, stream = _read(path)
        self.assertTrue(stream.num_damaged or stream.gap_sec)
        # Matroska rounds times to a millisecond.
        self.assertLessEqual(abs(len(found) - len(clean)), 0 if codec == "aac" else 48)
        np.testing.assert_allclose(found[:85000], clean[:85000], atol=1e-3)
        if codec == "aac":
          np.testing.assert_allclose(found[110000:], clean[110000:], atol=1e-3)
        self.assertGreater(np.abs(found[85000:110000] - clean[85000:110000]).max(), 0.1)

  def test_numbers_that_are_none_are_damage(self):
    samples = media_variants.sine(1.0)
    samples[0, 20000] = np.nan
    path = self.write("a.wav", None, samples, audio_codec="pcm_f32le")
    found, stream = _read(path)
    self.assertTrue(np.isfinite(found).all())
    self.assertEqual((stream.num_damaged, len(found)), (1, 48000))

  def test_sound_that_ends_early_is_told(self):
    # The stated end is at the beginning of the file.
    options = {"container_options": {"movflags": "+faststart"}}
    path = self.write("a.mp4", duration_sec=4.0, samples=_tones(4.0, 440), **options)
    self.assertEqual(_read(path)[1].shortfall_sec(), 0.0)
    media_variants.truncate(path, 0.5)
    found, stream = _read(path)
    self.assertGreater(len(found), 0)
    self.assertAlmostEqual(stream.shortfall_sec(), 4.0 - len(found) / 48000, places=2)

  def test_memory_does_not_grow_with_the_length(self):
    path = self.write("a.mkv", None, _tones(20.0, 440), audio_codec="flac")
    with sound_stream.open_mono(path, 16000) as stream:
      self.assertLess(max(len(block) for block in stream.blocks()), 16000)

  def test_files_without_sound_are_told(self):
    for name, message in (("no_sound.mp4", "no audio stream"), ("text.mp4", "not a video")):
      path = os.path.join(self.folder, name)
      if name == "text.mp4":
        with open(path, "w", encoding="utf-8") as f:
          f.write("This is not a video.\n" * 40)
      else:
        media_variants.write_media(path, media_variants.pictures_at([0, 0.1]), None)
      with self.subTest(name), self.assertRaisesRegex(MediaError, message):
        _read(path)


if __name__ == "__main__":
  unittest.main()
