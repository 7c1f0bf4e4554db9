"""Robust xID: cross-modal instance discrimination that is robust to noisy correspondences.

Morgado, Misra, Vasconcelos, "Robust Audio-Visual Instance Discrimination", CVPR 2021: sample
weights against faulty positives (section 4.1), soft targets against faulty negatives (section 4.2).

v_i, a_i are the embeddings of sample i; v_bar_i, a_bar_i are its rows of the banks.
"""

import math
from typing import Any, Optional, Union

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, INDEX, VIDEO, Tensor
from avssl_tf.losses import bank_objective, nce
from avssl_tf.progress import OnProgress

# Strategies for soft targets.
SOFT_TARGETS = ("bootstrapping", "swapped", "neighbor", "cycle")


def sample_weights(
  cosines: Tensor,
  mean: Union[Tensor, float],
  std: Union[Tensor, float],
  min_weight: float,
  delta: float,
  kappa: float,
) -> Tensor:
  """Sample weights against faulty positives: low if audio and video do not correspond.

  With Phi the standard normal cumulative distribution function:

      s_i = <v_bar_i, a_bar_i>
      w_i = w_min + (1 - w_min) Phi((s_i - (mu + delta sigma)) / (sqrt(kappa) sigma))

  Args:
    cosines: float32 `[...]`, s_i of the samples, in -1..1.
    mean: mu, the mean of s over the banks.
    std: sigma, the standard deviation of s over the banks.
    min_weight: w_min in 0..1; with 1 all weights are 1.
    delta: shift of the threshold, in standard deviations.
    kappa: softness of the threshold, positive.

  Returns:
    float32 `[...]`, weights in w_min..1.

  Source:
    Morgado, Misra, Vasconcelos, "Robust Audio-Visual Instance Discrimination", CVPR 2021,
    section 4.1.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> cosines = tf.constant([-0.9, 0.5, 0.9])
    >>> losses.sample_weights(cosines, 0.5, 0.2, min_weight=0.25, delta=0.0, kappa=1.0).numpy()
    array([0.25     , 0.625    , 0.9829374], dtype=float32)
  """
  softness = tf.maximum(math.sqrt(kappa) * std, 1e-12)
  normal_cdf = 0.5 * tf.math.erfc(-(cosines - (mean + delta * std)) / softness / math.sqrt(2.0))
  return min_weight + (1.0 - min_weight) * normal_cdf


def soft_targets(
  kind: str,
  own_rows: Tensor,
  target_rows: Tensor,
  temperature: float,
  cycle_temperature: float,
) -> Tensor:
  """Soft targets against faulty negatives: similarity distribution S(j|i) over bank rows.

  S(j|i) is a softmax over the rows j. For a video query, `own_rows` are rows v_bar of the video
  bank and `target_rows` are rows a_bar of the audio bank; for an audio query the roles are
  exchanged. The logits of row j are:

      bootstrapping: <v_bar_i, a_bar_j> / tau_s
      swapped:       <a_bar_i, v_bar_j> / tau_s
      neighbor:      <v_bar_i, v_bar_j> / tau_s
      cycle:         <v_bar_i, a_bar_i> / tau_t + <a_bar_i, a_bar_j> / tau_s
                     + <a_bar_j, v_bar_j> / tau_t

  Args:
    kind: `"bootstrapping"`, `"swapped"`, `"neighbor"` or `"cycle"`.
    own_rows: float32 `[B, R, D]`, rows of the modality of the query, the row of the sample first.
    target_rows: float32 `[B, R, D]`, rows of the same videos in the other bank.
    temperature: tau_s, positive.
    cycle_temperature: tau_t, positive; only `"cycle"` uses it.

  Returns:
    float32 `[B, R]`; each row sums to 1.

  Raises:
    UserError: `kind` is unknown.

  Source:
    Morgado, Misra, Vasconcelos, "Robust Audio-Visual Instance Discrimination", CVPR 2021,
    section 4.2.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> rows = tf.constant([[[1.0, 0.0], [0.0, 1.0]]])  # The sample, and one other video.
    >>> losses.soft_targets("neighbor", rows, rows, 1.0, 1.0).numpy().round(3)
    array([[0.731, 0.269]], dtype=float32)
  """
  if kind == "bootstrapping":
    logits = nce.bank_scores(own_rows[:, 0], target_rows, temperature)
  elif kind == "swapped":
    logits = nce.bank_scores(target_rows[:, 0], own_rows, temperature)
  elif kind == "neighbor":
    logits = nce.bank_scores(own_rows[:, 0], own_rows, temperature)
  elif kind == "cycle":
    across = tf.reduce_sum(own_rows * target_rows, axis=-1) / cycle_temperature
    logits = nce.bank_scores(target_rows[:, 0], target_rows, temperature) + across
    # <v_bar_i, a_bar_i> / tau_t is the same for all j and cancels in the softmax.
  else:
    raise UserError(f"kind is {kind!r}; expected one of {', '.join(SOFT_TARGETS)}.")
  return tf.nn.softmax(logits, axis=1)


