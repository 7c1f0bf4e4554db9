"""A memory bank with one embedding per video, and the sampling of negatives from it."""

from typing import Any

import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor


def updated_rows(rows: Tensor, embeddings: Tensor, momentum: float) -> Tensor:
  """Moves rows towards new embeddings: normalise(m row + (1 - m) e).

  AVID-CMA (Morgado, Vasconcelos, Misra, CVPR 2021), section 3.1.

  Args:
    rows: float32 `[B, D]`, L2-normalised.
    embeddings: float32 `[B, D]`, L2-normalised.
    momentum: share m of the old row, in 0..1.

  Returns:
    float32 `[B, D]`, L2-normalised.
  """
  return tf.math.l2_normalize(momentum * rows + (1.0 - momentum) * embeddings, axis=-1)


def merge_duplicates(indices: Tensor, embeddings: Tensor) -> Tensor:
  """Replaces the embeddings of the samples of one video in a batch with their mean.

  A batch drawn with replacement can contain a video twice. Scattering different values to the same
  row is not deterministic on a GPU; scattering equal values is.

  Args:
    indices: int64 `[B]`.
    embeddings: float32 `[B, D]`, L2-normalised.

  Returns:
    float32 `[B, D]`, L2-normalised; rows that occur once are unchanged.
  """
  same = tf.cast(tf.equal(indices[:, tf.newaxis], indices), embeddings.dtype)
  merged = tf.math.l2_normalize(tf.linalg.matmul(same, embeddings), axis=-1)
  occurs_once = tf.reduce_sum(same, axis=1, keepdims=True) < 1.5
  return tf.where(occurs_once, embeddings, merged)


def draw_negatives(excluded: Tensor, num_rows: int, num_negatives: int, seed: Tensor) -> Tensor:
  """Draws rows uniformly, with replacement, from all rows that are not excluded.

  Args:
    excluded: int64 `[B, M]`, distinct rows for each sample: its own, and any others. Numbers of
      `num_rows` or more mean "none"; all samples must have the same number of them.
    num_rows: number of rows of the bank, more than are excluded.
    num_negatives: number of negatives per sample, K.
    seed: int32 `[2]`; the result is a pure function of it.

  Returns:
    int64 `[B, K]` in 0..num_rows-1.
  """
  num_excluded = tf.reduce_sum(tf.cast(excluded[0] < num_rows, tf.int64))
  drawn = tf.random.stateless_uniform(
    [tf.shape(excluded)[0], num_negatives], seed, maxval=num_rows - num_excluded, dtype=tf.int64
  )
  # The n-th remaining row is row n + e, with e the number of excluded rows before it. The j-th
  # excluded row in ascending order, r_j, is before it if n >= r_j - j.
  ordered = tf.sort(excluded, axis=1)
  gaps = ordered - tf.range(tf.shape(excluded, tf.int64)[1], dtype=tf.int64)
  return drawn + tf.searchsorted(gaps, drawn, side="right", out_type=tf.int64)


class MemoryBank(tf.keras.layers.Layer):
  """Memory bank: one L2-normalised row per video, under any distribution strategy.

  The rows are initialised at random. `update` moves the rows of a batch towards its embeddings e:

      row <- normalise(momentum * row + (1 - momentum) * e)

  The rows are a non-trainable variable. They are checkpointed, mirrored over the replicas, and
  never exported.

  Attributes:
    rows: float32 variable `[num_rows, dim]`, unit length.
    momentum: share of the old row that an update keeps, in 0..1.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 3.1.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> bank = losses.MemoryBank(num_rows=10, dim=2)
    >>> row = tf.constant([[0.6, 0.8]])
    >>> bank.overwrite(tf.constant([3], tf.int64), row)
    >>> bank.gather(tf.constant([3])).numpy().round(3)
    array([[0.6, 0.8]], dtype=float32)
  """

  def __init__(
    self, num_rows: int, dim: int, momentum: float = 0.5, seed: int = 0, **kwargs: Any
  ):
    """Creates the bank.

    Args:
      num_rows: number of videos N, at least 2.
      dim: size D of an embedding.
      momentum: share of the old row that an update keeps, in 0..1.
      seed: seed of the random initialisation.
      **kwargs: keyword arguments of `tf.keras.layers.Layer`.

    Raises:
      UserError: there are fewer than 2 rows, or the momentum is outside 0..1.
    """
    super().__init__(dtype="float32", **kwargs)
    if num_rows < 2:
      raise UserError(f"num_rows is {num_rows}; expected 2 or more, one row per video.")
    if not 0.0 <= momentum <= 1.0:
      raise UserError(f"momentum is {momentum}; expected 0..1.")
    self.momentum = momentum
    start = tf.random.stateless_normal([num_rows, dim], seed=[seed, 0])
    # Every replica computes the same update from the gathered embeddings and writes its own copy in
    # place. Other aggregations would reduce whole banks, or do not support scatter updates.
    self.rows = self.add_weight(
      name="rows",
      shape=[num_rows, dim],
      initializer=lambda shape, dtype=None: tf.math.l2_normalize(start, axis=-1),
      trainable=False,
      aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )

  @property
  def num_rows(self) -> int:
    """Number of videos."""
    return self.rows.shape[0]

  def gather(self, indices: Tensor) -> Tensor:
    """Reads rows.

    Args:
      indices: int32 or int64 of any shape `[...]`, row numbers in 0..N-1.

    Returns:
      float32 `[..., dim]`, unit length.
    """
    return tf.gather(self.rows, indices)

  def update(self, indices: Tensor, embeddings: Tensor) -> None:
    """Moves the rows of the samples of all replicas towards their embeddings.

    Samples with the same index are averaged first.

    Args:
      indices: int64 `[B]`, row numbers of the samples of all replicas, the same on each replica.
      embeddings: float32 `[B, dim]`, L2-normalised, of the samples of all replicas.
    """
    self._write(indices, embeddings, self.momentum)

  def overwrite(self, indices: Tensor, embeddings: Tensor) -> None:
    """Replaces the rows of the samples of all replicas.

    Args:
      indices: as in `update`.
      embeddings: as in `update`.
    """
    self._write(indices, embeddings, 0.0)

  def _write(self, indices: Tensor, embeddings: Tensor, momentum: float) -> None:
    embeddings = merge_duplicates(indices, embeddings)
    rows = updated_rows(self.gather(indices), embeddings, momentum)
    self.rows.scatter_update(tf.IndexedSlices(rows, indices))
