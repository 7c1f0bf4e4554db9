#!/usr/bin/env python3
"""Measures the search of CMA for positive sets, compared with its matrix products alone.

  python tools/benchmark_mining.py                    # 50,000 rows of 128, k = 32, consensus
  python tools/benchmark_mining.py --num_rows=2000000 --num_queries=8192    # a sample of queries

Two banks of random unit rows are searched in blocks of queries. After each block the matrix
products of the same block run alone, so other load on the machine affects both equally. It prints
wall-clock time, and processor time divided by the number of cores, which estimates the time on an
idle machine (not meaningful on a GPU). It also prints a computed estimate for a bank of another
size.
"""

import dataclasses
import os
import sys
import time
from typing import Callable

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.

# isort: split
import tensorflow as tf
from absl import flags

from avssl_tf.errors import UserError
from avssl_tf.losses import agreement
from avssl_tf.progress import Bar

FLAGS = flags.FLAGS
flags.DEFINE_integer("num_rows", 50000, "Rows of each bank (videos), N.", lower_bound=2)
flags.DEFINE_integer("dim", 128, "Dimension of a row, D.", lower_bound=1)
flags.DEFINE_integer("k", 32, "Number of rows of a positive set.", lower_bound=1)
flags.DEFINE_enum("agreement", "consensus", agreement.AGREEMENTS, "Agreement of two videos.")
flags.DEFINE_integer("block", 512, "Queries per block.", lower_bound=1)
flags.DEFINE_integer("gallery_block", 65536, "Gallery rows per block.", lower_bound=1)
flags.DEFINE_integer(
  "num_queries", 0, "Measured queries; seconds are scaled to all. 0: all.", lower_bound=0
)
flags.DEFINE_integer("estimate_rows", 2000000, "Number of rows of the estimate.", lower_bound=2)
flags.DEFINE_float("estimate_tflops", 20.0, "TFLOP/s per device of the estimate.", lower_bound=1e-6)
flags.DEFINE_integer("estimate_replicas", 1, "Number of devices of the estimate.", lower_bound=1)


@dataclasses.dataclass
class Seconds:
  """Duration of calls: wall-clock seconds, and processor seconds divided by the cores."""

  passed: float = 0.0
  processor: float = 0.0

  def add(self, call: Callable[[tf.Tensor], tf.Tensor], queries: tf.Tensor) -> None:
    """Measures one call of `call` with `queries`."""
    passed, processor = time.perf_counter(), time.process_time()
    call(queries).numpy()
    self.passed += time.perf_counter() - passed
    self.processor += (time.process_time() - processor) / len(os.sched_getaffinity(0))


def flop(num_queries: int, num_rows: int, dim: int, kind: str) -> float:
  """Floating-point operations of the products: 4 Q N D, or 2 Q N D with a single bank."""
  return (4.0 if kind in ("consensus", "union") else 2.0) * num_queries * num_rows * dim


def functions(
  num_rows: int, dim: int, k: int, kind: str, gallery_block: int
) -> dict[str, Callable[[tf.Tensor], tf.Tensor]]:
  """Creates random banks and the functions to measure, which take int32 queries `[Q]`."""
  video, audio = (
    tf.Variable(tf.math.l2_normalize(tf.random.stateless_normal([num_rows, dim], [seed, 0]), -1))
    for seed in range(2)
  )
  banks = {"video": [video], "audio": [audio]}.get(kind, [video, audio])
  signature = [tf.TensorSpec([None], tf.int32)]

  @tf.function(input_signature=signature)
  def mining(queries):
    return agreement.nearest(video, audio, queries, k, kind, gallery_block)

  @tf.function(input_signature=signature)
  def products(queries):
    # A single number depends on each product, so none is optimised away or copied.
    corner = 0.0
    for start in range(0, num_rows, gallery_block):
      for bank in banks:
        rows = bank[start : start + gallery_block]
        corner += tf.linalg.matmul(tf.gather(bank, queries), rows, transpose_b=True)[0, 0]
    return corner

  return {"mining": mining, "products alone": products}


def measure(
  calls: dict[str, Callable[[tf.Tensor], tf.Tensor]], num_queries: int, block: int
) -> dict[str, Seconds]:
  """Seconds of each function over the queries 0..num_queries-1, alternating by block."""
  for call in calls.values():  # The first call traces.
    call(tf.range(min(block, num_queries))).numpy()
  seconds = {name: Seconds() for name in calls}
  with Bar("Mining and products", num_queries, "query") as bar:
    for start in range(0, num_queries, block):
      stop = min(start + block, num_queries)
      for name, call in calls.items():
        seconds[name].add(call, tf.range(start, stop))
      bar.reach(stop)
  return seconds


def estimate(
  num_rows: int, dim: int, kind: str, block: int, gallery_block: int, tflops: float, replicas: int
) -> str:
  """Computed cost of mining all of `num_rows` rows on `replicas` devices of `tflops`."""
  total = flop(num_rows, num_rows, dim, kind) / 1e12
  compared = min(gallery_block, num_rows)
  return (
    f"Computed estimate, {num_rows:,} rows of {dim}: {total:,.1f} TFLOP of products, "
    f"{total / tflops / replicas:,.1f} s at {tflops:g} TFLOP/s on each of {replicas} device(s);\n"
    f"on each device {8e-9 * num_rows * dim:.2f} GB of banks and up to "
    f"{12e-9 * block * compared:.2f} GB for {block:,} queries by {compared:,} rows."
  )


def main() -> None:
  """Measures and prints."""
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  num_rows, dim, kind = FLAGS.num_rows, FLAGS.dim, FLAGS.agreement
  if FLAGS.k >= num_rows:
    raise UserError(f"--k={FLAGS.k} must be below --num_rows={num_rows}.")
  num_queries = min(FLAGS.num_queries or num_rows, num_rows)
  print(
    f"{num_queries:,} of {num_rows:,} rows of {dim}, k={FLAGS.k}, {kind}, "
    f"{FLAGS.block:,} queries per block, {len(os.sched_getaffinity(0))} cores",
    flush=True,
  )
  calls = functions(num_rows, dim, FLAGS.k, kind, FLAGS.gallery_block)
  seconds = measure(calls, num_queries, FLAGS.block)
  scale = num_rows / num_queries
  work = flop(num_queries, num_rows, dim, kind)
  print(f"{'seconds for all rows':22} {'elapsed':>9} {'by processor time':>18} {'GFLOP/s':>9}")
  for name, taken in seconds.items():
    print(
      f"{name:22} {scale * taken.passed:9.2f} {scale * taken.processor:18.2f} "
      f"{1e-9 * work / taken.passed:9.1f}"
    )
  mining, products = seconds["mining"], seconds["products alone"]
  print(
    f"{'mining over products':22} {mining.passed / products.passed:9.2f} "
    f"{mining.processor / products.processor:18.2f}"
  )
  print(
    estimate(
      FLAGS.estimate_rows, dim, kind, FLAGS.block, FLAGS.gallery_block,
      FLAGS.estimate_tflops, FLAGS.estimate_replicas,
    )
  )  # fmt: skip


if __name__ == "__main__":
  main()
