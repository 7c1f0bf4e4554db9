"""AVID: audio-visual instance discrimination with memory banks.

Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with
Cross-Modal Agreement", CVPR 2021, section 3.
"""

from typing import Callable

import gin
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, INDEX, VIDEO, Tensor
from avssl_tf.losses import bank_objective, nce

gin.external_configurable(nce.nce_loss, module="losses")
gin.external_configurable(nce.info_nce_loss, module="losses")

# Pairs of query and bank, cross-modal first: the first one in use estimates the NCE constant.
CROSS = ((VIDEO, AUDIO), (AUDIO, VIDEO))
SELF = ((VIDEO, VIDEO), (AUDIO, AUDIO))


@gin.register
class AVID(bank_objective.BankObjective):
  """Instance discrimination of video and audio against two memory banks.

  Cross-AVID finds a video's sound in the audio bank and a sound's video in the
  video bank; Self-AVID finds each in its own bank; Joint-AVID does both.
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
      UserError: a coefficient is negative or both are zero, or the
        temperature or the number of negatives is not positive.
    """
    super().__init__(num_rows, dim, num_negatives, temperature, momentum, seed, **kwargs)
    if min(cross_coefficient, self_coefficient) < 0 or cross_coefficient + self_coefficient <= 0:
      raise UserError(
        "cross_coefficient and self_coefficient must not be negative nor both zero, got "
        f"{cross_coefficient} and {self_coefficient}."
      )
    total = cross_coefficient + self_coefficient
    shares = {pair: cross_coefficient / total / 2 for pair in CROSS}
    shares.update({pair: self_coefficient / total / 2 for pair in SELF})
    self._instance_shares = {pair: share for pair, share in shares.items() if share > 0}
    self._loss = loss
    # Z: 0 until the first batch has estimated it, then frozen.
    self.normalizer = self._state("normalizer", tf.float32)

  def loss_of(
    self, embeddings: dict[str, Tensor], negatives: Tensor, training: bool
  ) -> dict[str, Tensor]:
    """`call` with the negatives given: int64 `[B, K]`.

    Returns:
      Scalars: `"loss"` and one `"loss/<query>_to_<bank>"` for each term.
    """
    index, queries = embeddings[INDEX], self._queries(embeddings)
    terms, rows, _ = self._instance_terms(index, queries, negatives, training)
    if training:
      self._write(index, queries, overwrite=False, after=list(rows.values()))
    loss = tf.add_n([share * terms[pair] for pair, share in self._instance_shares.items()])
    return {"loss": loss, **{f"loss/{q}_to_{b}": term for (q, b), term in terms.items()}}

  def _instance_terms(
    self, index: Tensor, queries: dict[str, Tensor], negatives: Tensor, training: bool
  ) -> tuple[dict[tuple[str, str], Tensor], dict[str, Tensor], Tensor]:
    """Discriminates each sample's own row from those of its negatives.

    Returns:
      The mean loss of each pair of query and bank; by bank the rows that were read,
      `[B, 1 + K, D]`, the sample's own first; and the NCE constant.
    """
    pairs = list(self._instance_shares)
    used = {bank for _, bank in pairs}
    indices = tf.concat([index[:, tf.newaxis], negatives], axis=1)
    rows = {m: self._bank(m).gather(indices) for m in used}
    scores = [nce.bank_scores(queries[q], rows[b], self._temperature) for q, b in pairs]
    normalizer = self._frozen_normalizer(scores[0][:, 1:], training)
    terms = {
      pair: tf.reduce_mean(self._loss(score[:, :1], score[:, 1:], normalizer))
      for pair, score in zip(pairs, scores)
    }
    return terms, rows, normalizer

  def _frozen_normalizer(self, negative_scores: Tensor, training: bool) -> Tensor:
    # The first term of the first training batch estimates Z; all terms share it.
    estimate = replicas.mean(nce.estimate_normalizer(negative_scores))
    normalizer = tf.where(self.normalizer > 0, self.normalizer, estimate)
    if not training:
      return normalizer
    self.normalizer.assign(normalizer)
    return tf.convert_to_tensor(self.normalizer)
