"""Settings of TensorFlow's graph optimiser (Grappler)."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def without_remapping() -> Iterator[None]:
  """Disables Grappler's remapping, which fails in the training of convolutions with `tf.pad`.

  Remapping fuses paddings with the convolutions that follow. This fails if gradients require the
  shape of the padded tensor. TensorFlow then prints an error and skips all remapping. At inference
  remapping works, and makes networks about 10 % faster.
  """
  tf.config.optimizer.set_experimental_options({"remapping": False})
  try:
    yield
  finally:
    tf.config.optimizer.set_experimental_options({"remapping": True})
