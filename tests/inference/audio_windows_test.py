"""Tests of windows of periodic waveforms."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.inference import audio_windows
from tests import test_base

_RATE_HZ = 8000


class AudioWindowsTest(test_base.TestCase, parameterized.TestCase):
  @parameterized.parameters((0, 3), (4, 3), (4, 12), (-7, 4), (11, 1))
  def test_wraps_around(self, start, num_samples):
    waveform = np.arange(10, dtype=np.float32).reshape(5, 2)
    expected = [waveform[(start + i) % 5] for i in range(num_samples)]
    self.assertAllEqual(audio_windows.wrapped(waveform, start, num_samples), expected)

  def test_even_windows_start_at_equal_distances_and_repeat_the_sound(self):
    waveform = np.arange(8, dtype=np.float32)[:, None]
    windows = audio_windows.even(waveform, 3, 4)
    self.assertAllEqual(windows[:, :, 0], [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 0]])
    longer = audio_windows.even(waveform[:2], 5, 1)
    self.assertAllEqual(longer[:, :, 0], [[0, 1, 0, 1, 0]])

  def _augmented(self, waveform, num_samples, speed=(1, 1), volume=(1, 1), seed=0, num_windows=4):
    rng = np.random.default_rng(seed)
    return audio_windows.augmented(
      waveform, num_samples, num_windows, _RATE_HZ, speed, volume, rng
    )

  @parameterized.parameters(0.75, 1.1, 4 / 3)
  def test_speed_turns_a_tone_into_another(self, speed):
    """2,000 whole periods: the repeated tone has no seam."""
    waveform = np.sin(2 * np.pi * 1000 * np.arange(2 * _RATE_HZ) / _RATE_HZ) / 2
    windows = self._augmented(waveform[:, None].astype(np.float32), 4000, speed=(speed, speed))
    self.assert_shape(windows, [4, 4000, 1], tf.float32)
    tone = np.exp(-2j * np.pi * round(_RATE_HZ * speed) / 8 * np.arange(4000) / _RATE_HZ)
    for window in windows[:, :, 0]:
      # The whole window is that tone, including its ends.
      for place in (slice(None), slice(0, 240), slice(-240, None)):
        amplitude = 2 * np.abs(np.mean(window[place] * tone[place]))
        self.assertAllClose(amplitude, 0.5, atol=0.01)

  def test_without_change_windows_are_those_of_the_sound(self):
    waveform = self.rng.uniform(-1, 1, [50, 2]).astype(np.float32)
    for window in self._augmented(waveform, 60):
      start = int(np.flatnonzero((waveform == window[0]).all(axis=1))[0])
      self.assertAllEqual(window, audio_windows.wrapped(waveform, start, 60))

  def test_volume_stays_in_its_bounds_and_is_clipped(self):
    windows = self._augmented(np.full([50, 1], 0.5, np.float32), 20, volume=(0.5, 3))
    levels = windows[:, 0, 0]
    self.assertAllEqual(windows, np.broadcast_to(levels[:, None, None], windows.shape))
    self.assertGreater(len(set(levels)), 1)
    self.assertAllInRange(levels, 0.25, 1.0)

  def test_draws_follow_the_seed(self):
    waveform = self.rng.uniform(-1, 1, [5000, 1]).astype(np.float32)
    one, same, other = (
      self._augmented(waveform, 100, (0.75, 4 / 3), (0.9, 1.1), seed) for seed in (1, 1, 2)
    )
    self.assertAllEqual(one, same)
    self.assertNotAllClose(one, other)


if __name__ == "__main__":
  tf.test.main()
