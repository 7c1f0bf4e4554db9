"""Tests of reading clips: real files, synchronisation, and errors."""

import os
import shutil
import tempfile
from fractions import Fraction

import av
import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.data.media import clip_reading, media_probe, media_streams
from tests import media_variants

FRAME_SEC = 1 / 16


def _time(packet: av.Packet) -> float:
  return float(packet.pts * packet.time_base)


class VariantsTest(parameterized.TestCase):
  """One real video in many formats."""

  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.folder = tempfile.mkdtemp()
    cls.addClassCleanup(shutil.rmtree, cls.folder)
    media_variants.make_variants(cls.folder)

  @parameterized.named_parameters((v.name, v) for v in media_variants.GOOD_VARIANTS)
  def test_good(self, variant):
    path = os.path.join(self.folder, variant.name)
    info = media_probe.probe(path)
    self.assertEqual((info.height, info.width), variant.size)
    self.assertEqual(info.num_channels, variant.num_channels)
    self.assertAlmostEqual(info.duration_sec, variant.duration_sec, delta=0.11)

    clip = clip_reading.read_clip(path, 1.0, 3.0, short_side=min(variant.size))
    self.assertEqual(clip.frames.shape, (32, *variant.size, 3))
    self.assertEqual(clip.frames.dtype, np.uint8)
    self.assertEqual(clip.waveform.shape, (48000, 1))
    self.assertEqual(clip.waveform.dtype, np.float32)
    self.assertLessEqual(np.abs(clip.waveform).max(), 1.0)
    self.assertGreater(np.abs(clip.waveform).max(), 1e-3)
    self.assertEqual(clip.timestamps_us.dtype, np.int64)
    np.testing.assert_allclose(clip.timestamps_us, np.arange(32) * 62500)

    whole = clip_reading.read_clip(path, 0.0, info.duration_sec, short_side=32, num_channels=None)
    self.assertLen(whole.frames, round(info.duration_sec * 16))
    self.assertEqual(whole.waveform.shape, (round(info.duration_sec * 24000), variant.num_channels))

  @parameterized.named_parameters((v.name, v) for v in media_variants.GOOD_VARIANTS)
  def test_pictures_are_those_of_the_source(self, variant):
    path = os.path.join(self.folder, variant.name)
    clip = clip_reading.read_clip(path, 1.0, 3.0, short_side=min(variant.size))
    starts_sec = 0.6 if variant.name == "sound_later.mp4" else 0.0
    turns = {"rotated_90.mp4": -1, "rotated_180.mov": 2}.get(variant.name, 0)
    for picture, timestamp_us in zip(clip.frames[::5], clip.timestamps_us[::5]):
      index = (starts_sec + 1.0 + timestamp_us / 1e6) * 25
      height, width = variant.size[::-1] if turns == -1 else variant.size
      # At the frame rate of the variant, the frame may be up to 0.12 s old.
      candidates = media_variants.source_pictures()[int(index) - 3 : int(index) + 2]
      candidates = np.rot90(candidates[:, :height, :width], turns, axes=(1, 2))
      errors = np.abs(candidates.astype(np.float32) - picture).mean(axis=(1, 2, 3))
      self.assertLess(errors.min(), 6.0)

  @parameterized.named_parameters((v.name, v) for v in media_variants.BAD_VARIANTS)
  def test_bad(self, variant):
    path = os.path.join(self.folder, variant.name)
    with self.assertRaisesRegex(clip_reading.MediaError, variant.problem):
      media_probe.probe(path)
      clip_reading.read_clip(path, 0.0, 4.0)

  @parameterized.parameters("no_sound.mp4", "silent.mp4", "surround.mkv", "sound_later.mp4")
  def test_pictures_alone(self, name):
    path = os.path.join(self.folder, name)
    info = media_probe.probe(path, ["video"])
    self.assertEqual((info.height, info.width, info.num_channels), (90, 160, 0))
    self.assertAlmostEqual(info.duration_sec, 5.28, delta=0.05)
    clip = clip_reading.read_clip(path, 2.0, 4.0, short_side=90, modalities=["video"])
    self.assertIsNone(clip.waveform)
    self.assertLen(clip.timestamps_us, 32)
    for k in range(0, 32, 5):  # The start of the audio does not matter.
      expected = media_variants.source_pictures()[int((2 + k / 16) * 25 + 1e-6)]
      self.assertLess(np.abs(expected.astype(np.float32) - clip.frames[k]).mean(), 6.0)

  @parameterized.parameters("no_pictures.mp4", "surround.mkv", "opus_vp9.webm", "variable_rate.mkv")
  def test_sound_alone(self, name):
    path = os.path.join(self.folder, name)
    info = media_probe.probe(path, ["audio"])
    self.assertEqual((info.height, info.frame_rate_hz), (0, 0))
    clip = clip_reading.read_clip(path, 1.0, 3.0, num_channels=None, modalities=["audio"])
    self.assertIsNone(clip.frames)
    self.assertIsNone(clip.timestamps_us)
    self.assertEqual(clip.waveform.shape, (48000, info.num_channels))
    if name != "no_pictures.mp4":  # With video, on the same time line.
      both = clip_reading.read_clip(path, 1.0, 3.0, num_channels=None)
      np.testing.assert_allclose(clip.waveform, both.waveform, atol=2e-3)

  @parameterized.parameters("truncated.mp4", "truncated.mkv", "index_lost.mp4", "text.mp4")
  def test_damage_is_found_in_either_modality(self, name):
    for modality in ("video", "audio"):
      with self.assertRaisesRegex(clip_reading.MediaError, "truncated|not a video"):
        media_probe.probe(os.path.join(self.folder, name), [modality])

  def test_truncated_file_gives_what_it_still_holds(self):
    path = os.path.join(self.folder, "truncated.mp4")
    self.assertLen(clip_reading.read_clip(path, 0.0, 1.5).frames, 24)
    message = "truncated or damaged: .* stream .* at 2.1. s"
    with self.assertRaisesRegex(clip_reading.MediaError, message):
      clip_reading.read_clip(path, 1.0, 5.0)
    with self.assertRaisesRegex(clip_reading.MediaError, r"truncated: .* states 5.\d\d s"):
      media_probe.probe(path)

  @parameterized.parameters(
    ("pcm_u8_stereo.mov", "video", 0, "damaged: the video stream cannot be decoded at 2.[5-7]. s"),
    ("variable_rate.mkv", "video", 20, "damaged: the frame at 2.[5-7]. s is corrupt"),
    ("rotated_90.mp4", "audio", 0, "damaged: the audio stream cannot be decoded at 2.[5-7]. s"),
  )
  def test_damage_in_mid_file(self, name, kind, kept, problem):
    """Overwrites a packet from byte `kept` on."""
    source = os.path.join(self.folder, name)
    with open(source, "rb") as f:
      data = f.read()
    with av.open(source) as container:
      packets = [bytes(p) for p in container.demux(**{kind: 0}) if p.pts and 2.5 < _time(p) < 2.8]
    packet = max(packets, key=len)
    self.assertEqual(data.count(packet), 1)
    noise = np.random.default_rng(0).integers(0, 256, len(packet) - kept, dtype=np.uint8)
    data = data.replace(packet, packet[:kept] + noise.tobytes())
    path = os.path.join(self.folder, "damaged_" + name)
    with open(path, "wb") as f:
      f.write(data)
    with self.assertRaisesRegex(clip_reading.MediaError, problem):
      clip_reading.read_clip(path, 0.0, 4.5)
    self.assertLen(clip_reading.read_clip(path, 0.0, 2.0).frames, 32)


