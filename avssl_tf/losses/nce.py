"""Contrastive losses over sampled negatives, as pure functions.

Notation: s = cosine / temperature is the score of a query against a row of a
memory bank, K the number of negatives, Z the normalisation constant of NCE.
"""

from typing import Optional

import tensorflow as tf

from avssl_tf.keys import Tensor


def bank_scores(query: Tensor, rows: Tensor, temperature: float) -> Tensor:
  """Scores of each query against its own rows of a bank.

  Args:
    query: float32 `[B, D]`, L2-normalised.
    rows: float32 `[B, K, D]`, L2-normalised.
    temperature: positive.

  Returns:
    float32 `[B, K]`, cosine / temperature.
  """
  # On a CPU the gradient of einsum takes two thirds of matvec's time.
  return tf.einsum("bd,bkd->bk", query, rows) / temperature


def estimate_normalizer(negative_scores: Tensor) -> Tensor:
  """NCE's constant Z: the mean of exp(s) over a batch of negatives.

  Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance
  Discrimination", CVPR 2018, eq. 8, with Z divided by the size of the bank.

  Args:
    negative_scores: float32 `[B, K]`.

  Returns:
    float32 scalar.
  """
  return tf.reduce_mean(tf.exp(negative_scores))


def nce_loss(positive_scores: Tensor, negative_scores: Tensor, normalizer: Tensor) -> Tensor:
  """Noise contrastive estimation loss (Wu et al., CVPR 2018, eq. 6-7).

  With P(s) = e^s / (e^s + K Z), the loss of a query is
  mean over its positives of -log P(s+), minus sum over its negatives of
  log(1 - P(s-)). Written with softplus, so that no exponential overflows.

  Args:
    positive_scores: float32 `[B, P]`; several positives are averaged.
    negative_scores: float32 `[B, K]`.
    normalizer: scalar Z > 0.

  Returns:
    float32 `[B]`, the loss of each query.
  """
  num_negatives = tf.cast(tf.shape(negative_scores)[1], negative_scores.dtype)
  log_noise = tf.math.log(num_negatives * normalizer)
  positive_loss = tf.reduce_mean(tf.nn.softplus(log_noise - positive_scores), axis=1)
  return positive_loss + tf.reduce_sum(tf.nn.softplus(negative_scores - log_noise), axis=1)


def info_nce_loss(
  positive_scores: Tensor, negative_scores: Tensor, normalizer: Optional[Tensor] = None
) -> Tensor:
  """Softmax cross-entropy of each positive against the negatives (InfoNCE).

  Van den Oord et al., "Representation Learning with Contrastive Predictive
  Coding", 2018, eq. 4. Takes what `nce_loss` takes, so that one can stand for
  the other.

  Args:
    positive_scores: float32 `[B, P]`; several positives are averaged.
    negative_scores: float32 `[B, K]`.
    normalizer: ignored: the softmax normalises itself.

  Returns:
    float32 `[B]`, the loss of each query.
  """
  del normalizer
  noise = tf.reduce_logsumexp(negative_scores, axis=1, keepdims=True)
  return tf.reduce_mean(tf.nn.softplus(noise - positive_scores), axis=1)
