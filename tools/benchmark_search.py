#!/usr/bin/env python3
"""Measures search indexes: recall and time per query, compared with exact search in the same run.

  python tools/benchmark_search.py                # 200,000 windows of 128, all kinds of index
  python tools/benchmark_search.py --windows=1000000 --index_kind=ivf_pq

The embeddings are synthetic, of two sorts. "files": ten windows per file, around a topic of the
file with 24 dimensions and noise in all of them. "random": directions without any structure, for
which lists of similar embeddings are of least use. The queries are windows that are not in the
index. Each is searched in every index in turn, so that other load affects all of them.
"""

import dataclasses
import json
import os
import sys
import tempfile
import time

# Makes the package importable from any folder, without an installation.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ruff: noqa: E402
from avssl_tf import cli  # Before TensorFlow is imported.

# isort: split
import numpy as np
from absl import flags

from avssl_tf import arrays
from avssl_tf.applications.embedding import index, index_building, search_index
from avssl_tf.applications.embedding.embedding_file import EmbeddingFile
from avssl_tf.applications.embedding.exact_search import ExactSearch

FLAGS = flags.FLAGS
SORTS = ("files", "random")
flags.DEFINE_integer("windows", 200_000, "Number of windows in the index.", lower_bound=1_000)
flags.DEFINE_integer("embedding_dim", 128, "Dimension of an embedding.", lower_bound=2)
flags.DEFINE_integer("searches", 500, "Number of queries.", lower_bound=1)
flags.DEFINE_multi_enum("index_kind", [], index_building.KINDS, "Kind to measure; default: all.")
flags.DEFINE_multi_enum("sort", [], SORTS, "Sort of embeddings; default: all.")
_K = 10
_PER_FILE = 10
_TOPIC_DIM = 24
_NUM_BLOCKWISE = 5


def embeddings(sort: str, num_rows: int, dim: int, seed: int = 0) -> np.ndarray:
  """Synthetic embeddings: float32 `[num_rows, dim]`, unit length, in random order."""
  rng = np.random.default_rng(seed)
  rows = rng.standard_normal((num_rows, dim), np.float32)
  if sort == "files":
    shape = (-(-num_rows // _PER_FILE), _TOPIC_DIM)
    basis = rng.standard_normal((_TOPIC_DIM, dim), np.float32) / np.sqrt(_TOPIC_DIM)
    topics = rng.standard_normal(shape, np.float32) @ basis
    rows = 0.5 * rows + np.repeat(topics, _PER_FILE, axis=0)[:num_rows]
  rng.shuffle(rows)
  return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write(path: str, rows: np.ndarray) -> None:
  """Writes an embedding file of windows with video alone."""
  count = len(rows)
  arrays.save(
    path,
    {
      "id": np.char.add("films/", (np.arange(count) // _PER_FILE).astype(np.str_)),
      "start_sec": np.arange(count) % _PER_FILE * 1.0,
      "end_sec": np.arange(count) % _PER_FILE + 1.0,
      "has_video": np.ones(count, bool),
      "has_audio": np.zeros(count, bool),
      "video_embeddings": rows,
      "audio_embeddings": np.full([count, 1], np.nan, np.float32),
      "about": np.array(json.dumps({"format": 1, "weights": "", "model_dir": ""})),
    },
  )  # fmt: skip


@dataclasses.dataclass
class Measured:
  """An index, and its measured searches.

  Attributes:
    index: the opened index.
    build_sec: time to make it.
    milliseconds: duration of each search.
    found: rows that each search found.
  """

  index: search_index.SearchIndex
  build_sec: float
  milliseconds: list[float] = dataclasses.field(default_factory=list)
  found: list[set[int]] = dataclasses.field(default_factory=list)

  def search(self, query: np.ndarray) -> None:
    """Measures one search."""
    start = time.perf_counter()
    results = self.index.nearest(query, "video", _K, all_windows=True)
    self.milliseconds.append(1e3 * (time.perf_counter() - start))
    self.found.append(
      {int(r.file.split("/")[1]) * _PER_FILE + round(r.start_sec) for r in results}
    )


def _measure(sort: str, kinds: list[str], folder: str) -> None:
  rows = embeddings(sort, FLAGS.windows + FLAGS.searches, FLAGS.embedding_dim)
  rows, queries = rows[: FLAGS.windows], rows[FLAGS.windows :]
  path = os.path.join(folder, f"{sort}.npz")
  write(path, rows)
  measured = {}
  for kind in kinds:
    output = os.path.join(folder, f"{sort}-{kind}")
    start = time.perf_counter()
    index.run(index.Job(path, output, kind))
    measured[kind] = Measured(search_index.SearchIndex(output), time.perf_counter() - start)
  for query in queries:
    true = set(np.argpartition(-(rows @ query), _K)[:_K].tolist())
    for one in measured.values():
      one.search(query)
      one.found[-1] &= true
  blockwise, exact = [], ExactSearch(EmbeddingFile.open(path))
  for query in queries[:_NUM_BLOCKWISE]:
    start = time.perf_counter()
    exact.nearest(query, "video", _K, all_windows=True)
    blockwise.append(1e3 * (time.perf_counter() - start))
  for kind, one in measured.items():
    recall = np.mean([len(found) / _K for found in one.found])
    print(
      f"{sort:8} {kind:10} {recall:9.3f} {np.median(one.milliseconds):10.2f} "
      f"{np.mean(one.milliseconds):8.2f} {one.build_sec:8.1f}"
    )
  print(f"{sort:8} {'no index':10} {1.0:9.3f} {np.median(blockwise):10.2f}", flush=True)


def main() -> None:
  """Measures and prints."""
  cli.main(_run, stopped="Stopped.")


def _run() -> None:
  cli.hide_gpus()
  search_index.library()
  kinds = FLAGS.index_kind or list(index_building.KINDS)
  print(
    f"{FLAGS.windows:,} windows of {FLAGS.embedding_dim}, {FLAGS.searches} queries, "
    f"{_K} results, {len(os.sched_getaffinity(0))} cores\n"
    f"{'sort':8} {'index':10} {'recall@10':>9} {'median ms':>10} {'mean ms':>8} {'built s':>8}",
    flush=True,
  )
  with tempfile.TemporaryDirectory() as folder:
    for sort in FLAGS.sort or SORTS:
      _measure(sort, kinds, folder)


if __name__ == "__main__":
  main()
