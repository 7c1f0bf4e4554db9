"""Tests of the temporary file of maps: interpolation, extrapolation and scaling."""

import shutil
import tempfile

import numpy as np
from absl.testing import absltest

from avssl_tf.applications.map_file import MapFile


class MapFileTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = tempfile.mkdtemp()
    self.addCleanup(shutil.rmtree, self.folder)

  def test_heat_goes_from_the_mean_to_the_highest(self):
    # Means 0.25, maxima 0.5 and 0.9 with the mean 0.7.
    first = np.float32([[0.5, 0.0]])
    second = np.float32([[-0.4, 0.9]])
    with MapFile(self.folder, 1.0, 0.5) as maps:
      maps.append(first, True)
      maps.append(second, True)
      one, other = (np.clip((m - 0.25) / 0.45, 0, 1) for m in (first, second))
      for time_sec, expected in (
        (1.0, one), (1.5, other), (0.0, one), (9.0, other), (1.25, (one + other) / 2),
        (1.4, 0.2 * one + 0.8 * other),
      ):  # fmt: skip
        found = maps.heat(time_sec)
        self.assertEqual(found.dtype, np.float32)
        np.testing.assert_allclose(found, expected, atol=1e-6)

  def test_silence_is_cold_and_changes_nothing_else(self):
    loud = np.float32([[0.5, 0.0]])
    with MapFile(self.folder, 0.0, 1.0) as maps:
      maps.append(loud, True)
      maps.append(np.float32([[5.0, 5.0]]), False)
      np.testing.assert_allclose(maps.heat(0.0), [[1.0, 0.0]])
      np.testing.assert_array_equal(maps.heat(1.0), [[0.0, 0.0]])

  def test_one_window_and_silence_alone(self):
    for audible in (True, False):
      with MapFile(self.folder, 0.0, 1.0) as maps:
        maps.append(np.float32([[0.5, 0.0]]), audible)
        for time_sec in (0.0, 5.0):
          np.testing.assert_allclose(maps.heat(time_sec), [[float(audible), 0.0]], atol=1e-6)

  def test_many_maps(self):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 3, 4)).astype(np.float32)
    mean, highest = values.mean(), values.max(axis=(1, 2)).mean()
    with MapFile(self.folder, 0.0, 0.25) as maps:
      for one in values:
        maps.append(one, True)
      for number in (0, 17, 499):
        expected = np.clip((values[number] - mean) / (highest - mean), 0, 1)
        np.testing.assert_allclose(maps.heat(0.25 * number), expected, atol=1e-5)


if __name__ == "__main__":
  absltest.main()
