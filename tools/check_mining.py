#!/usr/bin/env python3
"""Checks that workers that share CMA's search for positive sets find the sets of one worker.

  python tools/check_mining.py                    # 50,000 rows of 128, k = 32, two processes
  python tools/check_mining.py --num_rows=3001 --dim=8 --k=5 --workers=3

The banks are random unit rows, a tenth of which are copies of others, so that agreements are equal.
The search runs in one process, then in several that communicate by TensorFlow's
`MultiWorkerMirroredStrategy` on this machine; all sets are compared. Processes on one machine share
its cores: the times show the cost of sharing, not the speed of several machines.
"""

import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.

# isort: split
import numpy as np
import tensorflow as tf
from absl import flags

from avssl_tf.errors import UserError
from avssl_tf.losses import agreement, cma

FLAGS = flags.FLAGS


def _free_addresses(count: int) -> list[str]:
  """Addresses of this machine that no other program uses."""
  sockets = [socket.socket() for _ in range(count)]
  for one in sockets:
    one.bind(("localhost", 0))
  found = [f"localhost:{one.getsockname()[1]}" for one in sockets]
  for one in sockets:
    one.close()
  return found


def _mine(addresses: list[str], number: int, path: str) -> None:
  """Runs in a worker: mines, and saves the seconds and the sets to `path`."""
  strategy = tf.distribute.get_strategy()
  if len(addresses) > 1:
    task = {"type": "worker", "index": number}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
  with strategy.scope():
    objective = cma.CMA(
      FLAGS.num_rows, FLAGS.dim, num_positives=FLAGS.k, agreement=FLAGS.agreement,
      mining_block=FLAGS.query_block,
    )  # fmt: skip
  copies = FLAGS.num_rows // 10
  for bank in (objective.video_bank, objective.audio_bank):
    rows = bank.rows.numpy()
    rows[-copies:] = rows[:copies]
    bank.rows.assign(rows)
  start = time.perf_counter()
  objective.mine(strategy)
  seconds = time.perf_counter() - start
  np.savez(path, seconds=seconds, sets=objective.positive_sets.numpy())


def _mined_by(num_workers: int, folder: str) -> list[dict[str, np.ndarray]]:
  """The results of the workers of one search."""
  # Forked before TensorFlow starts here, which saves importing it again.
  context = multiprocessing.get_context("fork")
  addresses = _free_addresses(num_workers)
  paths = [os.path.join(folder, f"{i}-of-{num_workers}.npz") for i in range(num_workers)]
  workers = [
    context.Process(target=_mine, args=(addresses, i, path), daemon=True)
    for i, path in enumerate(paths)
  ]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()
    if worker.exitcode:
      raise UserError(f"A process of {num_workers} ended with status {worker.exitcode}.")
  return [dict(np.load(path)) for path in paths]


def compare(alone: np.ndarray, shared: list[np.ndarray]) -> None:
  """Compares the positive sets `[N, k]` of each worker with those of one worker alone.

  Raises:
    UserError: they differ.
  """
  for number, sets in enumerate(shared):
    differing = int((sets != alone).any(axis=1).sum())
    if differing:
      raise UserError(
        f"Worker {number} of {len(shared)} has other positive sets than one worker alone in "
        f"{differing} of {len(alone)} rows."
      )


def define_flags() -> None:
  """Defines the flags; not at import, where they could clash with those of other commands."""
  flags.DEFINE_integer("num_rows", 50000, "Rows of each bank (videos), N.", lower_bound=20)
  flags.DEFINE_integer("dim", 128, "Dimension of a row, D.", lower_bound=1)
  flags.DEFINE_integer("k", 32, "Number of rows of a positive set.", lower_bound=1)
  flags.DEFINE_enum("agreement", "consensus", agreement.AGREEMENTS, "Agreement of two videos.")
  flags.DEFINE_integer("query_block", 512, "Queries per worker and block.", lower_bound=1)
  flags.DEFINE_integer("workers", 2, "Number of processes that share the search.", lower_bound=2)


def main() -> None:
  """Mines both ways and compares."""
  define_flags()
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  if FLAGS.k > FLAGS.num_rows - 3:
    raise UserError(f"--k={FLAGS.k}; expected at most {FLAGS.num_rows - 3}.")
  cli.hide_gpus()
  with tempfile.TemporaryDirectory() as folder:
    (alone,) = _mined_by(1, folder)
    shared = _mined_by(FLAGS.workers, folder)
  compare(alone["sets"], [result["sets"] for result in shared])
  print(
    f"{FLAGS.num_rows:,} rows of {FLAGS.dim}, k={FLAGS.k}, {FLAGS.agreement}: the positive "
    f"sets of {FLAGS.workers} workers equal those of one, on each worker.\n"
    f"{float(alone['seconds']):.2f} s by one process, "
    f"{max(float(result['seconds']) for result in shared):.2f} s by {FLAGS.workers} on the same "
    f"{len(os.sched_getaffinity(0))} cores."
  )


if __name__ == "__main__":
  main()