@gin.register
class RobustXID(bank_objective.BankObjective):
  """Robust xID: cross-modal instance discrimination with sample weights and soft targets.

  xID classifies the row of the sample among the K + 1 candidate rows of the other bank (softmax
  cross-entropy). Robust xID adds weights w_i against faulty positives (`sample_weights`) and soft
  targets T against faulty negatives (`soft_targets`):

      P(a_bar_j | v_i) = softmax over j of <v_i, a_bar_j> / tau
      T(j|i) = (1 - lambda) 1[i = j] + lambda S(j|i)
      L_i = -sum_j T(j|i) log P(a_bar_j | v_i)  -  sum_j T(j|i) log P(v_bar_j | a_i)
      loss = sum_i w_i L_i / sum_i w_i

  `begin_epoch` enables both after the warm-up, because the banks are random at first; until then
  the objective is xID. `min_weight=1` disables the weights, `target_weight=0` the soft targets.
  Here v_i and a_i are the L2-normalised embeddings, v_bar_i is `video_bank.rows[i]`, and a_bar_i
  is `audio_bank.rows[i]`; the arguments of the constructor list the other symbols.

  Attributes:
    cosine_mean: mu, the mean over the videos of the cosine between their two bank rows, measured at
      the start of the epoch; float32 scalar variable.
    cosine_std: sigma, the standard deviation of these cosines; float32 scalar variable.
    active: float32 scalar variable; 1 once `begin_epoch` has enabled both, 0 before.

  Source:
    Morgado, Misra, Vasconcelos, "Robust Audio-Visual Instance Discrimination", CVPR 2021, sec. 4.

  Examples:
    >>> from avssl_tf import losses
    >>> objective = losses.RobustXID(num_rows=100, dim=8, num_negatives=16, targets="swapped")
    >>> sorted(objective.begin_epoch(0))  # No warm-up: enables weights and soft targets.
    ['bank/cosine_mean', 'bank/cosine_std', 'bank/weight']
  """

  def __init__(
    self,
    num_rows: int,
    dim: int,
    warmup_epochs: int = 0,
    min_weight: float = 0.25,
    delta: float = -0.25,
    kappa: float = 0.5,
    targets: str = "cycle",
    target_weight: float = 0.5,
    target_temperature: float = 0.02,
    cycle_temperature: float = 0.07,
    num_negatives: int = 1024,
    temperature: float = 0.07,
    momentum: float = 0.5,
    seed: int = 0,
    **kwargs: Any,
  ):
    """Creates the objective with its banks.

    Args:
      num_rows: number of training videos N.
      dim: size D of the embeddings.
      warmup_epochs: number of epochs of xID alone.
      min_weight: w_min in 0..1, the lowest weight of a pair.
      delta: shift of the threshold of the weights, in standard deviations.
      kappa: softness of the threshold, positive.
      targets: `"bootstrapping"`, `"swapped"`, `"neighbor"` or `"cycle"`; see `soft_targets`.
      target_weight: lambda in 0..1, the share of the soft targets in T.
      target_temperature: tau_s of the soft targets, positive.
      cycle_temperature: tau_t of cycle-consistent soft targets, positive.
      num_negatives: K, drawn separately for each sample; the same rows in both banks.
      temperature: tau of the loss, positive.
      momentum: share of the old row that a bank update keeps, in 0..1.
      seed: seed of the initial banks and of the negatives.
      **kwargs: keyword arguments of `tf.keras.layers.Layer`.

    Raises:
      UserError: an argument is out of range.
    """
    super().__init__(num_rows, dim, num_negatives, temperature, momentum, seed, **kwargs)
    for name, value in (("min_weight", min_weight), ("target_weight", target_weight)):
      if not 0 <= value <= 1:
        raise UserError(f"RobustXID.{name} is {value}; expected 0..1.")
    positive = {
      "kappa": kappa,
      "target_temperature": target_temperature,
      "cycle_temperature": cycle_temperature,
    }
    for name, value in positive.items():
      if value <= 0:
        raise UserError(f"RobustXID.{name} is {value}; expected more than 0.")
    if warmup_epochs < 0:
      raise UserError(f"RobustXID.warmup_epochs is {warmup_epochs}; expected 0 or more.")
    if targets not in SOFT_TARGETS:
      raise UserError(
        f"RobustXID.targets is {targets!r}; expected one of {', '.join(SOFT_TARGETS)}."
      )
    self.warmup_epochs = warmup_epochs
    self._min_weight = min_weight
    self._delta = delta
    self._kappa = kappa
    self._targets = targets
    self._target_weight = target_weight
    self._target_temperature = target_temperature
    self._cycle_temperature = cycle_temperature
    self.cosine_mean = self._state("cosine_mean", tf.float32)
    self.cosine_std = self._state("cosine_std", tf.float32, initializer="ones")
    self.active = self._state("active", tf.float32)

  def begin_epoch(
    self,
    epoch: int,
    strategy: Optional[tf.distribute.Strategy] = None,
    progress: Optional[OnProgress] = None,
  ) -> dict[str, Union[float, np.ndarray]]:
    """Measures the banks, and enables weights and soft targets after the warm-up.

    Returns:
      `bank/cosine_mean`, `bank/cosine_std`, and `bank/weight`, float32 `[N]`: weight of each video
      according to the current banks, also during the warm-up.
    """
    del strategy, progress
    cosines = self.bank_cosines()
    self.cosine_mean.assign(np.mean(cosines))
    self.cosine_std.assign(np.std(cosines))
    self.active.assign(float(epoch >= self.warmup_epochs))
    return {
      "bank/cosine_mean": float(np.mean(cosines)),
      "bank/cosine_std": float(np.std(cosines)),
      "bank/weight": self._weights(tf.constant(cosines)).numpy(),
    }

  def _weights(self, cosines: Tensor) -> Tensor:
    return sample_weights(
      cosines, self.cosine_mean, self.cosine_std, self._min_weight, self._delta, self._kappa
    )

  def loss_of(
    self, embeddings: dict[str, Tensor], negatives: Tensor, training: bool
  ) -> dict[str, Tensor]:
    """Computes the loss with given negatives; see `BankObjective.loss_of`.

    Returns:
      float32 scalars: `"loss"`, `"loss/video_to_audio"`, `"loss/audio_to_video"`, `"weight/mean"`,
      `"weight/min"` (over all replicas), and the entropy of the targets in nats for each query
      modality, `"target_entropy/video"` and `"target_entropy/audio"`.
    """
    index, queries = embeddings[INDEX], self._queries(embeddings)
    indices = tf.concat([index[:, tf.newaxis], negatives], axis=1)
    rows = {m: self._bank(m).gather(indices) for m in (VIDEO, AUDIO)}
    cosines = tf.reduce_sum(rows[VIDEO][:, 0] * rows[AUDIO][:, 0], axis=-1)
    weights = tf.where(self.active > 0, self._weights(cosines), 1.0)
    # Over the samples of all replicas, because the losses of the replicas are averaged.
    mean_weight = replicas.mean(tf.reduce_mean(weights))
    result, losses = {}, []
    for query, target in ((VIDEO, AUDIO), (AUDIO, VIDEO)):
      targets = self._mixed_targets(rows[query], rows[target])
      scores = nce.bank_scores(queries[query], rows[target], self._temperature)
      loss = tf.nn.softmax_cross_entropy_with_logits(targets, scores)
      # If w_min is 0, all weights of a batch can be 0. Its loss is 0 then.
      losses.append(tf.math.divide_no_nan(tf.reduce_mean(weights * loss), mean_weight))
      result[f"loss/{query}_to_{target}"] = losses[-1]
      entropy = -tf.reduce_sum(tf.math.xlogy(targets, targets), axis=1)
      result[f"target_entropy/{query}"] = tf.reduce_mean(entropy)
    if training:
      self._write(index, queries, overwrite=False, after=list(rows.values()))
    result["weight/mean"] = tf.reduce_mean(weights)
    result["weight/min"] = tf.reduce_min(replicas.all_gather(weights))
    return {"loss": tf.add_n(losses), **result}

  def _mixed_targets(self, own_rows: Tensor, target_rows: Tensor) -> Tensor:
    """T(j|i) = (1 - lambda) 1[i = j] + lambda S(j|i): float32 `[B, 1 + K]`."""
    own = tf.one_hot(tf.zeros(tf.shape(own_rows)[:1], tf.int32), tf.shape(own_rows)[1])
    if self._target_weight == 0:
      return own
    soft = soft_targets(
      self._targets, own_rows, target_rows, self._target_temperature, self._cycle_temperature
    )
    share = self.active * self._target_weight
    return (1.0 - share) * own + share * soft
