"""Which videos agree with a video both in sight and in sound: the positive sets of CMA.

Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
CVPR 2021, section 4. The agreement of two videos is computed from the cosine of their rows in
the video bank and the cosine of their rows in the audio bank.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Optional

import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

AGREEMENTS = ("consensus", "union", "video", "audio")


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
  """Matrix products inside of this are in float32, which GPUs may shorten to TensorFloat-32.

  That would round cosines to about 1e-3, too coarsely to order near neighbours.
  """
  before = tf.config.experimental.tensor_float_32_execution_enabled()
  tf.config.experimental.enable_tensor_float_32_execution(False)
  try:
    yield
  finally:
    tf.config.experimental.enable_tensor_float_32_execution(before)


def agreement(video_cosine: Tensor, audio_cosine: Tensor, kind: str = "consensus") -> Tensor:
  """Agreement of pairs of videos.

  Args:
    video_cosine: float32, any shape, in -1..1.
    audio_cosine: float32, the same shape.
    kind: "consensus" (the smaller of both cosines: alike in sight and in sound), "union" (the
      larger), "video" or "audio" (that one alone; the other may be None).

  Returns:
    float32, the same shape.

  Raises:
    UserError: another `kind`.
  """
  _check_kind(kind)
  if kind == "video":
    return video_cosine
  if kind == "audio":
    return audio_cosine
  combine = tf.minimum if kind == "consensus" else tf.maximum
  return combine(video_cosine, audio_cosine)


def nearest(
  video_rows: Tensor,
  audio_rows: Tensor,
  queries: Tensor,
  k: int,
  agreement: str = "consensus",  # pylint: disable=redefined-outer-name
  gallery_block: int = 65536,
) -> Tensor:
  """Finds the `k` rows that agree most with each query, without the query itself.

  The search is exact. Rows whose computed agreement is equal come in the order of their numbers.
  (Products of equal rows can differ by 1e-7 with their place in a matrix product.) On GPUs, call it
  inside of `full_precision`.

  Cost. A query costs 4 N D FLOP ("video" and "audio" half of it), so that mining all N rows grows
  with N^2. Memory is O(Q * gallery_block), whatever N: at most about 12 bytes for each query and
  row of a block. All 50,000 rows of D = 128 are 1.3 TFLOP. All 2 million rows are 2,048 TFLOP:
  102 s of arithmetic at 20 TFLOP/s, 102 / R s where each of R such replicas takes N / R of the
  queries, and the banks take 2 GB (8 N D bytes) on each; 512 queries against a block of 65,536
  rows take 0.4 GB more. These are figures by arithmetic: `tools/benchmark_mining.py` measures.

  On CPUs take blocks of 512 queries or more: smaller ones multiply matrices less well. A larger
  gallery block is faster too, since each block ends with a search among its candidates.

  Args:
    video_rows: float32 `[N, D]`, L2-normalised.
    audio_rows: float32 `[N, D]`, L2-normalised, of the same videos.
    queries: int32 or int64 `[Q]`, rows in 0..N-1.
    k: rows to find, 1..N-1.
    agreement: one of `AGREEMENTS`; see the function of that name.
    gallery_block: rows that are compared with the queries at a time.

  Returns:
    int32 `[Q, k]`, best first.

  Raises:
    UserError: another agreement, a `k` outside 1..N-1, or banks of different shapes, where
      shapes are static.
    tf.errors.InvalidArgumentError: `k` >= N, where N is known only when the graph runs.
  """
  video_rows = tf.convert_to_tensor(video_rows)
  audio_rows = tf.convert_to_tensor(audio_rows)
  _check(video_rows.shape, audio_rows.shape, k, agreement, gallery_block)
  num_rows = tf.shape(video_rows)[0]
  # Holds already where shapes are static.
  enough = tf.debugging.Assert(num_rows > k, ["k must be below the number of rows:", k, num_rows])
  with tf.control_dependencies([enough] if enough is not None else []):
    queries = tf.cast(queries, tf.int32)
  query_video = tf.gather(video_rows, queries) if agreement != "audio" else None
  query_audio = tf.gather(audio_rows, queries) if agreement != "video" else None
  group_size = _group_size(video_rows.shape[0], k, gallery_block)

  def scores(start: Tensor, stop: Tensor) -> Tensor:
    return _combined(
      _products(query_video, video_rows, start, stop),
      _products(query_audio, audio_rows, start, stop),
      agreement,
    )

  def add_block(start: Tensor, best: Tensor, best_rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    stop = tf.minimum(start + gallery_block, num_rows)
    rest = stop - (stop - start) % group_size  # the few last rows that make no whole group
    found, rows = _candidates(scores(start, rest), group_size, k)
    rest_rows = tf.broadcast_to(tf.range(rest, stop), [tf.size(queries), stop - rest])
    # In the order of the rows, since top_k puts the first of equals first.
    found = tf.concat([found, scores(rest, stop)], axis=1)
    rows = tf.concat([start + rows, rest_rows], axis=1)
    found = tf.where(rows == queries[:, tf.newaxis], -math.inf, found)
    found = tf.concat([best, found], axis=1)
    rows = tf.concat([best_rows, rows], axis=1)
    best, places = tf.math.top_k(found, k)
    return stop, best, tf.gather(rows, places, batch_dims=1)

  shape = [tf.size(queries), k]
  _, _, best_rows = tf.while_loop(
    lambda start, best, best_rows: start < num_rows,
    add_block,
    (tf.constant(0), tf.fill(shape, -math.inf), tf.fill(shape, -1)),
    shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, k]), tf.TensorShape([None, k])),
    parallel_iterations=1,  # one block in memory
  )
  return tf.ensure_shape(best_rows, [queries.shape[0], k])


# In `nearest`, its argument of the same name hides the function.
_combined = agreement


def _products(
  queries: Optional[Tensor], rows: Tensor, start: Tensor, stop: Tensor
) -> Optional[Tensor]:
  """Cosines of queries `[Q, D]` and rows `start` to `stop`, `[Q, stop - start]`; None for None."""
  if queries is None:
    return None
  return tf.linalg.matmul(queries, rows[start:stop], transpose_b=True)


def _candidates(scores: Tensor, group_size: int, k: int) -> tuple[Tensor, Tensor]:
  """Columns of `scores`, among which are each row's `k` largest even if one column is left out.

  top_k is slow over long rows. Here it sees the maxima of groups of neighbouring columns and then
  k + 1 groups. These suffice: a value of any other group is not above the maxima of all k + 1, of
  which at most one (the query's own) is left out later, so that k better ones remain. Among equal
  maxima top_k takes the first groups, so that the first columns win among equals too.

  Args:
    scores: float32 `[Q, M * group_size]`.
    group_size: columns of a group.
    k: how many of the largest are wanted.

  Returns:
    float32 and int32 `[Q, min(k + 1, M) * group_size]`: values, and columns in ascending order.
  """
  num_queries, num_groups = tf.shape(scores)[0], tf.shape(scores)[1] // group_size
  groups = tf.reshape(scores, [num_queries, num_groups, group_size])
  num_kept = tf.minimum(k + 1, num_groups)
  kept = tf.math.top_k(tf.reduce_max(groups, axis=2), num_kept, sorted=False).indices
  kept = tf.sort(kept, axis=1)
  columns = kept[:, :, tf.newaxis] * group_size + tf.range(group_size)
  shape = [num_queries, num_kept * group_size]
  return tf.reshape(tf.gather(groups, kept, batch_dims=1), shape), tf.reshape(columns, shape)


def _group_size(num_rows: Optional[int], k: int, gallery_block: int) -> int:
  """Group size g that minimises M / g + (k + 1) g, what top_k sees of a block of M rows."""
  block = gallery_block if num_rows is None else min(num_rows, gallery_block)
  return max(1, round(math.sqrt(block / (k + 1))))


def _check_kind(kind: str) -> None:
  if kind not in AGREEMENTS:
    raise UserError(f"agreement must be one of {', '.join(AGREEMENTS)}, got {kind!r}.")


def _check(
  video_shape: tf.TensorShape, audio_shape: tf.TensorShape, k: int, kind: str, gallery_block: int
) -> None:
  _check_kind(kind)
  if not video_shape.is_compatible_with(audio_shape) or video_shape.rank != 2:
    raise UserError(
      "Both banks hold one row a video: expected the same shape [N, D], got "
      f"{video_shape} for video and {audio_shape} for audio."
    )
  if gallery_block < 1:
    raise UserError(f"gallery_block must be at least 1, got {gallery_block}.")
  if k < 1:
    raise UserError(f"k must be at least 1, got {k}.")
  num_rows = video_shape[0]
  if num_rows is not None and k >= num_rows:
    raise UserError(
      f"A video has {num_rows - 1} others in a bank of {num_rows} rows, too few for k={k}: "
      f"set k to at most {num_rows - 1}."
    )
