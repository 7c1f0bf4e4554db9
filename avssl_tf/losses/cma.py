"""CMA: instance discrimination with positive sets from cross-modal agreement.

Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
CVPR 2021, section 4.
"""

from typing import Any, Callable, Optional, Union

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import INDEX, Tensor
from avssl_tf.losses import agreement as agreement_lib
from avssl_tf.losses import avid, memory_bank, nce
from avssl_tf.progress import OnProgress


@gin.register
class CMA(avid.AVID):
  """Cross-modal agreement (CMA): AVID plus discrimination of positive sets.

  For the first `warmup_epochs` epochs the objective is identical to AVID. From then on, every
  `refresh_every_epochs` epochs, `begin_epoch` searches for the `num_positives` videos with the
  highest agreement with video i, which become its positive set P_i (see `nearest`). They are
  contrasted with the negatives in the same way as the video itself, and are no longer drawn as its
  negatives. With L_P(q; B) the loss of the query q with the rows P_i of the bank B as positives,
  averaged over the positives:

      L_cross_P = (L_P(v_i; A) + L_P(a_i; V)) / 2
      L_self_P  = (L_P(v_i; V) + L_P(a_i; A)) / 2
      loss = (c_cross L_cross + c_self L_self + c_cross_P L_cross_P + c_self_P L_self_P)
             / (c_cross + c_self + c_cross_P + c_self_P)

  | Symbol | Name here |
  |---|---|
  | L_cross, L_self, c_cross, c_self | as in `AVID` |
  | V, A | `video_bank`, `audio_bank` |
  | P_i | `positive_sets[i]` |
  | c_cross_P, c_self_P | `positive_cross_coefficient`, `positive_self_coefficient` |

  Attributes:
    positive_sets: int32 variable `[N, num_positives]`, row numbers, highest agreement first; valid
      once `mined` is 1.
    mined: int64 scalar variable; 0 until the first search for positive sets.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 4.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> objective = losses.CMA(num_rows=20, dim=8, num_positives=3, num_negatives=8)
    >>> objective.begin_epoch(0)  # No warm-up: finds the positive sets.
    {}
    >>> objective.positive_sets.shape, int(objective.mined)
    (TensorShape([20, 3]), 1)
    >>> video, audio = tf.random.normal([2, 4, 8])
    >>> batch = {"video": video, "audio": audio, "index": tf.range(4)}
    >>> sorted(objective(batch, training=True))
    ['loss', 'loss/audio_to_audio_positives', 'loss/audio_to_video', 'loss/video_to_audio',
     'loss/video_to_video_positives']
  """

  def __init__(
    self,
    num_rows: int,
    dim: int,
    warmup_epochs: int = 0,
    refresh_every_epochs: int = 5,
    num_positives: int = 32,
    agreement: str = "consensus",
    cross_coefficient: float = 1.0,
    self_coefficient: float = 0.0,
    positive_cross_coefficient: float = 0.0,
    positive_self_coefficient: float = 1.0,
    num_negatives: int = 1024,
    num_positive_negatives: int = 64,
    temperature: float = 0.07,
    momentum: float = 0.5,
    loss: Callable[..., Tensor] = nce.nce_loss,
    mining_block: int = 512,
    seed: int = 0,
    **kwargs: Any,
  ):
    """Creates the objective with its banks.

    Args:
      num_rows: number of training videos N.
      dim: size D of the embeddings.
      warmup_epochs: number of epochs of AVID alone; 0 if the run starts from the networks and
        banks of another run.
      refresh_every_epochs: number of epochs between two searches for the positive sets.
      num_positives: size of a positive set.
      agreement: agreement of two videos: `"consensus"` (the smaller of the video cosine and the
        audio cosine), `"union"` (the larger), `"video"` or `"audio"`.
      cross_coefficient: weight of cross-modal instance discrimination.
      self_coefficient: weight of within-modal instance discrimination.
      positive_cross_coefficient: weight of cross-modal discrimination of the positive set.
      positive_self_coefficient: weight of within-modal discrimination of the positive set. All
        coefficients in use are divided by their sum.
      num_negatives: K, drawn separately for each sample from the rows outside its positive set.
      num_positive_negatives: number of these negatives (the first ones) that within-modal
        discrimination of the positive sets uses; cross-modal discrimination uses all K.
      temperature: tau, which divides the cosines; positive.
      momentum: share of the old row that a bank update keeps, in 0..1.
      loss: `nce_loss`, `info_nce_loss`, or a function with the same arguments.
      mining_block: number of rows per replica for which positive sets are searched at once.
      seed: seed of the initial banks and of the negatives.
      **kwargs: keyword arguments of `tf.keras.layers.Layer`.

    Raises:
      UserError: an argument is out of range, or there are too few videos for the positive sets.
    """
    super().__init__(
      num_rows,
      dim,
      cross_coefficient,
      self_coefficient,
      num_negatives,
      temperature,
      momentum,
      loss,
      seed,
      **kwargs,
    )
    if agreement not in agreement_lib.AGREEMENTS:
      raise UserError(
        f"CMA.agreement is {agreement!r}; expected one of {', '.join(agreement_lib.AGREEMENTS)}."
      )
    if not 1 <= num_positives < num_rows - 1:
      raise UserError(
        f"CMA.num_positives is {num_positives}; expected 1 to {num_rows - 2}: of {num_rows} videos "
        "one is the video itself, and at least one is a negative."
      )
    if min(positive_cross_coefficient, positive_self_coefficient) < 0:
      raise UserError(
        f"positive_cross_coefficient is {positive_cross_coefficient} and "
        f"positive_self_coefficient is {positive_self_coefficient}; expected 0 or more."
      )
    counts = {
      "warmup_epochs": (warmup_epochs, 0),
      "refresh_every_epochs": (refresh_every_epochs, 1),
      "num_positive_negatives": (num_positive_negatives, 1),
      "mining_block": (mining_block, 1),
    }
    for name, (value, least) in counts.items():
      if value < least:
        raise UserError(f"CMA.{name} is {value}; expected {least} or more.")
    self.warmup_epochs = warmup_epochs
    self._refresh_every_epochs = refresh_every_epochs
    self._num_positives = num_positives
    self._agreement = agreement
    self._num_positive_negatives = num_positive_negatives
    self._mining_block = mining_block
    instance = cross_coefficient + self_coefficient
    total = instance + positive_cross_coefficient + positive_self_coefficient
    # Share of instance discrimination in the loss once there are positive sets.
    self._instance_part = instance / total
    shares = {pair: positive_cross_coefficient / total / 2 for pair in avid.CROSS}
    shares.update({pair: positive_self_coefficient / total / 2 for pair in avid.SELF})
    self._positive_shares = {pair: share for pair, share in shares.items() if share > 0}
    self.positive_sets = self._state("positive_sets", tf.int32, [num_rows, num_positives])
    self.mined = self._state("mined", tf.int64)

  def begin_epoch(
    self,
    epoch: int,
    strategy: Optional[tf.distribute.Strategy] = None,
    progress: Optional[OnProgress] = None,
  ) -> dict[str, Union[float, np.ndarray]]:
    """Searches for the positive sets if due; see `BankObjective.begin_epoch`."""
    since = epoch - self.warmup_epochs
    if since >= 0 and since % self._refresh_every_epochs == 0:
      self.mine(strategy or tf.distribute.get_strategy(), progress)
    return {}

  def mine(
    self, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> None:
    """Finds the positive set of every video from the current banks; see `nearest`.

    The videos are divided among the replicas.

    Args:
      strategy: the distribution strategy under which the objective was created.
      progress: called after each block with the number of videos done and of all videos.
    """

    # Traced once per search, on purpose: TensorFlow warns of functions that are traced repeatedly.
    search = tf.function(
      lambda start: strategy.run(self._search, args=(start,)), autograph=False
    ).get_concrete_function(tf.TensorSpec([], tf.int64))
    sets = np.zeros(self.positive_sets.shape, np.int32)
    stride = self._mining_block * strategy.num_replicas_in_sync
    with agreement_lib.full_precision():
      for start in range(0, self.num_rows, stride):
        found = strategy.experimental_local_results(search(tf.constant(start, tf.int64)))[0]
        # Each row from its own block alone, so that the number of replicas changes no rounding.
        part = sets[start : start + stride]
        part[:] = found.numpy()[: len(part)]
        if progress is not None:
          progress(min(start + stride, self.num_rows), self.num_rows)
    self.positive_sets.assign(sets)
    self.mined.assign(1)

  def _search(self, start: Tensor) -> Tensor:
    """Positive sets of one block of videos per replica, gathered on every replica in order."""
    first = start + tf.cast(replicas.replica_id(), tf.int64) * self._mining_block
    # Blocks wrap around after the last row, so that those of all replicas have the same size.
    rows = tf.math.floormod(first + tf.range(self._mining_block, dtype=tf.int64), self.num_rows)
    found = agreement_lib.nearest(
      tf.convert_to_tensor(self.video_bank.rows),
      tf.convert_to_tensor(self.audio_bank.rows),
      rows,
      self._num_positives,
      self._agreement,
    )
    return replicas.all_gather(tf.cast(found, tf.int64))

  def draw_negatives(self, index: Tensor, seed: Tensor) -> Tensor:
    """Draws negatives from outside the positive sets; see `BankObjective.draw_negatives`."""
    positives = tf.cast(tf.gather(self.positive_sets, index), tf.int64)
    # Row numbers beyond the last row mean "none".
    none = self.num_rows + tf.range(self._num_positives, dtype=tf.int64)
    positives = tf.where(self.mined > 0, positives, none)
    excluded = tf.concat([index[:, tf.newaxis], positives], axis=1)
    return memory_bank.draw_negatives(excluded, self.num_rows, self._num_negatives, seed)

  def loss_of(
    self, embeddings: dict[str, Tensor], negatives: Tensor, training: bool
  ) -> dict[str, Tensor]:
    """Computes the loss with given negatives; see `BankObjective.loss_of`.

    Returns:
      Scalars: `"loss"`, one `"loss/<query>_to_<bank>"` for each term of instances, one
      `"loss/<query>_to_<bank>_positives"` for each term of positive sets, 0 before there are
      any.
    """
    index, queries = embeddings[INDEX], self._queries(embeddings)
    terms, rows, normalizer = self._instance_terms(index, queries, negatives, training)
    positive_terms = tf.cond(
      self.mined > 0,
      lambda: self._positive_terms(index, queries, negatives, normalizer),
      lambda: [tf.constant(0.0) for _ in self._positive_shares],
    )
    if training:
      self._write(index, queries, overwrite=False, after=[*rows.values(), *positive_terms])
    part = tf.where(self.mined > 0, self._instance_part, 1.0)
    instance_loss = tf.add_n([share * terms[pair] for pair, share in self._instance_shares.items()])
    shares = self._positive_shares.values()
    loss = part * instance_loss + sum(s * term for s, term in zip(shares, positive_terms))
    result = {"loss": loss, **{f"loss/{q}_to_{b}": term for (q, b), term in terms.items()}}
    for (query, bank), term in zip(self._positive_shares, positive_terms):
      result[f"loss/{query}_to_{bank}_positives"] = term
    return result

  def _positive_terms(
    self, index: Tensor, queries: dict[str, Tensor], negatives: Tensor, normalizer: Tensor
  ) -> list[Tensor]:
    """Discriminates the positive set of each sample: mean loss of each (query, bank) pair."""
    positives = tf.cast(tf.gather(self.positive_sets, index), tf.int64)
    count = self._num_positives
    terms = []
    for query, bank in self._positive_shares:
      drawn = negatives[:, : self._num_positive_negatives] if query == bank else negatives
      rows = self._bank(bank).gather(tf.concat([positives, drawn], axis=1))
      scores = nce.bank_scores(queries[query], rows, self._temperature)
      terms.append(tf.reduce_mean(self._loss(scores[:, :count], scores[:, count:], normalizer)))
    return terms
