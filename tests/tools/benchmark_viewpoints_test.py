"""Tests of the command that measures viewpoints: that both ways do the same, and what it prints."""

import functools

import numpy as np
import tensorflow as tf

from tests import command, test_base
from tools import benchmark_viewpoints

_run = functools.partial(command.run_tool, "benchmark_viewpoints")


class BenchmarkViewpointsTest(test_base.TestCase):

  def test_both_ways_see_and_hear_the_same(self):
    frames = self.rng.integers(0, 256, (3, 2, 16, 32, 3), np.uint8)
    fields = self.rng.normal(size=(3, 40, 4)).astype(np.float32)
    # Across the edge, and over a pole.
    views = [
      np.float32([[3.1, -2.0], [0.3, -3.1], [1.0, 0.0]]),
      np.float32([[0.2, -0.4], [1.5, -1.4], [0.0, 0.7]]),
      np.float32([[1.5, 0.6]] * 3),
      np.float32([[1.2, 0.7]] * 3),
    ]
    seen, heard = benchmark_viewpoints.in_numpy(frames, fields, views, 8)
    views = [*map(tf.constant, views), tf.zeros([3, 2], tf.bool)]
    found = benchmark_viewpoints.in_graph(8)(tf.constant(frames), tf.constant(fields), views)
    self.assert_shape(found[0], [3, 2, 2, 8, 8, 3], tf.uint8)
    self.assertLessEqual(np.abs(found[0].astype(int) - seen).max(), 1)
    self.assertAllClose(found[1], heard, atol=1e-5)

  def test_prints_milliseconds_and_their_ratio(self):
    process = _run("--batch_size=2", "--repeats=1", "--height=16", "--size=8", "--audio_sec=0.1")
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertIn("4 views of 8 frames of 8 x 8 from 32 x 16, 800 audio samples", process.stdout)
    for name in ("NumPy", "graph"):
      self.assertRegex(process.stdout, rf"(?m)^{name} +[0-9.]+ +[0-9.]+$")
    self.assertRegex(process.stdout, r"NumPy over graph [0-9.]+")

  def test_refuses_more_views_than_there_is_room_for(self):
    process = _run("--num_viewpoints=400")
    self.assertEqual(process.returncode, 1)
    self.assertIn("the maximum is", process.stderr)
    self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  tf.test.main()