class SoundFilesTest(media_variants.MediaTestCase):
  """Audio files: a tone with a level that encodes the second."""

  @parameterized.parameters(
    ("a.wav", "pcm_s16le", 44100), ("a.flac", "flac", 44100), ("a.ogg", "libopus", 48000),
    ("a.mp3", "libmp3lame", 44100), ("a.m4a", "aac", 44100),
  )  # fmt: skip
  def test_clip_deep_in_a_file(self, name, codec, rate_hz):
    levels = np.repeat(np.arange(1, 25) / 25, 48000).astype(np.float32)
    samples = 2 * media_variants.sine(24.0) * levels
    path = self.write(name, None, samples, audio_codec=codec, audio_rate_hz=rate_hz)
    info = media_probe.probe(path, ["audio"])
    self.assertEqual((info.sample_rate_hz, info.num_channels), (rate_hz, 1))
    self.assertAlmostEqual(info.duration_sec, 24.0, delta=0.08)
    for start_sec in (0.0, 15.0, 22.0):
      clip = clip_reading.read_clip(path, start_sec, start_sec + 2, modalities=["audio"])
      found = np.abs(clip.waveform[:, 0]).reshape(4, -1).max(axis=1)
      second = int(start_sec)
      expected = levels[[k * 48000 + 24000 for k in (second, second, second + 1, second + 1)]]
      np.testing.assert_allclose(found[[0, 2, 3]], expected[[0, 2, 3]], atol=0.05)
    with self.assertRaisesRegex(clip_reading.MediaError, "no video stream"):
      media_probe.probe(path)
    whole = clip_reading.read_clip(path, 0.0, info.duration_sec, modalities=["audio"])
    self.assertLen(whole.waveform, round(info.duration_sec * 24000))


