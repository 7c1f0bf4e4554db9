"""AVID: audio-visual instance discrimination with memory banks.

Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with
Cross-Modal Agreement", CVPR 2021, section 3.
"""

from typing import Callable

import gin
import tensorflow as tf

from avssl_tf.losses import memory_bank, nce, replicas
from avssl_tf.types import AUDIO, INDEX, VIDEO, Tensor

gin.external_configurable(nce.nce_loss, module="losses")
gin.external_configurable(nce.info_nce_loss, module="losses")


@gin.register
class AVID(tf.keras.layers.Layer):
  """Instance discrimination of video and audio against two memory banks.

  Cross-AVID finds a video's sound in the audio bank and a sound's video in the
  video bank; Self-AVID finds each in its own bank; Joint-AVID does both. The
  banks take in the embeddings of all replicas after the scores are read.
  """

  def __init__(
    self,
    num_rows: int,
    dim: int,
    cross_coefficient: float = 1.0,
    self_coefficient: float = 0.0,
    num_negatives: int = 1024,
    temperature: float = 0.07,
    momentum: float = 0.5,
    loss: Callable[..., Tensor] = nce.nce_loss,
    seed: int = 0,
    **kwargs,
  ):
    """Creates the objective with its banks.

    Args:
      num_rows: number of training videos N.
      dim: size D of the embeddings.
      cross_coefficient: weight of the cross-modal terms; Self-AVID: 0.
      self_coefficient: weight of the within-modal terms; Joint-AVID: 1. The
        two are divided by their sum.
      num_negatives: K, drawn anew for each sample, the same rows in both banks.
      temperature: of the scores.
      momentum: of the banks.
      loss: `nce_loss` or `info_nce_loss`.
      seed: of the banks' start and of the negatives.
      **kwargs: of the Keras layer.

    Raises:
      ValueError: a coefficient is negative or both are zero, or the
        temperature or the number of negatives is not positive.
    """
    super().__init__(dtype="float32", **kwargs)
    if min(cross_coefficient, self_coefficient) < 0 or cross_coefficient + self_coefficient <= 0:
      raise ValueError(
        "cross_coefficient and self_coefficient must not be negative nor both zero, got "
        f"{cross_coefficient} and {self_coefficient}."
      )
    if temperature <= 0 or num_negatives < 1:
      raise ValueError(
        f"temperature and num_negatives must be positive, got {temperature} and {num_negatives}."
      )
    total = cross_coefficient + self_coefficient
    # (query, bank) pairs with their share of the loss, cross-modal first: the
    # first of them is the one that estimates the NCE constant.
    terms = {
      (VIDEO, AUDIO): cross_coefficient,
      (AUDIO, VIDEO): cross_coefficient,
      (VIDEO, VIDEO): self_coefficient,
      (AUDIO, AUDIO): self_coefficient,
    }
    self._terms = [(pair, c / total / 2) for pair, c in terms.items() if c > 0]
    self._num_negatives = num_negatives
    self._temperature = temperature
    self._loss = loss
    self._seed = seed
    self.video_bank = memory_bank.MemoryBank(
      num_rows, dim, momentum, seed=2 * seed, name="video_bank"
    )
    self.audio_bank = memory_bank.MemoryBank(
      num_rows, dim, momentum, seed=2 * seed + 1, name="audio_bank"
    )
    # Z: 0 until the first batch has estimated it, then frozen.
    self.normalizer = self._state("normalizer", tf.float32)
    self.step = self._state("step", tf.int64)

  def _state(self, name: str, dtype: tf.DType) -> tf.Variable:
    return self.add_weight(
      name=name,
      shape=[],
      dtype=dtype,
      initializer="zeros",
      trainable=False,
      aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )

  def call(self, embeddings: dict[str, Tensor]) -> dict[str, Tensor]:
    """Draws negatives, scores, and updates the banks.

    Args:
      embeddings: `{"video": [B, D], "audio": [B, D], "index": int64 [B]}`,
        float32; normalised here.

    Returns:
      Scalars: `"loss"` (mean over this replica's batch) and one
      `"loss/<query>_to_<bank>"` for each term.
    """
    index = embeddings[INDEX]
    seed = tf.stack([self._seed, tf.cast(self.step, tf.int32)])
    seed = tf.random.experimental.stateless_fold_in(seed, replicas.replica_id())
    negatives = memory_bank.draw_negatives(
      index, self.video_bank.num_rows, self._num_negatives, seed
    )
    losses = self.loss_of(embeddings, negatives)
    self.step.assign_add(1)
    return losses

  def loss_of(self, embeddings: dict[str, Tensor], negatives: Tensor) -> dict[str, Tensor]:
    """`call` with the negatives given: int64 `[B, K]`."""
    index = embeddings[INDEX]
    banks = {VIDEO: self.video_bank, AUDIO: self.audio_bank}
    queries = {
      m: tf.math.l2_normalize(tf.cast(embeddings[m], tf.float32), axis=-1) for m in banks
    }
    used = {bank for (_, bank), _ in self._terms}
    rows = {
      m: banks[m].gather(tf.concat([index[:, tf.newaxis], negatives], axis=1)) for m in used
    }
    scores = [
      nce.bank_scores(queries[query], rows[bank], self._temperature)
      for (query, bank), _ in self._terms
    ]
    normalizer = self._frozen_normalizer(scores[0][:, 1:])
    losses = {}
    total = 0.0
    for ((query, bank), coefficient), score in zip(self._terms, scores):
      term = tf.reduce_mean(self._loss(score[:, :1], score[:, 1:], normalizer))
      losses[f"loss/{query}_to_{bank}"] = term
      total += coefficient * term
    self._write(index, queries, overwrite=False, after=list(rows.values()))
    return {"loss": total, **losses}

  def fill(self, embeddings: dict[str, Tensor]) -> None:
    """Replaces the rows of a batch by its embeddings (as in `call`)."""
    queries = {m: tf.math.l2_normalize(tf.cast(embeddings[m], tf.float32), axis=-1)
               for m in (VIDEO, AUDIO)}
    self._write(embeddings[INDEX], queries, overwrite=True, after=[])

  def _frozen_normalizer(self, negative_scores: Tensor) -> Tensor:
    # The first term of the first batch estimates Z; all terms share it.
    estimate = replicas.mean(nce.estimate_normalizer(negative_scores))
    self.normalizer.assign(tf.where(self.normalizer > 0, self.normalizer, estimate))
    return tf.convert_to_tensor(self.normalizer)

  def _write(self, index, queries, overwrite, after) -> None:
    indices = replicas.all_gather(index)
    gathered = {m: replicas.all_gather(query) for m, query in queries.items()}
    # The scores are of the banks before this batch, whatever order a graph finds.
    with tf.control_dependencies(after):
      for bank, modality in ((self.video_bank, VIDEO), (self.audio_bank, AUDIO)):
        write = bank.overwrite if overwrite else bank.update
        write(indices, gathered[modality])
