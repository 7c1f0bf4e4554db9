"""Functions of TensorFlow Addons and TensorFlow I/O for newer versions of TensorFlow.

`tests/successors_test.py` compares each with the original where that is installed.
"""

import functools
import math
import re
from collections.abc import Sequence
from typing import Optional

import numpy as np
import scipy.signal
import tensorflow as tf

from avssl_tf.keys import Tensor

# RGB to YIQ, one row per colour.
_YIQ = np.array([[0.299, 0.596, 0.211], [0.587, -0.274, -0.523], [0.114, -0.322, 0.312]])


class LAMB(tf.keras.optimizers.legacy.Optimizer):
  """Layer-wise adaptive moments.

  Same arguments, variables and updates as `tensorflow_addons.optimizers.LAMB`, so that
  checkpoints of one restore into the other.

  Source:
    You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
    ICLR 2020, algorithm 2.
  """

  def __init__(
    self,
    learning_rate=0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-6,
    weight_decay: float = 0.0,
    exclude_from_weight_decay: Optional[Sequence[str]] = None,
    exclude_from_layer_adaptation: Optional[Sequence[str]] = None,
    name: str = "LAMB",
    **kwargs,
  ):
    """Creates the optimiser.

    Args:
      learning_rate: number or schedule.
      beta_1: decay of the first moment.
      beta_2: decay of the second moment.
      epsilon: is added to the root of the corrected second moment.
      weight_decay: share of a weight that is added to its update.
      exclude_from_weight_decay: regular expressions; variables whose name contains a match keep
        their size.
      exclude_from_layer_adaptation: regular expressions; variables whose name contains a match
        take the update as it is. None: `exclude_from_weight_decay`.
      name: of the optimiser.
      **kwargs: of the Keras optimiser, such as `clipnorm`.
    """
    super().__init__(name, **kwargs)
    self._set_hyper("weight_decay", weight_decay)
    self._set_hyper("learning_rate", kwargs.get("lr", learning_rate))
    self._set_hyper("decay", self._initial_decay)
    self._set_hyper("beta_1", beta_1)
    self._set_hyper("beta_2", beta_2)
    self.epsilon = epsilon
    self.exclude_from_weight_decay = exclude_from_weight_decay
    self.exclude_from_layer_adaptation = exclude_from_layer_adaptation or exclude_from_weight_decay

  def _create_slots(self, var_list):
    for slot in ("m", "v"):
      for variable in var_list:
        self.add_slot(variable, slot)

  def _resource_apply_dense(self, grad, var, apply_state=None):
    del apply_state
    dtype = var.dtype.base_dtype
    beta_1, beta_2 = self._get_hyper("beta_1", dtype), self._get_hyper("beta_2", dtype)
    step = tf.cast(self.iterations + 1, dtype)
    m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
    first = m.assign(m * beta_1 + grad * (1 - beta_1))
    second = v.assign(v * beta_2 + grad * grad * (1 - beta_2))
    root = tf.sqrt(second / (1 - tf.pow(beta_2, step)))
    update = first / (1 - tf.pow(beta_1, step)) / (root + self.epsilon)
    if not _matches(var, self.exclude_from_weight_decay):
      update += self._get_hyper("weight_decay", dtype) * var
    ratio = tf.ones([], dtype)
    if not _matches(var, self.exclude_from_layer_adaptation):
      of_weights, of_update = tf.norm(var), tf.norm(update)
      is_usable = tf.logical_and(of_weights > 0, of_update > 0)
      ratio = tf.where(is_usable, tf.math.divide_no_nan(of_weights, of_update), ratio)
    return var.assign_sub(ratio * self._decayed_lr(dtype) * update)

  def _resource_apply_sparse(self, grad, var, indices, apply_state=None):
    dense = tf.IndexedSlices(grad, indices, tf.shape(var))
    return self._resource_apply_dense(tf.convert_to_tensor(dense), var, apply_state)

  def get_config(self):
    """Configuration for Keras serialisation."""
    numbers = ("learning_rate", "weight_decay", "decay", "beta_1", "beta_2")
    return {
      **super().get_config(),
      **{name: self._serialize_hyperparameter(name) for name in numbers},
      "epsilon": self.epsilon,
      "exclude_from_weight_decay": self.exclude_from_weight_decay,
      "exclude_from_layer_adaptation": self.exclude_from_layer_adaptation,
    }


