"""CMA: positive sets by cross-modal agreement, beside instance discrimination.

Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with
Cross-Modal Agreement", CVPR 2021, section 4.
"""

from typing import Callable, Optional, Union

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
  """AVID, then instance and positive-set discrimination from the same banks.

  For the first `warmup_epochs` this is AVID, to the last bit. Then, every
  `refresh_every_epochs`, the videos that agree most with a video, in picture and
  in sound, become its positive set: they are told from the negatives like the
  video itself, and are no negatives of it any more.

  Attributes:
    positive_sets: int64 `[N, num_positives]`, rows of the banks, best first; they count once
      `mined` is 1.
    mined: 0 until the sets have been found for the first time.
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
    **kwargs,
  ):
    """Creates the objective with its banks.

    Args:
      num_rows: number of training videos N.
      dim: size D of the embeddings.
      warmup_epochs: epochs of AVID alone; 0 where the run begins with the
        networks and banks of another.
      refresh_every_epochs: epochs between two searches for the positive sets.
      num_positives: size of a positive set.
      agreement: similarity of two videos: "consensus" (the smaller of the cosines of pictures
        and of sounds), "union" (the larger), "video" or "audio".
      cross_coefficient: weight of cross-modal instance discrimination.
      self_coefficient: weight of within-modal instance discrimination.
      positive_cross_coefficient: weight of cross-modal discrimination of the positive set.
      positive_self_coefficient: weight of within-modal discrimination of the
        positive set. All coefficients in use are divided by their sum.
      num_negatives: K, drawn anew for each sample from the rows outside its positive set.
      num_positive_negatives: so many of them, the first ones, for within-modal
        discrimination of the positive sets; across the modalities there are all K.
      temperature: of the scores.
      momentum: of the banks.
      loss: `nce_loss` or `info_nce_loss`.
      mining_block: rows whose positive sets a replica searches at a time.
      seed: of the banks' start and of the negatives.
      **kwargs: of the Keras layer.

    Raises:
      UserError: an argument is out of its range, or there are too few videos for the sets.
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
        f"CMA.num_positives is {num_positives}; expected 1 or more, and fewer than the "
        f"{num_rows} videos less the video itself and a negative: lower it."
      )
    if min(positive_cross_coefficient, positive_self_coefficient) < 0:
      raise UserError(
        "positive_cross_coefficient and positive_self_coefficient must not be negative, got "
        f"{positive_cross_coefficient} and {positive_self_coefficient}."
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
    # Share of the whole that instance discrimination keeps once there are positive sets.
    self._instance_part = instance / total
    shares = {pair: positive_cross_coefficient / total / 2 for pair in avid.CROSS}
    shares.update({pair: positive_self_coefficient / total / 2 for pair in avid.SELF})
    self._positive_shares = {pair: share for pair, share in shares.items() if share > 0}
    self.positive_sets = self._state("positive_sets", tf.int64, [num_rows, num_positives])
    self.mined = self._state("mined", tf.int64)

  def begin_epoch(
    self,
    epoch: int,
    strategy: Optional[tf.distribute.Strategy] = None,
    progress: Optional[OnProgress] = None,
  ) -> dict[str, Union[float, np.ndarray]]:
    """Searches the positive sets where they are due; see `BankObjective.begin_epoch`."""
    since = epoch - self.warmup_epochs
    if since >= 0 and since % self._refresh_every_epochs == 0:
      self.mine(strategy or tf.distribute.get_strategy(), progress)
    return {}

  def mine(
    self, strategy: tf.distribute.Strategy, progress: Optional[OnProgress] = None
  ) -> None:
    """Finds the positive set of every video in the banks as they are; see `agreement.nearest`.

    The replicas share the videos among them.

    Args:
      strategy: the strategy that the objective was made under.
      progress: called after each block with the number of videos searched and of all videos.
    """

    # Traced once a search, on purpose: TensorFlow warns of functions that trace at each call.
    search = tf.function(
      lambda start: strategy.run(self._search, args=(start,))
    ).get_concrete_function(tf.TensorSpec([], tf.int64))
    sets = np.zeros(self.positive_sets.shape, np.int64)
    stride = self._mining_block * strategy.num_replicas_in_sync
    with agreement_lib.full_precision():
      for start in range(0, self.num_rows, stride):
        rows, found = search(tf.constant(start, tf.int64))
        rows, found = (strategy.experimental_local_results(value)[0] for value in (rows, found))
        sets[rows.numpy()] = found.numpy()
        if progress is not None:
          progress(min(start + stride, self.num_rows), self.num_rows)
    self.positive_sets.assign(sets)
    self.mined.assign(1)

  def _search(self, start: Tensor) -> tuple[Tensor, Tensor]:
    """The positive sets of a block of videos a replica, those of all replicas on each."""
    first = start + tf.cast(replicas.replica_id(), tf.int64) * self._mining_block
    # Beyond the last row the first ones are searched again: blocks of all replicas are alike.
    rows = tf.math.floormod(first + tf.range(self._mining_block, dtype=tf.int64), self.num_rows)
    found = agreement_lib.nearest(
      tf.convert_to_tensor(self.video_bank.rows),
      tf.convert_to_tensor(self.audio_bank.rows),
      rows,
      self._num_positives,
      self._agreement,
    )
    return replicas.all_gather(rows), replicas.all_gather(tf.cast(found, tf.int64))

  def draw_negatives(self, index: Tensor, seed: Tensor) -> Tensor:
    """Draws negatives from outside the positive sets; see `BankObjective.draw_negatives`."""
    positives = tf.gather(self.positive_sets, index)
    # Numbers beyond the last row stand for none.
    none = self.num_rows + tf.range(self._num_positives, dtype=tf.int64)
    positives = tf.where(self.mined > 0, positives, none)
    excluded = tf.concat([index[:, tf.newaxis], positives], axis=1)
    return memory_bank.draw_negatives(excluded, self.num_rows, self._num_negatives, seed)

  def loss_of(
    self, embeddings: dict[str, Tensor], negatives: Tensor, training: bool
  ) -> dict[str, Tensor]:
    """`call` with the negatives given: int64 `[B, K]`.

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
    """Discriminates the positive set of each sample: mean loss of each pair of query and bank."""
    positives = tf.gather(self.positive_sets, index)
    count = self._num_positives
    terms = []
    for query, bank in self._positive_shares:
      drawn = negatives[:, : self._num_positive_negatives] if query == bank else negatives
      rows = self._bank(bank).gather(tf.concat([positives, drawn], axis=1))
      scores = nce.bank_scores(queries[query], rows, self._temperature)
      terms.append(tf.reduce_mean(self._loss(scores[:, :count], scores[:, count:], normalizer)))
    return terms
