"""Tests of the command that measures mining: what it prints, and that it measures what it says."""

import functools

import numpy as np
import tensorflow as tf

from tests import command, test_base
from tools import benchmark_mining

_run = functools.partial(command.run_tool, "benchmark_mining")


class BenchmarkMiningTest(test_base.TestCase):

  def test_counts_operations(self):
    self.assertEqual(benchmark_mining.flop(3, 10, 5, "consensus"), 2 * 2 * 3 * 10 * 5)
    self.assertEqual(benchmark_mining.flop(3, 10, 5, "audio"), 2 * 3 * 10 * 5)

  def test_estimates_by_arithmetic(self):
    text = benchmark_mining.estimate(2_000_000, 128, "consensus", 512, 65536, 20.0, 4)
    for part in ("2,048.0 TFLOP", "25.6 s", "20 TFLOP/s on each of 4", "2.05 GB", "0.40 GB"):
      self.assertIn(part, text)
    text = benchmark_mining.estimate(200_000, 2, "video", 8, 10**6, 1.0, 1)
    self.assertIn("0.02 GB for 8 queries by 200,000 rows", text)

  def test_both_functions_use_the_banks(self):
    calls = benchmark_mining.functions(40, 8, 3, "union", gallery_block=16)
    found = calls["mining"](tf.range(5))
    self.assert_shape(found, [5, 3], tf.int32)
    corners = 0.0
    for seed in range(2):
      rows = tf.math.l2_normalize(tf.random.stateless_normal([40, 8], [seed, 0]), -1).numpy()
      corners += sum(rows[0] @ rows[start] for start in (0, 16, 32))
    self.assertAllClose(calls["products alone"](tf.range(5)), corners)

  def test_measures_every_query_once(self):
    seen = {"a": [], "b": []}
    calls = {
      name: lambda queries, name=name: tf.constant(seen[name].append(queries.numpy()) or 0)
      for name in seen
    }
    seconds = benchmark_mining.measure(calls, 11, 4)
    for name in seen:
      self.assertAllEqual(np.concatenate(seen[name][1:]), np.arange(11))
      self.assertGreater(seconds[name].passed, 0)

  def test_prints_seconds(self):
    process = _run("--num_rows=300", "--dim=8", "--k=4", "--block=64", "--num_queries=100")
    self.assertEqual(process.returncode, 0, process.stderr)
    self.assertIn("100 of 300 rows of 8, k=4, consensus", process.stdout)
    for name in ("mining", "products alone"):
      self.assertRegex(process.stdout, rf"(?m)^{name} +[0-9.]+ +[0-9.]+ +[0-9.]+$")
    self.assertRegex(process.stdout, r"mining over products +[0-9.]+")
    self.assertIn("2,000,000 rows of 8", process.stdout)
    self.assertRegex(process.stderr, r"Mining and products: 100%.*100/100")

  def test_refuses_more_positives_than_rows(self):
    process = _run("--num_rows=8", "--k=8")
    self.assertEqual(process.returncode, 1)
    self.assertIn("--k=8 must be below --num_rows=8", process.stderr)
    self.assertNotIn("Traceback", process.stderr)


if __name__ == "__main__":
  tf.test.main()
