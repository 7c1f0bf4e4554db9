"""STFT loss of spatial audio generation.

Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360° Video",
NeurIPS 2018, section 4. A variant divides by the energy of the target, so that quiet and loud clips
have the same weight.
"""

from typing import Optional

import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

KINDS = ("squared", "relative")
# Clips whose spectra of Y, Z and X have a lower mean power are treated as silent.
_SILENT_POWER = 1e-8


def stft_loss(
  prediction: Tensor, target: Tensor, kind: str, channels: Optional[Tensor] = None
) -> tuple[Tensor, Tensor]:
  """STFT loss of the batch of a replica, and the relative error of each clip.

  With S_b the target spectra and S^_b the predicted spectra of clip b, and the mean over channels,
  frames and bins:

      squared:  L_b = mean |S^_b - S_b|^2
      relative: L_b = mean |S^_b - S_b|^2 / mean |S_b|^2

  The loss is the mean of L_b over the clips that count. Clips that are silent in all target
  channels, or have none of them, are excluded. The mean of the results of all replicas is the mean
  over the counted clips of all replicas.

  Args:
    prediction: complex64 `[B, C, frames, bins]`, S^: the generated channels Y, Z, X.
    target: same shape as `prediction`, S.
    kind: `"squared"` (as published) or `"relative"`.
    channels: bool `[B, C]`, whether a clip has the channel; missing channels count as 0 in the
      means. None if all clips have all channels.

  Returns:
    A pair. The loss: a float32 scalar, 0 if no clip of any replica counts. The relative error:
    float32 `[B]`, squared error of each clip divided by its energy; 1 for a silent prediction, NaN
    for excluded clips.

  Raises:
    UserError: `kind` is unknown.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
    Video", NeurIPS 2018, section 4. `"relative"`: this project.

  Examples:
    A silent prediction has a relative error of 1.

    >>> import tensorflow as tf
    >>> from avssl_tf import losses
    >>> target = tf.ones([1, 3, 4, 5], tf.complex64)
    >>> loss, relative = losses.stft_loss(0.5 * target, target, kind="squared")
    >>> float(loss), relative.numpy().tolist()
    (0.25, [0.25])
    >>> losses.stft_loss(0 * target, target, kind="relative")[1].numpy().tolist()
    [1.0]
  """
  if kind not in KINDS:
    raise UserError(f"The loss is {kind!r}; expected one of {', '.join(KINDS)}.")
  known = tf.ones(tf.shape(target)[:2]) if channels is None else tf.cast(channels, tf.float32)
  known = known[:, :, tf.newaxis, tf.newaxis]
  error = tf.reduce_mean(known * _power(prediction - target), axis=[1, 2, 3])
  energy = tf.reduce_mean(known * _power(target), axis=[1, 2, 3])
  audible = energy > _SILENT_POWER
  relative = error / tf.where(audible, energy, 1.0)
  each = relative if kind == "relative" else error
  loss = replicas.mean_of_counted(each, audible)
  return loss, tf.where(audible, relative, float("nan"))


def _power(spectra: Tensor) -> Tensor:
  return tf.math.square(tf.math.real(spectra)) + tf.math.square(tf.math.imag(spectra))
