"""How far the spectra of a generated sound field are from the true ones.

Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360° Video",
NeurIPS 2018, section 4; and the same relative to the energy of what is to be generated, so that
quiet clips count as much as loud ones.
"""

from typing import Optional

import tensorflow as tf

from avssl_tf import replicas
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor

KINDS = ("squared", "relative")
# Mean power of the spectra of Y, Z and X, below which there is nothing to generate.
_SILENT_POWER = 1e-8


def stft_loss(
  prediction: Tensor, target: Tensor, kind: str, channels: Optional[Tensor] = None
) -> tuple[Tensor, Tensor]:
  """The loss of a replica's batch, and the relative error of each clip.

  Clips that are silent but for W, or lack all other channels, have no part in it. The mean over the
  replicas of their losses is that over the clips of all of them that count.

  Args:
    prediction: complex64 `[B, C, frames, bins]`.
    target: likewise.
    kind: `"squared"`, mean squared difference, as published; `"relative"`, squared difference over
      the energy of the target, clip by clip.
    channels: bool `[B, C]`, the channels that a clip has; None for all.

  Returns:
    The loss, a scalar, 0 where no clip of any replica counts; and float32 `[B]`, the squared
    difference of each clip over its energy: 1 for silence, NaN for clips that do not count.

  Raises:
    UserError: an unknown kind.
  """
  if kind not in KINDS:
    raise UserError(f"The loss is {kind!r}; expected one of {', '.join(KINDS)}.")
  known = tf.ones(tf.shape(target)[:2]) if channels is None else tf.cast(channels, tf.float32)
  known = known[:, :, tf.newaxis, tf.newaxis]
  error = tf.reduce_mean(known * _power(prediction - target), axis=[1, 2, 3])
  energy = tf.reduce_mean(known * _power(target), axis=[1, 2, 3])
  heard = energy > _SILENT_POWER
  relative = error / tf.where(heard, energy, 1.0)
  each = relative if kind == "relative" else error
  loss = replicas.mean_of_counted(each, heard)
  return loss, tf.where(heard, relative, float("nan"))


def _power(spectra: Tensor) -> Tensor:
  return tf.math.square(tf.math.real(spectra)) + tf.math.square(tf.math.imag(spectra))
