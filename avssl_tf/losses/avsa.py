"""Audio-visual spatial alignment: which sound belongs to which view of a 360° clip.

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, sections 3.2 and 3.3.
"""

import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

# What the prediction of a viewpoint is told from, beside its own target: whether the other
# viewpoints of its clip are among the choices, and which viewpoints of the other clips.
_CHOICES = {
  "easy+hard": (True, "same"),
  "hard": (True, "none"),
  "easy": (False, "all"),
  "avc": (False, "same"),
}
CONTRASTS = tuple(_CHOICES)


def choices(contrast: str, num_viewpoints: int) -> Tensor:
  """Which targets the prediction of a viewpoint is told from.

  Args:
    contrast: `"easy+hard"`: the viewpoints of its clip, and the same viewpoint of other clips;
      `"hard"`: the viewpoints of its clip alone; `"easy"`: all viewpoints of other clips, which is
      audio-visual correspondence of views; `"avc"`: the same viewpoint of other clips, which is
      the published correspondence where viewpoints are put together beforehand (K = 1).
    num_viewpoints: K.

  Returns:
    bool `[2, K, K]`: for the prediction of each viewpoint, the targets of its own clip and those of
    any other clip.

  Raises:
    UserError: an unknown contrast.
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
  """Similarity of each prediction to all targets, its own clip's and those of other clips.

  Args:
    predictions: float32 `[B, K, E]` of unit length, for K viewpoints of B clips.
    targets: likewise, in the same order.
    temperature: what cosines are divided by.

  Returns:
    float32 `[B, K, K]`, to the viewpoints of the clip itself, of which k is the right one for
    prediction k; and `[B, K, C, K]`, to those of the C clips of all replicas, where a clip's own
    place is so low that it counts for nothing.
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
  """Cross-entropy of the right target among those that it is told from.

  Args:
    own: float32 `[B, K, K]`, as `similarities` gives it.
    others: float32 `[B, K, C, K]`, likewise.
    chosen: bool `[2, K, K]`, as `choices` gives it.

  Returns:
    The loss, a scalar, and by name, in 0..1: `"accuracy/viewpoint"`, the share of predictions that
    are nearest to their own among the viewpoints of their clip; `"accuracy/clip"`, the share of
    those nearer to their own than to the same viewpoint of any other clip. Both are measured
    whether or not the loss asks for them.
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
