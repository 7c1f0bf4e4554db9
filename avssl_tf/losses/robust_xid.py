"""Robust xID: cross-modal instance discrimination that bears with faulty pairs.

Morgado, Misra, Vasconcelos, "Robust Audio-Visual Instance Discrimination", CVPR 2021: weights
against faulty positives (section 4.1), soft targets against faulty negatives (section 4.2).

Notation: v_i, a_i are the embeddings of sample i, v'_i, a'_i its rows of the banks.
"""

import math
from typing import Optional, Union

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, INDEX, VIDEO, Tensor
from avssl_tf.losses import bank_objective, nce
from avssl_tf.progress import OnProgress

# Ways to make soft targets.
SOFT_TARGETS = ("bootstrapping", "swapped", "neighbor", "cycle")


def sample_weights(
  cosines: Tensor,
  mean: Union[Tensor, float],
  std: Union[Tensor, float],
  min_weight: float,
  delta: float,
  kappa: float,
) -> Tensor:
  """Weights of samples, small where picture and sound hardly go together.

  w = w_min + (1 - w_min) Phi((s - (mu + delta sigma)) / (sqrt(kappa) sigma)), with Phi the
  distribution function of a standard normal variable (section 4.1).

  Args:
    cosines: float32 `[...]`, s = <v', a'> of the samples, in -1..1.
    mean: mu, the mean of s over the banks.
    std: sigma, its standard deviation.
    min_weight: w_min in 0..1; at 1 all weights are 1.
    delta: shift of the threshold, in standard deviations.
    kappa: softness of the threshold, positive.

  Returns:
    float32 `[...]` in w_min..1.
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
  """How likely each row is a positive of the sample, as the banks see it (section 4.2).

  S(j|i) is a softmax over rows j, for a video query with `own` the video bank and `target` the
  audio bank (for an audio query the two change roles) of
  bootstrapping: <v'_i, a'_j> / tau_s; swapped: <a'_i, v'_j> / tau_s;
  neighbor: <v'_i, v'_j> / tau_s;
  cycle: <v'_i, a'_i> / tau_t + <a'_i, a'_j> / tau_s + <a'_j, v'_j> / tau_t.

  Args:
    kind: one of `SOFT_TARGETS`.
    own_rows: float32 `[B, R, D]`, rows of the query's modality, the sample's own row first.
    target_rows: float32 `[B, R, D]`, rows of the same videos in the other bank.
    temperature: tau_s.
    cycle_temperature: tau_t.

  Returns:
    float32 `[B, R]`, each row of sum 1.
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
    # <v'_i, a'_i> / tau_t is the same for all j: the softmax does not see it.
  else:
    raise UserError(f"kind is {kind!r}; expected one of {', '.join(SOFT_TARGETS)}.")
  return tf.nn.softmax(logits, axis=1)


@gin.register
class RobustXID(bank_objective.BankObjective):
  """Cross-modal instance discrimination by softmax, robust to faulty positives and negatives.

  A pair weighs less where its rows of the banks are far apart for a pair; and other rows than
  the sample's own are targets as far as the banks find them alike. Both begin after a warm-up,
  when the banks mean something. `min_weight=1` turns the weights off, `target_weight=0` the soft
  targets; with both off this is xID.

  Attributes:
    cosine_mean: mean over the banks of the cosine of a video's two rows, as of this epoch.
    cosine_std: standard deviation of the same.
    active: 1 once the warm-up is over.
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
    **kwargs,
  ):
    """Creates the objective with its banks.

    Args:
      num_rows: number of training videos N.
      dim: size D of the embeddings.
      warmup_epochs: epochs of xID alone.
      min_weight: w_min, weight of a pair that surely is faulty.
      delta: shift of the weights' threshold, in standard deviations.
      kappa: softness of the threshold.
      targets: one of `SOFT_TARGETS`.
      target_weight: lambda, share of the soft targets beside the sample's own row.
      target_temperature: tau_s of the soft targets.
      cycle_temperature: tau_t of cycle-consistent soft targets.
      num_negatives: K, drawn anew for each sample, the same rows in both banks.
      temperature: tau of the loss.
      momentum: of the banks.
      seed: of the banks' start and of the negatives.
      **kwargs: of the Keras layer.

    Raises:
      UserError: an argument is out of its range.
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
    """Measures the banks, and ends the warm-up when it is over.

    Returns:
      `bank/cosine_mean`, `bank/cosine_std` and `bank/weight`, the weight of each video by the
      banks as they are, float32 `[N]`, whether weights are in use yet or not.
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
    """`call` with the negatives given: int64 `[B, K]`.

    Returns:
      Scalars: `"loss"`, `"loss/video_to_audio"`, `"loss/audio_to_video"`, `"weight/mean"`,
      `"weight/min"` (of all replicas), and the entropy in nats of the targets of either query,
      `"target_entropy/video"`, `"target_entropy/audio"`.
    """
    index, queries = embeddings[INDEX], self._queries(embeddings)
    indices = tf.concat([index[:, tf.newaxis], negatives], axis=1)
    rows = {m: self._bank(m).gather(indices) for m in (VIDEO, AUDIO)}
    cosines = tf.reduce_sum(rows[VIDEO][:, 0] * rows[AUDIO][:, 0], axis=-1)
    weights = tf.where(self.active > 0, self._weights(cosines), 1.0)
    # Over the samples of all replicas: their losses are averaged.
    mean_weight = replicas.mean(tf.reduce_mean(weights))
    result, losses = {}, []
    for query, target in ((VIDEO, AUDIO), (AUDIO, VIDEO)):
      targets = self._mixed_targets(rows[query], rows[target])
      scores = nce.bank_scores(queries[query], rows[target], self._temperature)
      loss = tf.nn.softmax_cross_entropy_with_logits(targets, scores)
      # Where w_min is 0, a whole batch may weigh nothing; nothing is learnt from it then.
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
