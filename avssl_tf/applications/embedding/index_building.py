"""Builds the FAISS index of one modality, and measures its recall against exact search."""

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from avssl_tf import keys
from avssl_tf.applications.embedding.exact_search import embedded_rows
from avssl_tf.applications.embedding.opened_embeddings import Embeddings
from avssl_tf.applications.embedding.search_index import configure, library, one_thread
from avssl_tf.errors import UserError
from avssl_tf.progress import Bar

FLAT, IVF_SQ8, IVF_PQ = KINDS = ("flat", "ivf_sq8", "ivf_pq")
# Number of embeddings from which a kind is chosen: below, the kind before it takes 1 ms or less.
_FROM = {IVF_SQ8: 20_000, IVF_PQ: 100_000}
# Fewest embeddings that can be clustered.
FEWEST = 1_000
# Embeddings per list to train the lists with: FAISS uses at most 256, and warns below 39.
_TRAINED_PER_LIST = 128
_MIN_PER_LIST = 39
# Recall is measured for this many nearest windows, with this many queries of each modality.
_K = 10
_NUM_QUERIES = 500
# Compared again per result, after the search of compressed embeddings.
_K_FACTORS = (32, 128, 512)
# Nearest windows that count as correct if they are as near as the last of the nearest `_K`.
_NUM_TRUE = 100
_EQUAL = 1e-6
_NUM_TIMED = 100


@dataclasses.dataclass(frozen=True)
class Settings:
  """An index of one modality; the attributes are written to `index.json`.

  Attributes:
    kind: one of `KINDS`.
    rows: number of embeddings.
    nlist: number of lists.
    nprobe: number of lists to search.
    k_factor: candidates per result that are compared again.
    recall: share of the 10 nearest windows that are found, by modality of the queries.
    num_queries: number of queries that the recall is measured with, by modality.
    query_ms: median duration of a query.
  """

  kind: str
  rows: int
  nlist: int = 1
  nprobe: int = 1
  k_factor: int = 1
  recall: Mapping[str, float] = dataclasses.field(default_factory=dict)
  num_queries: Mapping[str, int] = dataclasses.field(default_factory=dict)
  query_ms: float = 0.0


@dataclasses.dataclass
class _Queries:
  """Queries of one modality, and the windows nearest to them.

  Attributes:
    vectors: float32 `[Q, E]`.
    places: int64 `[Q]`, position of each query among the embeddings; -1 if it is not one of them.
    nearest: `faiss.ResultHeap` of the nearest embeddings so far.
  """

  vectors: np.ndarray
  places: np.ndarray
  nearest: Any


def kind_for(num_rows: int) -> str:
  """The kind of index for a number of embeddings."""
  return next((kind for kind in (IVF_PQ, IVF_SQ8) if num_rows >= _FROM[kind]), FLAT)


def factory(kind: str, num_rows: int, dim: int) -> tuple[str, int]:
  """Description of an index for `faiss.index_factory`, and its number of lists.

  The number of lists is the power of two nearest to the square root of the number of embeddings.
  Product quantisation has 4 bits for two dimensions (one if their number is odd), scanned in
  registers; candidates are compared again as float16.

  >>> factory("ivf_pq", 1_000_000, 128)
  ('IVF1024,PQ64x4fs,Refine(SQfp16)', 1024)
  """
  if kind == FLAT:
    return "Flat", 1
  nlist = 1 << round(math.log2(math.sqrt(num_rows)))
  while nlist * _MIN_PER_LIST > num_rows:
    nlist //= 2
  if kind == IVF_SQ8:
    return f"IVF{nlist},SQ8", nlist
  parts = dim // 2 if dim % 2 == 0 else dim
  return f"IVF{nlist},PQ{parts}x4fs,Refine(SQfp16)", nlist


def build(
  embeddings: Embeddings,
  modality: str,
  counts: Mapping[str, int],
  kind: str,
  min_recall: float,
  seed: int,
) -> tuple[Any, np.ndarray, Settings]:
  """Builds the index of one modality.

  The file is read twice: for a sample, which trains the index, and for all embeddings. Queries are
  embeddings of both modalities: those of the other one are not in the index, and those of the same
  one do not count as found themselves. The fewest lists whose recall is sufficient for the queries
  of both modalities are searched.

  Args:
    embeddings: the embedding file.
    modality: `VIDEO` or `AUDIO`.
    counts: number of embeddings of each modality.
    kind: one of `KINDS`.
    min_recall: recall to reach, in 0..1.
    seed: of the sample and the queries.

  Returns:
    The index, int64 `[M]` rows of its embeddings, and its settings.

  Raises:
    UserError: there are too few embeddings for this kind, or the file is damaged.
  """
  faiss = library()
  count = counts[modality]
  if kind != FLAT and count < FEWEST:
    raise UserError(
      f"--kind={kind}: {embeddings.path} has {count} {modality} embeddings; expected at least "
      f"{FEWEST}. Pass --kind=flat."
    )
  rng = np.random.default_rng(seed)
  queries = {name: _queries(embeddings, name, counts[name], name == modality, rng)
             for name in keys.MODALITIES if counts[name] and kind != FLAT}  # fmt: skip
  dim = next(embedded_rows(embeddings, modality))["embeddings"].shape[1]
  described, nlist = factory(kind, count, dim)
  index = faiss.index_factory(dim, described, faiss.METRIC_INNER_PRODUCT)
  if not index.is_trained:
    index.train(_sample(embeddings, modality, nlist * _TRAINED_PER_LIST / count, rng))
  rows = np.empty(count, np.int64)
  done = 0
  with Bar(f"{modality} index", count, "window") as bar:
    for block in embedded_rows(embeddings, modality):
      found = block["embeddings"]
      for asked in queries.values():
        _add(asked, found, done)
      index.add(found)
      rows[done : done + len(found)] = block["row"]
      done += len(found)
      bar.reach(done)
  settings = Settings(kind, count, nlist)
  return index, rows, _tuned(index, settings, queries, min_recall) if queries else settings


