"""Tests of reading the audio of whole files."""

import os
import pathlib
import wave

import numpy as np
import tensorflow as tf

from avssl_tf.data.media import sound_file
from avssl_tf.data.media.media_streams import MediaError
from tests import media_variants, test_base

_VIDEO = pathlib.Path(media_variants.SOURCE)


class ReadSoundTest(test_base.TestCase):
  def _write(self, samples, rate_hz):
    """Writes int16 `[samples, channels]`; returns the path."""
    path = os.path.join(self.get_temp_dir(), "sound.wav")
    with wave.open(path, "wb") as f:
      f.setnchannels(samples.shape[1])
      f.setsampwidth(2)
      f.setframerate(rate_hz)
      f.writeframes(samples.astype("<i2").tobytes())
    return path

  def test_gives_every_sample(self):
    samples = self.rng.integers(-(2**15), 2**15, size=[12345, 1])
    found = sound_file.read_sound(self._write(samples, 24000), 24000, 1)
    self.assert_shape(found, [12345, 1], tf.float32)
    self.assertAllClose(found, samples / 2**15, atol=1e-7)

  def test_converts_the_rate_and_mixes_channels(self):
    time_sec = np.arange(44100) / 44100
    left = np.sin(2 * np.pi * 440 * time_sec) * 2**14
    found = sound_file.read_sound(self._write(np.stack([left, 0 * left], 1), 44100), 24000, 1)
    expected = np.sin(2 * np.pi * 440 * np.arange(24000) / 24000) / 4
    self.assertLessEqual(abs(len(found) - 24000), 1)
    self.assertAllClose(found[100:-100, 0], expected[100 : len(found) - 100], atol=2e-3)

  def test_keeps_other_channels_apart(self):
    samples = np.arange(400).reshape(100, 4)
    found = sound_file.read_sound(self._write(samples, 24000), 24000, 4)
    self.assertAllClose(found, samples / 2**15, atol=1e-7)
    with self.assertRaisesRegex(MediaError, "4 channels, not the requested 3"):
      sound_file.read_sound(self._write(samples, 24000), 24000, 3)

  def test_reads_the_sound_of_videos(self):
    found = sound_file.read_sound(str(_VIDEO), 24000, 1)
    self.assertGreater(len(found), 24000)
    self.assertGreater(np.abs(found).max(), 0.01)

  def test_says_what_is_wrong(self):
    folder = pathlib.Path(self.get_temp_dir())
    (folder / "text.wav").write_text("not a sound " * 50)
    (folder / "empty.wav").write_text("")
    cases = {
      "no such file": str(folder / "none.wav"),
      "in an unknown format": str(folder / "text.wav"),
      "empty file": str(folder / "empty.wav"),
      "nothing to decode|shorter than one sample": self._write(np.zeros([0, 1]), 24000),
    }
    for message, path in cases.items():
      with self.assertRaisesRegex(MediaError, message):
        sound_file.read_sound(path, 24000, 1)


if __name__ == "__main__":
  tf.test.main()
