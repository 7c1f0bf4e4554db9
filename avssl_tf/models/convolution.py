"""Convolutions with symmetric padding, batch normalisation and global pooling."""

from collections.abc import Sequence

import tensorflow as tf

from avssl_tf.errors import UserError

# PyTorch defines momentum the other way round: 0.1 there is the weight of the new value, 0.9 here
# that of the old value.
_BN_MOMENTUM = 0.9
_BN_EPSILON = 1e-5


def symmetric_padding(kernel_size: Sequence[int]) -> tuple[tuple[int, int], ...]:
  """Padding of `(k - 1) / 2` at both ends of every spatial dimension, for `tf.pad`.

  Args:
    kernel_size: odd sizes, one per dimension.

  Returns:
    `(before, after)` of the batch, spatial and channel dimensions.

  Raises:
    UserError: a size is even.
  """
  if any(k % 2 == 0 for k in kernel_size):
    raise UserError(f"The kernel size is {tuple(kernel_size)}; expected odd numbers.")
  return ((0, 0), *(((k - 1) // 2, (k - 1) // 2) for k in kernel_size), (0, 0))


class _SymmetricPadding:
  """Bias-free, He-initialised convolution with symmetric padding for every stride.

  In Keras the padding is "same", which gives the correct shapes. With stride 1 it also gives the
  correct kernel positions for odd kernels, and the operation itself pads. With a larger stride and
  an even size, "same" pads the end more than the start, which shifts the kernels.
  """

  def __init__(self, filters: int, kernel_size: Sequence[int], strides: Sequence[int], name: str):
    super().__init__(
      filters,
      kernel_size,
      strides,
      padding="same",
      use_bias=False,
      kernel_initializer="he_normal",
      name=name,
    )
    self._pads = symmetric_padding(kernel_size)

  def convolution_op(self, inputs, kernel):
    # If the input is smaller than the kernel and the operation itself pads, oneDNN's bfloat16
    # gradient of a 3-D kernel reads uninitialised memory.
    sizes = inputs.shape[1:-1]
    fits = all(size is None or size >= k for size, k in zip(sizes, self.kernel_size))
    if fits and all(stride == 1 for stride in self.strides):
      return super().convolution_op(inputs, kernel)
    if any(before for before, _ in self._pads):
      inputs = tf.pad(inputs, self._pads)
    # Explicit, because the gradient of an eager 3-D convolution has no default.
    data_format = {2: "NHWC", 3: "NDHWC"}[self.rank]
    return tf.nn.convolution(inputs, kernel, self.strides, "VALID", data_format, name=self.name)


class Conv2D(_SymmetricPadding, tf.keras.layers.Conv2D):
  """Bias-free 2-D convolution that pads `(k - 1) / 2` on each side for every stride.

  Maps `[B, H, W, C]` to `[B, ceil(H / sh), ceil(W / sw), filters]`.
  """

  def __init__(self, filters: int, kernel_size: Sequence[int], strides=(1, 1), name=None):
    super().__init__(filters, kernel_size, strides, name)


class Conv3D(_SymmetricPadding, tf.keras.layers.Conv3D):
  """Bias-free 3-D convolution that pads `(k - 1) / 2` on each side for every stride.

  Maps `[B, T, H, W, C]` to `[B, ceil(T / st), ceil(H / sh), ceil(W / sw), filters]`.
  """

  def __init__(self, filters: int, kernel_size: Sequence[int], strides=(1, 1, 1), name=None):
    super().__init__(filters, kernel_size, strides, name)


class BatchNorm(tf.keras.layers.BatchNormalization):
  """Batch normalisation over the last axis, with the constants of the published networks."""

  def __init__(self, name=None, dtype=None):
    super().__init__(momentum=_BN_MOMENTUM, epsilon=_BN_EPSILON, name=name, dtype=dtype)

  def build(self, input_shape):
    input_shape = tf.TensorShape(input_shape)
    super().build(_without_time(input_shape))
    self.input_spec = tf.keras.layers.InputSpec(
      ndim=input_shape.rank, axes={-1: input_shape[-1]}
    )

  def call(self, inputs, training=None):
    # On a CPU, the fused kernel takes three times as long for five dimensions as for four.
    if inputs.shape.rank != 5:
      return super().call(inputs, training=training)
    shape = tf.shape(inputs)
    frames = tf.reshape(inputs, tf.concat([[-1], shape[2:]], axis=0))
    outputs = super().call(frames, training=training)
    return tf.ensure_shape(tf.reshape(outputs, shape), inputs.shape)


def _without_time(shape: tf.TensorShape) -> tf.TensorShape:
  """`[B, T, H, W, C]` -> `[None, H, W, C]`; other shapes are unchanged."""
  return tf.TensorShape([None]).concatenate(shape[2:]) if shape.rank == 5 else shape


def scaled_width(width: int, multiplier: float) -> int:
  """Number of channels `width * multiplier`, rounded, at least 1."""
  return max(1, round(width * multiplier))


def global_max_pool(x: tf.Tensor) -> tf.Tensor:
  """Maximum over all positions of `[B, ..., C]`: float32 `[B, C]`."""
  return tf.cast(tf.reduce_max(x, axis=list(range(1, x.shape.rank - 1))), tf.float32)