class ErrorsTest(media_variants.MediaTestCase):
  def test_no_such_file(self):
    with self.assertRaisesRegex(clip_reading.MediaError, "no such file"):
      media_probe.probe(os.path.join(self.folder, "none.mp4"))

  def test_folder(self):
    with self.assertRaises(clip_reading.MediaError):
      media_probe.probe(self.folder)

  def test_shorter_than_asked(self):
    path = self.write("a.mp4", duration_sec=2.0)
    message = r"shorter than requested: .* ends at 2.0\d s"
    with self.assertRaisesRegex(clip_reading.MediaError, message):
      clip_reading.read_clip(path, 1.0, 3.0)
    with self.assertRaisesRegex(clip_reading.MediaError, "shorter than requested"):
      clip_reading.read_clip(path, 40.0, 42.0)

  def test_sound_shorter_than_asked(self):
    path = self.write(
      "a.mkv", samples=media_variants.sine(1.0), duration_sec=2.0, audio_codec="pcm_s16le"
    )
    self.assertAlmostEqual(media_probe.probe(path).duration_sec, 1.0, delta=0.01)
    with self.assertRaisesRegex(clip_reading.MediaError, "shorter than requested: the audio"):
      clip_reading.read_clip(path, 0.0, 1.5)

  def test_empty_span(self):
    for span in ((1.0, 1.0), (1.0, 0.5), (-0.5, 1.0)):
      with self.assertRaisesRegex(ValueError, "must start at 0 or later"):
        clip_reading.read_clip(media_variants.SOURCE, *span)

  def test_cover_art_is_no_video(self):
    path = os.path.join(self.folder, "song.mp3")
    with av.open(path, "w") as output:
      audio = output.add_stream("libmp3lame", rate=48000, layout="mono")
      cover = output.add_stream("mjpeg", rate=1)
      cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
      cover.disposition = av.stream.Disposition.attached_pic.value
      picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
      output.mux(cover.encode(picture.reformat(format="yuvj420p")) + cover.encode(None))
      output.mux(media_variants.encode_sound(audio, media_variants.sine(1.0), "mono", 48000, 0))
    with av.open(path) as container:
      self.assertLen(container.streams.video, 1)
    with self.assertRaisesRegex(clip_reading.MediaError, "no video stream"):
      media_probe.probe(path)

  def test_channels_that_cannot_be_made(self):
    path = self.write("a.mp4")
    with self.assertRaisesRegex(clip_reading.MediaError, "has 1 channels, not the requested 4"):
      clip_reading.read_clip(path, 0.0, 0.5, num_channels=4)

  def test_samples_not_finite(self):
    samples = media_variants.sine(1.0)
    samples[0, 20000] = np.nan
    path = self.write("a.mkv", samples=samples, audio_codec="pcm_f32le")
    with self.assertRaisesRegex(clip_reading.MediaError, "not finite"):
      clip_reading.read_clip(path, 0.0, 1.0)