def _matches(variable: tf.Variable, patterns: Optional[Sequence[str]]) -> bool:
  return any(re.search(pattern, variable.name) for pattern in patterns or ())


def adjust_hsv_in_yiq(
  image: Tensor, delta_hue: Tensor, scale_saturation: Tensor, scale_value: Tensor
) -> Tensor:
  """Changes hue, saturation and value of RGB images in the YIQ colour space.

  Args:
    image: float32 `[..., H, W, 3]`.
    delta_hue: scalar, rotation of the chrominance I, Q in radians.
    scale_saturation: scalar, factor of I and Q.
    scale_value: scalar, factor of Y, I and Q.

  Returns:
    Same shape and type as `image`.
  """
  factors = (delta_hue, scale_saturation, scale_value)
  hue, saturation, value = (tf.cast(factor, image.dtype) for factor in factors)
  along = value * saturation * tf.cos(hue)
  across = value * saturation * tf.sin(hue)
  zero = tf.zeros_like(value)
  transform = tf.stack([
    tf.stack([value, zero, zero]),
    tf.stack([zero, along, across]),
    tf.stack([zero, -across, along]),
  ])  # fmt: skip
  to_yiq = tf.constant(_YIQ, image.dtype)
  to_rgb = tf.constant(np.linalg.inv(_YIQ), image.dtype)
  return image @ (to_yiq @ transform @ to_rgb)


def resample(waveform: Tensor, rate_in_hz: int, rate_out_hz: int) -> Tensor:
  """Converts a waveform to another sample rate.

  Same filter and same delay as `tensorflow_io.audio.resample`: the resampler of Speex at quality 4.

  Args:
    waveform: float32 `[samples, channels]`.
    rate_in_hz: sample rate of `waveform`.
    rate_out_hz: sample rate of the result.

  Returns:
    float32 `[samples * rate_out_hz / rate_in_hz, channels]`, rounded down to whole samples. The
    delay is half of `resampling_filter`.
  """
  common = math.gcd(rate_in_hz, rate_out_hz)
  down, up = rate_in_hz // common, rate_out_hz // common

  def convert(samples: np.ndarray) -> np.ndarray:
    filtered = scipy.signal.upfirdn(resampling_filter(up, down), samples, up, down, axis=0)
    return filtered[: len(samples) * up // down]

  result = tf.numpy_function(convert, [waveform], tf.float32, stateful=False)
  return tf.ensure_shape(result, [None, waveform.shape[1]])


@functools.lru_cache(maxsize=8)
def resampling_filter(up: int, down: int) -> np.ndarray:
  """The low-pass filter of `resample` for the ratio `up / down`, without common divisor.

  A sinc under a Kaiser window, 64 samples long at the lower of the two rates.

  Returns:
    float32 `[taps * up]`, at `up` times the rate of the input.
  """
  taps, cutoff, steps = 64, 0.94, 8
  if down > up:
    cutoff = 0.921 * up / down
    taps = 8 * math.ceil(64 * down // up / 8)
    steps = max(1, steps >> sum(factor * up < down for factor in (2, 4, 8, 16)))

  def exact(times):
    window = np.i0(8 * np.sqrt(np.maximum(0, 1 - (2 * times / taps) ** 2))) / np.i0(8)
    return np.where(np.abs(times) <= taps / 2, cutoff * np.sinc(cutoff * times) * window, 0)

  times = np.arange(taps * up) / up - taps / 2
  if up <= steps:
    return exact(times).astype(np.float32)
  # For many phases, Speex interpolates a table with `steps` values per sample.
  grid = np.floor(times * steps)
  x = times * steps - grid
  weights = {
    -1: -x * (x - 1) * (x - 2) / 6,
    0: (x + 1) * (x - 1) * (x - 2) / 2,
    1: -(x + 1) * x * (x - 2) / 2,
    2: (x + 1) * x * (x - 1) / 6,
  }
  values = sum(weight * exact((grid + offset) / steps) for offset, weight in weights.items())
  return values.astype(np.float32)
