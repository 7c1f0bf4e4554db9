"""Tests of the audio of clips: samples, channels, rates and gaps."""

import os
from fractions import Fraction

import av
import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.data.media import clip_reading, media_sound, sound_file, sound_stream
from tests import media_variants


def _constants(levels, duration_sec: float = 1.0, rate_hz: int = 48000) -> np.ndarray:
  return np.tile(np.array(levels, np.float32)[:, None], (1, round(duration_sec * rate_hz)))


class SoundTest(media_variants.MediaTestCase):
  def test_surround_to_mono(self):
    levels = np.array([0.1, 0.2, 0.3, 0.9, 0.4, 0.5])  # FL FR FC LFE, back or side L R
    path = self.write("a.mkv", samples=_constants(levels), layout="5.1", audio_codec="pcm_f32le")
    clip = clip_reading.read_clip(path, 0.3, 0.6)
    # ITU-R BS.775: centre 1, front and surround each 3 dB less than the previous one, no LFE.
    weights = np.array([0.5**0.5, 0.5**0.5, 1.0, 0.0, 0.5, 0.5])
    np.testing.assert_allclose(clip.waveform, levels @ weights / weights.sum(), rtol=1e-3)

  @parameterized.parameters(
    ("a.mka", "flac", "7.1"), ("a.m4a", "aac", "7.1"), ("a.mka", "libopus", "7.1"),
    ("a.wav", "pcm_s16le", "hexadecagonal"), ("a.wv", "wavpack", "hexadecagonal"),
  )  # fmt: skip
  def test_many_channels(self, name, codec, layout):
    """With one plane per channel, PyAV reads out of bounds for more channels."""
    count = av.AudioLayout(layout).nb_channels
    levels = np.arange(1, count + 1) / 20
    time_sec = np.arange(48000) / 48000
    samples = (levels[:, np.newaxis] * np.sin(2 * np.pi * 500 * time_sec)).astype(np.float32)
    path = self.write(name, None, samples, layout=layout, audio_codec=codec)
    clip = clip_reading.read_clip(path, 0.2, 0.8, num_channels=None, modalities=["audio"])
    found = np.abs(clip.waveform).max(axis=0)
    if codec not in ("aac", "libopus"):
      np.testing.assert_allclose(found, levels, atol=0.01)
    self.assertLen(found, count)
    if count == 8:
      mixed = clip_reading.read_clip(path, 0.2, 0.8, modalities=["audio"])
      self.assertEqual(mixed.waveform.shape[1], 1)
      self.assertGreater(np.abs(mixed.waveform).max(), 0.05)
      with sound_stream.open_mono(path, 16000) as stream:
        self.assertAlmostEqual(sum(map(len, stream.blocks())) / 16000, 1.0, delta=0.03)
    self.assertEqual(sound_file.read_sound(path, 48000, count).shape[1], count)

  def test_stereo_to_mono_is_the_mean(self):
    path = self.write(
      "a.mov", samples=_constants([0.9, 0.3]), layout="stereo", audio_codec="pcm_s16le"
    )
    np.testing.assert_allclose(clip_reading.read_clip(path, 0.3, 0.6).waveform, 0.6, rtol=1e-3)

  def test_stereo_is_kept(self):
    path = self.write(
      "a.mov", samples=_constants([0.9, 0.3]), layout="stereo", audio_codec="pcm_s16le"
    )
    for num_channels in (2, None):
      clip = clip_reading.read_clip(path, 0.3, 0.6, num_channels=num_channels)
      np.testing.assert_allclose(clip.waveform, np.tile([[0.9, 0.3]], (7200, 1)), rtol=1e-3)

  def test_ambisonics_stay_untouched(self):
    recording = os.path.join(os.path.dirname(media_variants.SOURCE), "foa_acn_sn3d_48k.wav")
    with av.open(recording) as container:
      stored = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    stored = stored.reshape(-1, 4).T / np.float32(32768)
    path = self.write(
      "a.mov", samples=stored, layout="4.0", duration_sec=2.0, audio_codec="pcm_s16le"
    )
    clip = clip_reading.read_clip(path, 0.25, 1.25, sample_rate_hz=48000, num_channels=None)
    np.testing.assert_array_equal(clip.waveform, stored[:, 12000:60000].T)

  def test_resampling_does_not_leak_between_channels(self):
    samples = np.concatenate(
      [np.zeros((2, 48000), np.float32), media_variants.sine(1.0), media_variants.sine(1.0) * 0]
    )
    path = self.write("a.mkv", samples=samples, layout="4.0", audio_codec="pcm_f32le")
    waveform = clip_reading.read_clip(path, 0.1, 0.9, num_channels=4).waveform
    self.assertGreater(np.abs(waveform[:, 2]).max(), 0.4)
    np.testing.assert_array_equal(waveform[:, [0, 1, 3]], 0)

  @parameterized.parameters(
    ("pcm_u8", 2.0**-7), ("pcm_s16le", 2.0**-15), ("pcm_s24le", 2.0**-23), ("pcm_f32le", 0.0)
  )
  def test_sample_formats(self, codec, step):
    samples = media_variants.sine(1.0)
    path = self.write("a.mkv", samples=samples, audio_codec=codec)
    waveform = clip_reading.read_clip(path, 0.25, 0.75, sample_rate_hz=48000).waveform[:, 0]
    np.testing.assert_allclose(waveform, samples[0, 12000:36000], atol=step)

  def test_to_float_of_all_formats(self):
    values = np.array([[-1.0, -0.5, 0.0, 0.5], [0.25, -0.25, 0.75, -0.75]], np.float32)
    scales = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "flt": 1, "dbl": 1}
    dtypes = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}
    for name, scale in scales.items():
      stored = (values.astype(np.float64) * scale + (128 if name == "u8" else 0)).astype(
        dtypes[name]
      )
      packed = av.AudioFrame.from_ndarray(stored.T.reshape(1, -1).copy(), name, "stereo")
      planar = av.AudioFrame.from_ndarray(stored, name + "p", "stereo")
      for frame in (packed, planar):
        result = media_sound.to_float(frame)
        self.assertEqual(result.dtype, np.float32)
        np.testing.assert_array_equal(result, values)

  @parameterized.parameters((48000, 24000), (44100, 24000), (11025, 24000), (22050, 48000))
  def test_resampling(self, rate_hz, new_rate_hz):
    path = self.write(
      "a.mov", samples=media_variants.sine(3.0, rate_hz), duration_sec=3.0, samples_rate_hz=rate_hz,
      audio_rate_hz=rate_hz, audio_codec="pcm_s16le",
    )  # fmt: skip
    waveform = clip_reading.read_clip(path, 1.5, 2.5, sample_rate_hz=new_rate_hz).waveform[:, 0]
    expected = media_variants.sine(3.0, new_rate_hz)[0, round(1.5 * new_rate_hz) :][:new_rate_hz]
    self.assertLess(np.abs(waveform - expected).max(), 0.06)  # Half a sample.
    self.assertGreater(np.corrcoef(waveform, expected)[0, 1], 0.998)

  def test_lossy_overshoot_is_clipped(self):
    samples = np.sign(media_variants.sine(1.0))
    path = self.write("a.mp4", samples=samples)
    self.assertLessEqual(np.abs(clip_reading.read_clip(path, 0.0, 1.0).waveform).max(), 1.0)

  def collect(self, *frames, span=(0.0, 1.0)):
    """Waveform at 1 kHz of frames given as (time in ms, level, number of samples)."""
    collector = media_sound.SoundCollector(*span)
    for time_ms, level, length in frames:
      frame = av.AudioFrame.from_ndarray(np.full((1, length), level, np.float32), "fltp", "mono")
      frame.sample_rate, frame.time_base, frame.pts = 1000, Fraction(1, 1000), time_ms
      collector.add(frame)
    return collector.waveform(round((span[1] - span[0]) * 1000), 1000, None)[:, 0]

  def test_gap_stays_silent(self):
    waveform = self.collect((0, 0.5, 300), (500, 0.25, 300), (800, 0.75, 300))
    expected = np.repeat([0.5, 0.0, 0.25, 0.75], [300, 200, 300, 200])
    np.testing.assert_array_equal(waveform, expected)

  def test_long_gap(self):
    with self.assertRaisesRegex(clip_reading.MediaError, "no audio for 0.60 s before 0.90 s"):
      self.collect((0, 0.5, 300), (900, 0.25, 300))
    waveform = self.collect((-900, 0.5, 300), (0, 0.25, 1100))  # Before the span.
    np.testing.assert_array_equal(waveform, 0.25)

  def test_rounded_times_make_no_gap(self):
    waveform = self.collect((0, 0.5, 300), (303, 0.25, 300), (598, 0.75, 500))
    np.testing.assert_array_equal(waveform, np.repeat([0.5, 0.25, 0.75], [300, 300, 400]))

  def test_overlap(self):
    waveform = self.collect((-200, 0.5, 700), (400, 0.25, 700))
    np.testing.assert_array_equal(waveform, np.repeat([0.5, 0.25], [400, 600]))

  def test_change_of_rate(self):
    collector = media_sound.SoundCollector(0.0, 1.0)
    for rate_hz in (48000, 44100):
      frame = av.AudioFrame.from_ndarray(np.zeros((1, 100), np.float32), "fltp", "mono")
      frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, 1000), 0
      if rate_hz == 48000:
        collector.add(frame)
        continue
      message = "changes from 48000 Hz mono to 44100 Hz mono"
      with self.assertRaisesRegex(clip_reading.MediaError, message):
        collector.add(frame)


if __name__ == "__main__":
  absltest.main()
