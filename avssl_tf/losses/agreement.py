"""Cross-modal agreement of videos, and the search for the positive sets of CMA.

Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
CVPR 2021, section 4. The agreement of two videos combines two cosines: that of their rows of the
video bank and that of their rows of the audio bank.
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
  """Disables TensorFloat-32, so that GPUs compute matrix products in float32.

  TensorFloat-32 rounds cosines to about 1e-3, which is too coarse to rank near neighbours.
  """
  before = tf.config.experimental.tensor_float_32_execution_enabled()
  tf.config.experimental.enable_tensor_float_32_execution(False)
  try:
    yield
  finally:
    tf.config.experimental.enable_tensor_float_32_execution(before)


def agreement(video_cosine: Tensor, audio_cosine: Tensor, kind: str = "consensus") -> Tensor:
  """Agreement of pairs of videos.

  With s_v the cosine of the videos and s_a that of the audio: `"consensus"` is min(s_v, s_a),
  `"union"` is max(s_v, s_a), `"video"` is s_v and `"audio"` is s_a.

  Args:
    video_cosine: float32, any shape, in -1..1.
    audio_cosine: float32, the same shape.
    kind: one of `AGREEMENTS`. With `"video"` or `"audio"` the other cosine may be None.

  Returns:
    float32, the same shape.

  Raises:
    UserError: `kind` is unknown.
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
  """Finds the `k` rows with the highest agreement with each query, excluding the query itself.

  The agreement of two videos i and j is, by default, the consensus of CMA (`agreement`):

      min(<v_bar_i, v_bar_j>, <a_bar_i, a_bar_j>)

  where v_bar and a_bar are the rows of the video bank (`video_rows`) and of the audio bank
  (`audio_rows`). The search is exact. Rows with equal computed agreement are sorted by row number
  (dot products of equal rows can differ by 1e-7, depending on their position in a matrix product).
  On GPUs, call it inside `avssl_tf.losses.agreement.full_precision()`.

  **Cost.** A query costs 4 N D FLOP (half of that for `"video"` and `"audio"`); the cost of mining
  all N rows therefore grows with N^2. Memory is O(Q * gallery_block), independent of N: at most
  about 12 bytes per query and row of a block. All 50,000 rows of D = 128 take 1.3 TFLOP. All
  2 million rows take 2,048 TFLOP: 102 s of arithmetic at 20 TFLOP/s, or 102 / R s with R such
  replicas that each process N / R of the queries. The banks take 2 GB (8 N D bytes) on each
  replica; 512 queries against a block of 65,536 rows take another 0.4 GB. These figures are
  computed, not measured; `tools/benchmark_mining.py` measures them.

  On CPUs, use blocks of 512 queries or more: smaller matrix products are less efficient. A larger
  gallery block is also faster, because each block ends with a search among its candidates.

  Args:
    video_rows: float32 `[N, D]`, L2-normalised.
    audio_rows: float32 `[N, D]`, L2-normalised, one row per video in the same order.
    queries: int32 or int64 `[Q]`, row numbers in 0..N-1.
    k: number of rows to find, in 1..N-1.
    agreement: `"consensus"`, `"union"`, `"video"` or `"audio"`.
    gallery_block: number of rows to compare with the queries at once, 1 or more.

  Returns:
    int32 `[Q, k]`, row numbers, highest agreement first.

  Raises:
    UserError: the agreement is unknown, `gallery_block` is below 1, or, as far as shapes are
      static, `k` is outside 1..N-1 or the shapes of the banks differ.
    tf.errors.InvalidArgumentError: `k` >= N, where N is known only at run time.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 4.

  Examples:
    Video 1 is close to video 0 in both modalities, video 2 only in audio.

    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> video = tf.constant([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> audio = tf.constant([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    >>> losses.nearest(video, audio, queries=tf.constant([0]), k=2).numpy()
    array([[1, 2]], dtype=int32)
    >>> losses.nearest(video, audio, tf.constant([0]), k=2, agreement="audio").numpy()
    array([[2, 1]], dtype=int32)
  """
  video_rows = tf.convert_to_tensor(video_rows)
  audio_rows = tf.convert_to_tensor(audio_rows)
  _check(video_rows.shape, audio_rows.shape, k, agreement, gallery_block)
  num_rows = tf.shape(video_rows)[0]
  # Where shapes are static, `_check` has already verified this.
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
    rest = stop - (stop - start) % group_size  # the last rows, which do not fill a group
    found, rows = _candidates(scores(start, rest), group_size, k)
    rest_rows = tf.broadcast_to(tf.range(rest, stop), [tf.size(queries), stop - rest])
    # In row order, because top_k returns the first of equal values first.
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


# In `nearest`, the argument `agreement` hides the function of that name.
_combined = agreement


def _products(
  queries: Optional[Tensor], rows: Tensor, start: Tensor, stop: Tensor
) -> Optional[Tensor]:
  """Cosines of queries `[Q, D]` and rows `start` to `stop`: `[Q, stop - start]`.

  Returns None if `queries` is None.
  """
  if queries is None:
    return None
  return tf.linalg.matmul(queries, rows[start:stop], transpose_b=True)


def _candidates(scores: Tensor, group_size: int, k: int) -> tuple[Tensor, Tensor]:
  """Columns of `scores` that contain the `k` largest of each row, even if one column is excluded.

  top_k is slow over long rows. Here it runs over the maxima of groups of adjacent columns, and the
  best k + 1 groups are kept. These are sufficient: no value of another group exceeds the maximum of
  any of the k + 1 groups. At most one of these maxima (the query's own) is excluded later, so k
  values at least as large remain. Among equal maxima top_k selects the first groups, so the first
  columns also win among equal values.

  Args:
    scores: float32 `[Q, M * group_size]`.
    group_size: number of columns of a group.
    k: number of largest values.

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
  """Group size g that minimises M / g + (k + 1) g, the input size of top_k per M rows."""
  block = gallery_block if num_rows is None else min(num_rows, gallery_block)
  return max(1, round(math.sqrt(block / (k + 1))))


def _check_kind(kind: str) -> None:
  if kind not in AGREEMENTS:
    raise UserError(f"agreement is {kind!r}; expected one of {', '.join(AGREEMENTS)}.")


def _check(
  video_shape: tf.TensorShape, audio_shape: tf.TensorShape, k: int, kind: str, gallery_block: int
) -> None:
  _check_kind(kind)
  if not video_shape.is_compatible_with(audio_shape) or video_shape.rank != 2:
    raise UserError(
      "Both banks hold one row per video: expected the same shape [N, D], got "
      f"{video_shape} for video and {audio_shape} for audio."
    )
  if gallery_block < 1:
    raise UserError(f"gallery_block is {gallery_block}; expected 1 or more.")
  if k < 1:
    raise UserError(f"k is {k}; expected 1 or more.")
  num_rows = video_shape[0]
  if num_rows is not None and k >= num_rows:
    raise UserError(
      f"k={k} is too large: in a bank of {num_rows} rows each video has {num_rows - 1} others. "
      f"Set k to at most {num_rows - 1}."
    )
