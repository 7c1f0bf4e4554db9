"""Tests of the command that measures the speed of generation."""

import functools
import re
import unittest

from tests import command

_run = functools.partial(command.run_tool, "benchmark_generation")


class BenchmarkGenerationTest(unittest.TestCase):

  def test_prints_the_ratio_to_real_time(self):
    process = _run("--batch_size=2", "--num_rounds=1", "--gin_param=ClipSpec.num_frames=2")
    self.assertEqual(process.returncode, 0, process.stderr)
    found = re.search(r"^gin/spatial_audio.gin: ([0-9.]+) x real time$", process.stdout, re.M)
    self.assertGreater(float(found[1]), 0.0)

  def test_refuses_other_networks(self):
    process = _run("--gin_file=gin/avid.gin")
    self.assertEqual(process.returncode, 1)
    self.assertIn("network is AudioVisualModel; expected a network", process.stderr)
    self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  unittest.main()
