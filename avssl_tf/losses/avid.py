"""AVID: audio-visual instance discrimination with memory banks.

Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
CVPR 2021, section 3.
"""

from typing import Any, Callable

import gin
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, INDEX, VIDEO, Tensor
from avssl_tf.losses import bank_objective, nce

gin.external_configurable(nce.nce_loss, module="losses")
gin.external_configurable(nce.info_nce_loss, module="losses")

# Pairs of (query, bank), cross-modal first. The first pair in use estimates the NCE constant.
CROSS = ((VIDEO, AUDIO), (AUDIO, VIDEO))
SELF = ((VIDEO, VIDEO), (AUDIO, AUDIO))


@gin.register
class AVID(bank_objective.BankObjective):
  """Audio-visual instance discrimination (AVID) against two memory banks.

  Cross-AVID contrasts video with the audio bank and audio with the video bank. Self-AVID contrasts
  each modality with its own bank. Joint-AVID does both. With L(q; r) the loss (`nce_loss`) of the
  query q, the positive row r and K negative rows of the same bank as r, averaged over the batch:

      L_cross = (L(v_i; a_bar_i) + L(a_i; v_bar_i)) / 2
      L_self  = (L(v_i; v_bar_i) + L(a_i; a_bar_i)) / 2
      loss    = (c_cross L_cross + c_self L_self) / (c_cross + c_self)

  | Symbol | Name here |
  |---|---|
  | v_i, a_i | `embeddings["video"]`, `embeddings["audio"]`, L2-normalised |
  | v_bar_i, a_bar_i | `video_bank.rows[i]`, `audio_bank.rows[i]` |
  | c_cross, c_self | `cross_coefficient`, `self_coefficient` |
  | K, tau, Z | `num_negatives`, `temperature`, `normalizer` |

  The first term of the first training batch estimates Z (`normalizer`). Z is then frozen and shared
  by all terms. Training and evaluation are described in `BankObjective`.

  Attributes:
    normalizer: float32 scalar variable Z; 0 until the first training batch has estimated it.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 3.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> objective = losses.AVID(num_rows=100, dim=8, num_negatives=16, self_coefficient=1.0)
    >>> video, audio = tf.random.stateless_normal([2, 4, 8], seed=[0, 0])
    >>> batch = {"video": video, "audio": audio, "index": tf.range(4)}
    >>> sorted(objective(batch, training=True))
    ['loss', 'loss/audio_to_audio', 'loss/audio_to_video', 'loss/video_to_audio',
     'loss/video_to_video']
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
    **kwargs: Any,
  ):
    """Creates the objective with its banks.

    Args:
      num_rows: number of training videos N.
      dim: size D of the embeddings.
      cross_coefficient: weight c_cross of the cross-modal terms; 0 for Self-AVID.
      self_coefficient: weight c_self of the within-modal terms; 1 for Joint-AVID. Both are divided
        by their sum.
      num_negatives: K, drawn separately for each sample; the same rows in both banks.
      temperature: tau, which divides the cosines; positive.
      momentum: share of the old row that a bank update keeps, in 0..1.
      loss: `nce_loss`, `info_nce_loss`, or a function with the same arguments.
      seed: seed of the initial banks and of the negatives.
      **kwargs: keyword arguments of `tf.keras.layers.Layer`.

    Raises:
      UserError: a coefficient is negative, both are zero, the temperature or the number of
        negatives is not positive, the momentum is outside 0..1, or there are fewer than 2 rows.
    """
    super().__init__(num_rows, dim, num_negatives, temperature, momentum, seed, **kwargs)
    if min(cross_coefficient, self_coefficient) < 0 or cross_coefficient + self_coefficient <= 0:
      raise UserError(
        f"cross_coefficient is {cross_coefficient} and self_coefficient is {self_coefficient}; "
        "expected 0 or more, and not both 0."
      )
    total = cross_coefficient + self_coefficient
    shares = {pair: cross_coefficient / total / 2 for pair in CROSS}
    shares.update({pair: self_coefficient / total / 2 for pair in SELF})
    self._instance_shares = {pair: share for pair, share in shares.items() if share > 0}
    self._loss = loss
    self.normalizer = self._state("normalizer", tf.float32)

  def loss_of(
    self, embeddings: dict[str, Tensor], negatives: Tensor, training: bool
  ) -> dict[str, Tensor]:
    """Computes the loss with given negatives; see `BankObjective.loss_of`.

    Returns:
      float32 scalars: `"loss"`, and `"loss/<query>_to_<bank>"` for each term.
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
    """Discriminates the row of each sample from its negatives.

    Returns:
      The mean loss of each (query, bank) pair; the gathered rows of each bank, `[B, 1 + K, D]`, the
      sample's own row first; and the NCE constant.
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
