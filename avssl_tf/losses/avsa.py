"""Audio-visual spatial alignment (AVSA): matches audio and video viewpoints of 360° clips.

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, sections 3.2 and 3.3.
"""

import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

# Candidate targets of a prediction, in addition to its own: whether the other viewpoints of its
# clip are candidates, and which viewpoints of other clips are.
_CHOICES = {
  "easy+hard": (True, "same"),
  "hard": (True, "none"),
  "easy": (False, "all"),
  "avc": (False, "same"),
}
CONTRASTS = tuple(_CHOICES)


def choices(contrast: str, num_viewpoints: int) -> Tensor:
  """Mask of the candidate targets of each prediction.

  | `contrast` | Own clip | Other clips |
  |---|---|---|
  | `"easy+hard"` | all K viewpoints | the same viewpoint |
  | `"hard"` | all K viewpoints | none |
  | `"easy"` | its own target | all K viewpoints |
  | `"avc"` | its own target | the same viewpoint |

  `"easy"` is audio-visual correspondence of viewpoints. `"avc"` is the published audio-visual
  correspondence if the viewpoints are pooled beforehand (K = 1).

  Args:
    contrast: one of the four names in the table.
    num_viewpoints: number of viewpoints K.

  Returns:
    bool `[2, K, K]`. Element `[0, k, j]`: whether target j of its own clip is a candidate for
    prediction k. Element `[1, k, j]`: the same for target j of every other clip.

  Raises:
    UserError: the contrast is unknown.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, sections 3.2 and 3.3 (`"easy+hard"`, `"hard"`, `"avc"`). `"easy"`: this project.

  Examples:
    >>> from avssl_tf import losses
    >>> losses.choices("easy+hard", num_viewpoints=2).numpy().astype(int).tolist()
    [[[1, 1], [1, 1]], [[1, 0], [0, 1]]]
  """
  if contrast not in _CHOICES:
    raise UserError(f"The contrast is {contrast!r}; expected one of {', '.join(CONTRASTS)}.")
  same = tf.eye(num_viewpoints, dtype=tf.bool)
  kinds = {"same": same, "all": tf.ones_like(same), "none": tf.zeros_like(same)}
  viewpoints, others = _CHOICES[contrast]
  return tf.stack([kinds["all" if viewpoints else "same"], kinds[others]])


def similarities(
  predictions: Tensor, targets: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
  """Similarity of each prediction to the targets of its own clip and of all other clips.

  Args:
    predictions: float32 `[B, K, E]`, unit length, for K viewpoints of B clips.
    targets: same shape as `predictions`, in the same order.
    temperature: positive divisor of the cosines.

  Returns:
    A pair. First, float32 `[B, K, K]`: similarity to the viewpoints of the same clip; viewpoint k
    is the correct one for prediction k. Second, float32 `[B, K, C, K]`: similarity to the
    viewpoints of the C clips of all replicas, where entries of the own clip are the lowest float32
    and do not contribute to a softmax.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, sections 3.2 and 3.3.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> views = tf.eye(2)[tf.newaxis]  # One clip, two viewpoints.
    >>> own, others = losses.similarities(views, views, temperature=0.5)
    >>> own.numpy().tolist(), others.shape
    ([[[2.0, 0.0], [0.0, 2.0]]], TensorShape([1, 2, 1, 2]))
  """
  own = tf.einsum("bke,bje->bkj", predictions, targets) / temperature
  everywhere = replicas.all_gather(targets, with_gradient=True)
  others = tf.einsum("bke,cje->bkcj", predictions, everywhere) / temperature
  batch_size = tf.shape(predictions)[0]
  place = replicas.replica_id() * batch_size + tf.range(batch_size)
  is_own = tf.one_hot(place, tf.shape(everywhere)[0], dtype=tf.bool, on_value=True, off_value=False)
  return own, tf.where(is_own[:, tf.newaxis, :, tf.newaxis], others.dtype.min, others)


def alignment_loss(
  own: Tensor, others: Tensor, chosen: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
  """Cross-entropy of the correct target among the candidate targets.

  For the prediction p_ik of viewpoint k of clip i, with t_jl the target of viewpoint l of clip j,
  sim the similarity (cosine / temperature) and the sum over the candidates that `chosen` selects:

      L_ik = -log(exp(sim(p_ik, t_ik)) / sum_jl exp(sim(p_ik, t_jl)))

  The loss is the mean of L_ik over the batch and the viewpoints.

  Args:
    own: float32 `[B, K, K]`, the first result of `similarities`.
    others: float32 `[B, K, C, K]`, the second result of `similarities`.
    chosen: bool `[2, K, K]`, the result of `choices`.

  Returns:
    The loss, a float32 scalar, and a dict of accuracies in 0..1, which do not depend on `chosen`.
    `"accuracy/viewpoint"`: share of predictions that are closest to their own target among the
    viewpoints of their clip. `"accuracy/clip"`: share of predictions that are closer to their own
    target than to the same viewpoint of every other clip.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, sections 3.2 and 3.3.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> views = tf.eye(2)[tf.newaxis]  # One clip, two viewpoints, perfect predictions.
    >>> own, others = losses.similarities(views, views, temperature=0.07)
    >>> loss, metrics = losses.alignment_loss(own, others, losses.choices("hard", 2))
    >>> print(f"{loss:.4f}", float(metrics["accuracy/viewpoint"]))
    0.0000 1.0
  """
  lowest = own.dtype.min
  count = tf.shape(own)[1]
  logits = tf.concat(
    [
      tf.where(chosen[0], own, lowest),
      tf.reshape(
        tf.where(chosen[1][:, tf.newaxis], others, lowest), [tf.shape(own)[0], count, -1]
      ),
    ],
    axis=-1,
  )
  labels = tf.broadcast_to(tf.range(count), tf.shape(own)[:2])
  loss = tf.reduce_mean(
    tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  )
  positive = tf.linalg.diag_part(own)[..., tf.newaxis]
  same = tf.linalg.diag_part(tf.transpose(others, [0, 2, 1, 3]))
  nearest = {
    "accuracy/viewpoint": tf.reduce_all(positive >= own, axis=-1),
    "accuracy/clip": tf.reduce_all(positive > tf.transpose(same, [0, 2, 1]), axis=-1),
  }
  return loss, {
    name: tf.reduce_mean(tf.cast(value, tf.float32)) for name, value in nearest.items()
  }
