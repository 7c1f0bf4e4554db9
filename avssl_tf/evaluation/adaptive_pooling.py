"""Adaptive pooling of maps of any size to a given output size.

`AdaptiveMaxPooling3D` of TensorFlow Addons requires map sizes that are multiples of the output
size. This does not hold for the published networks (56, 28, 14, 7 to 12, 8, 6, 4).
"""

from collections.abc import Sequence
from typing import Callable

import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor


def adaptive_pool(
  x: Tensor, sizes: Sequence[int], reduce: Callable[..., Tensor] = tf.reduce_max
) -> Tensor:
  """Pools a map over bins that cover it, with `sizes` bins along each dimension.

  The bins are those of PyTorch's adaptive pooling: of n positions, bin i of k is the half-open
  range from floor(i n / k) to ceil((i + 1) n / k). Neighbouring bins may therefore share
  positions, and positions repeat if k > n.

  Args:
    x: `[B, n1, n2, ..., C]`, with all sizes known except B.
    sizes: number of bins along each dimension between the first and the last.
    reduce: `tf.reduce_max`, or `tf.reduce_mean` for averages.

  Returns:
    `[B, *sizes, C]`.

  Raises:
    UserError: `sizes` is not one positive number per dimension, or a dimension of `x` is unknown.

  Examples:
    >>> adaptive_pool(tf.constant([[[1.0], [2.0], [3.0]]]), [2]).numpy().tolist()
    [[[2.0], [3.0]]]
  """
  spatial = x.shape[1:-1]
  if len(sizes) != len(spatial) or min(sizes) < 1 or None in list(spatial):
    raise UserError(
      f"The map has the shape {tuple(x.shape)} and the sizes are {tuple(sizes)}; expected known "
      "sizes and one positive number for each dimension between the first and the last."
    )
  # A bin is a product of ranges, so its maximum or mean can be taken axis by axis.
  for axis, (n, k) in enumerate(zip(spatial, sizes), start=1):
    if n != k:
      before = (slice(None),) * axis
      bins = [slice(i * n // k, -(-(i + 1) * n // k)) for i in range(k)]
      x = tf.stack([reduce(x[(*before, places)], axis=axis) for places in bins], axis=axis)
  return x
