"""Audio-visual spatial alignment: which sound belongs to which view of a 360° clip.

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, sections 3.2 and 3.3.
"""

import tensorflow as tf

from avssl_tf.losses import replicas
from avssl_tf.types import Tensor

# What a prediction is told from: the other viewpoints of its clip and the same viewpoint of other
# clips; the other viewpoints alone; or, viewpoints put together, the other clips.
CONTRASTS = ("easy+hard", "hard", "avc")


def alignment_logits(
  predictions: Tensor, targets: Tensor, temperature: float, easy: bool = True
) -> Tensor:
  """Similarity of each prediction to its choices.

  Args:
    predictions: float32 `[B, K, E]` of unit length, for K viewpoints of B clips.
    targets: likewise, in the same order.
    temperature: what cosines are divided by.
    easy: whether the same viewpoint of other clips, of all replicas, is among the choices.

  Returns:
    float32 `[B, K, K]`: the K viewpoints of the clip itself, of which k is the right one for
    prediction k; with `easy`, `[B, K, K + replicas * B]`, where a clip's own place among all
    clips is so low that it counts for nothing.
  """
  hard = tf.einsum("bke,bje->bkj", predictions, targets) / temperature
  if not easy:
    return hard
  everywhere = replicas.all_gather(targets, with_gradient=True)
  others = tf.einsum("bke,cke->bkc", predictions, everywhere) / temperature
  batch_size = tf.shape(predictions)[0]
  place = replicas.replica_id() * batch_size + tf.range(batch_size)
  own = tf.one_hot(place, tf.shape(everywhere)[0], dtype=tf.bool, on_value=True, off_value=False)
  others = tf.where(own[:, tf.newaxis], others.dtype.min, others)
  return tf.concat([hard, others], axis=-1)


def alignment_loss(logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
  """Cross-entropy of the choices that `alignment_logits` gives.

  Args:
    logits: float32 `[B, K, choices]`, the first K of which are the viewpoints of the clip.

  Returns:
    The loss, a scalar, and by name, in 0..1: `"accuracy/viewpoint"`, the share of predictions that
    are nearest to their own among the viewpoints of their clip; `"accuracy/clip"`, the share of
    those nearer to their own than to any other clip's, only where there are other clips.
  """
  num_viewpoints = tf.shape(logits)[1]
  labels = tf.broadcast_to(tf.range(num_viewpoints), tf.shape(logits)[:2])
  loss = tf.reduce_mean(
    tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
  )
  hard, others = logits[..., :num_viewpoints], logits[..., num_viewpoints:]
  positive = tf.linalg.diag_part(hard)[..., tf.newaxis]
  accuracies = {"accuracy/viewpoint": tf.reduce_all(positive >= hard, axis=-1)}
  if logits.shape[-1] != logits.shape[1]:
    accuracies["accuracy/clip"] = tf.reduce_all(positive > others, axis=-1)
  return loss, {
    name: tf.reduce_mean(tf.cast(value, tf.float32)) for name, value in accuracies.items()
  }