class SynchronyTest(media_variants.MediaTestCase):
  """Flashes and beeps that happen together must be read together."""

  def write_flashes(self, name, times_sec, flashes_sec, sound_start_sec=0.0, **options):
    """Bright frames and a tone, for 0.2 s from each of `flashes_sec`."""
    times_sec = np.asarray([float(t) for t in times_sec])
    rate_hz = options.get("audio_rate_hz", 48000)
    sound_sec = np.arange(round((times_sec[-1] + 0.04) * rate_hz)) / rate_hz
    bright = np.zeros(len(times_sec), bool)
    loud = np.zeros(len(sound_sec), bool)
    for flash_sec in flashes_sec:
      bright |= (times_sec >= flash_sec - 1e-6) & (times_sec < flash_sec + 0.2)
      loud |= (sound_sec >= flash_sec) & (sound_sec < flash_sec + 0.2)
    samples = (0.8 * loud * np.sin(2 * np.pi * 1000 * sound_sec)).astype(np.float32)[None]
    samples = samples[:, round(sound_start_sec * rate_hz) :]
    dark, light = (np.full((16, 80, 3), level, np.uint8) for level in (20, 230))
    pictures = [(t, light if b else dark) for t, b in zip(times_sec, bright)]
    return self.write(
      name, pictures, samples, sound_start_sec=sound_start_sec, samples_rate_hz=rate_hz,
      keyframe_interval=250, **options,
    )  # fmt: skip

  def assert_synchronous(self, path, flash_sec):
    """Finds flash and beep at `flash_sec` of the clip, in windows around it."""
    for before_sec in (1.0, 0.47):
      start_sec = flash_sec - before_sec
      clip = clip_reading.read_clip(path, start_sec, start_sec + 1.3, short_side=16)
      bright = clip.frames.mean(axis=(1, 2, 3)) > 120
      flash_read = start_sec + clip.timestamps_us[np.argmax(bright)] / 1e6
      beep_read = start_sec + np.argmax(np.abs(clip.waveform[:, 0]) > 0.2) / 24000
      self.assertTrue(bright.any())
      # A frame shows at the first instant of the clip's rate from its time on.
      self.assertBetween(flash_read - flash_sec, -0.002, FRAME_SEC)
      self.assertAlmostEqual(beep_read, flash_sec, delta=0.005)
      self.assertLess(abs(flash_read - beep_read), FRAME_SEC)

  @parameterized.parameters(
    ("a.mp4", {"audio_rate_hz": 44100}),
    ("a.mkv", {"audio_codec": "libopus"}),
    ("a.avi", {"audio_codec": "pcm_s16le", "video_codec": "mpeg4"}),
    ("a.ts", {"time_base": Fraction(1, 90000)}),
  )
  def test_no_drift_over_a_minute(self, name, options):
    time_base = Fraction(1001, 24000)
    times_sec = [k * time_base for k in range(int(61 / time_base))]
    flashes_sec = [float(times_sec[k]) for k in (60, 707, 719 + 24, 1400)]
    options = {"time_base": time_base, **options}
    path = self.write_flashes(name, times_sec, flashes_sec, **options)
    for flash_sec in flashes_sec:
      self.assert_synchronous(path, flash_sec)

  def test_variable_frame_rate(self):
    steps_sec = np.random.default_rng(0).choice([0.02, 0.033, 0.05, 0.1], size=500)
    times_sec = np.round(np.cumsum(steps_sec), 3)
    times_sec -= times_sec[0]
    flashes_sec = times_sec[[50, 250, 450]]
    path = self.write_flashes("a.mp4", times_sec, flashes_sec)
    for flash_sec in flashes_sec:
      self.assert_synchronous(path, flash_sec)

  @parameterized.product(name=("a.mp4", "a.mkv", "a.mov"), late=("sound", "pictures"))
  def test_streams_that_start_apart(self, name, late):
    first = 17 if late == "pictures" else 0
    times_sec = [k / 25 for k in range(first, 250)]
    flashes_sec = [2.0, 6.0]
    codec = "pcm_s16le" if name == "a.mov" else "aac"
    path = self.write_flashes(
      name, times_sec, flashes_sec, audio_codec=codec,
      sound_start_sec=0.68 if late == "sound" else 0.0,
    )  # fmt: skip
    with media_streams.open_streams(path) as opened:
      firsts = media_probe.first_frames(opened)
    common_sec = firsts.start_sec
    # Encoders may prepend up to a frame of silence to the audio.
    self.assertBetween(common_sec, 0.65, 0.69)
    self.assertAlmostEqual(media_probe.probe(path).duration_sec, 10.0 - common_sec, delta=0.05)
    for flash_sec in flashes_sec:
      self.assert_synchronous(path, flash_sec - common_sec)


class ReadClipTest(media_variants.MediaTestCase):

  def test_pictures_at_chosen_times(self):
    path = media_variants.SOURCE
    regular = clip_reading.read_clip(path, 1.0, 3.0, frame_rate_hz=4, short_side=32)
    times_sec = np.array([0.25, 0.5, 1.75])
    chosen = clip_reading.read_clip(path, 1.0, 3.0, short_side=32, times_sec=times_sec)
    np.testing.assert_array_equal(chosen.frames, regular.frames[[1, 2, 7]])
    np.testing.assert_array_equal(chosen.timestamps_us, [250000, 500000, 1750000])
    np.testing.assert_array_equal(chosen.waveform, regular.waveform)

  def test_silence_where_it_is_accepted(self):
    path = self.write("silent.mp4", samples=np.zeros((1, 48000), np.float32))
    with self.assertRaisesRegex(media_streams.MediaError, "the audio is silent"):
      clip_reading.read_clip(path, 0.0, 0.5)
    clip = clip_reading.read_clip(path, 0.0, 0.5, accept_silence=True)
    self.assertLess(np.abs(clip.waveform).max(), 1e-4)


if __name__ == "__main__":
  absltest.main()
