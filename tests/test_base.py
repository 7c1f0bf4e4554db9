"""The base class of the tests."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf


class TestCase(tf.test.TestCase):
  """A test case with random numbers that do not depend on the order of the tests.

  Attributes:
    rng: NumPy random number generator, with the same seed in each test.
  """

  test_session = None  # A helper of the parent, which a test runner would count as a test.

  def setUp(self):
    super().setUp()
    tf.keras.utils.set_random_seed(0)
    self.rng = np.random.default_rng(0)

  def assert_shape(self, array, shape: Sequence[Optional[int]], dtype=None) -> None:
    """Fails unless `array` has `shape` (None: any size) and, if given, `dtype`."""
    found = tuple(array.shape)
    matches = len(found) == len(shape) and all(
      size in (None, found_size) for size, found_size in zip(shape, found)
    )
    self.assertTrue(matches, f"shape {found}, expected {tuple(shape)}")
    if dtype is not None:
      self.assertEqual(tf.as_dtype(array.dtype), tf.as_dtype(dtype))