def _sample(
  embeddings: Embeddings, modality: str, share: float, rng: np.random.Generator
) -> np.ndarray:
  """A random share of the embeddings."""
  return np.concatenate([
    block["embeddings"][rng.random(len(block["row"])) < share]
    for block in embedded_rows(embeddings, modality)
  ])  # fmt: skip


def _queries(
  embeddings: Embeddings,
  modality: str,
  count: int,
  are_in_index: bool,
  rng: np.random.Generator,
) -> _Queries:
  """About `_NUM_QUERIES` random queries."""
  chosen = np.sort(rng.choice(count, min(count, _NUM_QUERIES), replace=False))
  start, vectors = 0, []
  for block in embedded_rows(embeddings, modality):
    inside = chosen[(chosen >= start) & (chosen < start + len(block["row"]))]
    vectors.append(block["embeddings"][inside - start])
    start += len(block["row"])
  heap = library().ResultHeap(len(chosen), _NUM_TRUE, keep_max=True)
  places = chosen if are_in_index else np.full(len(chosen), -1)
  return _Queries(np.concatenate(vectors), places, heap)


def _add(queries: _Queries, found: np.ndarray, start: int) -> None:
  """Compares the queries with embeddings `[n, E]`, the first of which is number `start`."""
  faiss = library()
  if len(found):
    k = min(_NUM_TRUE, len(found))
    near, places = faiss.knn(queries.vectors, found, k, metric=faiss.METRIC_INNER_PRODUCT)
    queries.nearest.add_result(near, places + start)


def _tuned(
  index: Any, settings: Settings, queries: Mapping[str, _Queries], min_recall: float
) -> Settings:
  """The settings with the fewest lists that have sufficient recall, or the highest recall."""
  for asked in queries.values():
    asked.nearest.finalize()
  best = settings
  for trial in _trials(index, settings):
    configure(index, trial.nprobe, trial.k_factor)
    measured = {name: _recall(index, asked) for name, asked in queries.items()}
    trial = dataclasses.replace(
      trial,
      recall={name: recall for name, (recall, _) in measured.items()},
      num_queries={name: count for name, (_, count) in measured.items()},
    )
    if not best.recall or min(trial.recall.values()) > min(best.recall.values()):
      best = trial
    if min(trial.recall.values()) >= min_recall:
      break
  configure(index, best.nprobe, best.k_factor)
  vectors = np.concatenate([asked.vectors for asked in queries.values()])[:_NUM_TIMED]
  return dataclasses.replace(best, query_ms=median_ms(index, vectors))


def _trials(index: Any, settings: Settings) -> Iterator[Settings]:
  for k_factor in _K_FACTORS if hasattr(index, "k_factor") else (1,):
    for power in range(settings.nlist.bit_length()):
      yield dataclasses.replace(settings, nprobe=1 << power, k_factor=k_factor)


def _recall(index: Any, queries: _Queries) -> tuple[float, int]:
  """Share of the nearest windows that an index finds, and the number of queries.

  Windows as near as the last of the nearest ones count as well. Queries with too many of them are
  left out.
  """
  _, found = index.search(queries.vectors, _K + 1)
  shares = []
  for own, near, true, some in zip(queries.places, queries.nearest.D, queries.nearest.I, found):
    others = (true != own) & (true >= 0)
    near, true = near[others], true[others]
    correct = near >= near[_K - 1] - _EQUAL
    if not correct.all():
      shares.append(np.isin(some[some != own][:_K], true[correct]).mean())
  return float(np.mean(shares)) if shares else 1.0, len(shares)


def median_ms(index: Any, queries: np.ndarray) -> float:
  """Median duration of searches with one query each, in milliseconds."""
  durations = []
  with one_thread():
    for query in queries:
      start = time.perf_counter()
      index.search(query[np.newaxis], _K)
      durations.append(time.perf_counter() - start)
  return float(1e3 * np.median(durations))
