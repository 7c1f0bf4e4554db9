"""Tests of windows of a signal against slices of the whole signal."""

import numpy as np
from absl.testing import absltest, parameterized

from avssl_tf.applications.sample_windows import SampleWindows


class SampleWindowsTest(parameterized.TestCase):
  @parameterized.parameters((30, 10), (30, 45), (7, 20), (100, 1))
  def test_stretches_are_those_of_the_whole_with_silence_around_it(self, count, step):
    signal = np.arange(1, 201, dtype=np.float32)
    padded = np.pad(signal, 500)
    windows = SampleWindows(iter(np.split(signal, [3, 4, 60, 61, 150])))
    for first in range(-120, 300, step):
      found = windows.take(first, count)
      np.testing.assert_array_equal(found, padded[first + 500 :][:count], str(first))

  def test_holds_no_more_than_it_has_to(self):
    windows = SampleWindows(np.ones(10, np.float32) for _ in range(10_000))
    for first in range(0, 90_000, 25):
      windows.take(first, 50)
      self.assertLessEqual(len(windows._held), 60)

  def test_no_signal_is_silence(self):
    np.testing.assert_array_equal(SampleWindows(iter([])).take(-5, 8), np.zeros(8))


if __name__ == "__main__":
  absltest.main()
