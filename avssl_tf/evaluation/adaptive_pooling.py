"""Pooling to a given size, whatever the size of the map.

`AdaptiveMaxPooling3D` of TensorFlow Addons takes only maps whose sizes are multiples of the
output's, which those of the published networks are not (56, 28, 14, 7 to 12, 8, 6, 4).
"""

from collections.abc import Sequence
from typing import Callable

import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor


def adaptive_pool(
  x: Tensor, sizes: Sequence[int], reduce: Callable[..., Tensor] = tf.reduce_max
) -> Tensor:
  """Pools a map over bins that cover it, `sizes` of them along each dimension.

  The bins are those of PyTorch's adaptive pooling: of n positions, bin i of k goes from
  floor(i n / k) up to, without, ceil((i + 1) n / k). So neighbours may share positions, and
  where k > n positions repeat.

  >>> adaptive_pool(tf.constant([[[1.0], [2.0], [3.0]]]), [2]).numpy().tolist()
  [[[2.0], [3.0]]]

  Args:
    x: `[B, n1, n2, ..., C]`, with known sizes but for B.
    sizes: number of bins along each dimension between the first and the last.
    reduce: `tf.reduce_max`, or `tf.reduce_mean` for averages.

  Returns:
    `[B, *sizes, C]`.

  Raises:
    UserError: other than one positive size a dimension, or the size of a dimension is not known.
  """
  spatial = x.shape[1:-1]
  if len(sizes) != len(spatial) or min(sizes) < 1 or None in list(spatial):
    raise UserError(
      f"The map has the shape {tuple(x.shape)} and the sizes are {tuple(sizes)}; expected known "
      "sizes and one positive number for each dimension between the first and the last."
    )
  # A bin is a product of ranges, over which maxima and means can be taken one after the other.
  for axis, (n, k) in enumerate(zip(spatial, sizes), start=1):
    if n != k:
      before = (slice(None),) * axis
      bins = [slice(i * n // k, -(-(i + 1) * n // k)) for i in range(k)]
      x = tf.stack([reduce(x[(*before, places)], axis=axis) for places in bins], axis=axis)
  return x
