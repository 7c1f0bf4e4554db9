"""Contrastive losses over sampled negatives, as pure functions.

Notation: s = cosine / temperature is the score of a query and a row of a memory bank, K is the
number of negatives, Z is the normalisation constant of NCE.
"""

from typing import Optional

import tensorflow as tf

from avssl_tf.keys import Tensor


def bank_scores(query: Tensor, rows: Tensor, temperature: float) -> Tensor:
  """Scores of each query and the rows that were gathered for it.

  Args:
    query: float32 `[B, D]`, L2-normalised.
    rows: float32 `[B, K, D]`, L2-normalised.
    temperature: positive.

  Returns:
    float32 `[B, K]`, cosine / temperature.
  """
  # On a CPU the gradient of einsum takes two thirds of the time of that of matvec.
  return tf.einsum("bd,bkd->bk", query, rows) / temperature


def estimate_normalizer(negative_scores: Tensor) -> Tensor:
  """NCE's constant Z: the mean of exp(s) over a batch of negatives.

  Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018,
  eq. 8, with Z divided by the size of the bank.

  Args:
    negative_scores: float32 `[B, K]`.

  Returns:
    float32 scalar.
  """
  return tf.reduce_mean(tf.exp(negative_scores))


def nce_loss(positive_scores: Tensor, negative_scores: Tensor, normalizer: Tensor) -> Tensor:
  """Noise-contrastive estimation (NCE) loss.

  The loss of a query with positive scores s+ and negative scores s- is

      P(s) = exp(s) / (exp(s) + K Z)
      loss = mean over s+ of -log P(s+)  +  sum over s- of -log(1 - P(s-))

  where a score is cosine / temperature. The implementation uses softplus, so no exponential
  overflows.

  Args:
    positive_scores: float32 `[B, P]`, s+; several positives are averaged.
    negative_scores: float32 `[B, K]`, s-.
    normalizer: float32 scalar Z > 0.

  Returns:
    float32 `[B]`, the loss of each query.

  Source:
    Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
    CVPR 2018, eq. 6 and 7, with Z divided by the size of the bank.

  Examples:
    With all scores 0, one negative and Z = 1, P is 1/2 everywhere, and the loss is 2 log 2.

    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> loss = losses.nce_loss(tf.zeros([1, 1]), tf.zeros([1, 1]), normalizer=tf.constant(1.0))
    >>> print(f"{float(loss[0]):.4f}")
    1.3863
  """
  num_negatives = tf.cast(tf.shape(negative_scores)[1], negative_scores.dtype)
  log_noise = tf.math.log(num_negatives * normalizer)
  positive_loss = tf.reduce_mean(tf.nn.softplus(log_noise - positive_scores), axis=1)
  return positive_loss + tf.reduce_sum(tf.nn.softplus(negative_scores - log_noise), axis=1)


def info_nce_loss(
  positive_scores: Tensor, negative_scores: Tensor, normalizer: Optional[Tensor] = None
) -> Tensor:
  """InfoNCE loss: softmax cross-entropy of each positive against the negatives.

      loss = mean over s+ of -log(exp(s+) / (exp(s+) + sum over s- of exp(s-)))

  Accepts the arguments of `nce_loss`, so the two are interchangeable.

  Args:
    positive_scores: float32 `[B, P]`, s+; several positives are averaged.
    negative_scores: float32 `[B, K]`, s-.
    normalizer: ignored, because the softmax is normalised.

  Returns:
    float32 `[B]`, the loss of each query.

  Source:
    Van den Oord, Li, Vinyals, "Representation Learning with Contrastive Predictive Coding",
    arXiv:1807.03748, 2018, eq. 4.

  Examples:
    With all scores 0, the positive is one of four equal candidates, and the loss is log 4.

    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> loss = losses.info_nce_loss(tf.zeros([1, 1]), tf.zeros([1, 3]))
    >>> print(f"{float(loss[0]):.4f}")
    1.3863
  """
  del normalizer
  noise = tf.reduce_logsumexp(negative_scores, axis=1, keepdims=True)
  return tf.reduce_mean(tf.nn.softplus(noise - positive_scores), axis=1)
