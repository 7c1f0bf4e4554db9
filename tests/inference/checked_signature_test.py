"""Tests that exported functions check the shapes of their inputs."""

import os
import tempfile
import unittest

import numpy as np
import tensorflow as tf

from avssl_tf.inference import checked_signature

_FIXED = tf.TensorSpec([None, 4, 2], tf.float32, "audio")
_ANY = tf.TensorSpec([None, None, 2], tf.float32, "audio")
_OTHER = tf.TensorSpec([None, 3], tf.uint8, "other")


class CheckedSignatureTest(unittest.TestCase):

  def saved(self, function, specs):
    """The function after saving and loading: shape checks must not be optimised away."""
    module = tf.Module()
    module.weight = tf.Variable(2.0)
    folder = tempfile.mkdtemp()
    signature = checked_signature.checked(function, specs)
    tf.saved_model.save(module, os.path.join(folder, "x"), signatures={"f": signature})
    loaded = tf.saved_model.load(os.path.join(folder, "x"))
    self.addCleanup(lambda: loaded)  # Keeps the variables alive while the function is used.
    return loaded.signatures["f"]

  def double(self, spec):
    def function(audio):
      return {"double": 2 * audio, "sum": tf.reduce_sum(audio, [1, 2])}

    return self.saved(function, [spec])

  def test_right_shapes(self):
    for spec in (_FIXED, _ANY):
      double = self.double(spec)
      for size in (0, 1, 5):
        x = np.random.default_rng(size).uniform(size=[size, 4, 2]).astype(np.float32)
        outputs = double(audio=tf.constant(x))
        np.testing.assert_array_equal(outputs["double"], 2 * x)
        self.assertEqual(outputs["sum"].shape, [size])

  def test_wrong_shapes(self):
    double = self.double(_FIXED)
    for shape in ([1, 8, 2], [1, 4, 1], [1, 4], [4, 2], [1, 4, 2, 1], [1, 1, 4, 2], [0, 4, 1], []):
      with self.subTest(shape), self.assertRaisesRegex(
        tf.errors.InvalidArgumentError,
        r"Expected audio with the shape float32 \[batch, 4, 2\] \(samples, channels\), got\W+"
        + r"\[" + " ".join(map(str, shape)) + r"\]",
      ):
        double(audio=tf.zeros(shape))

  def test_sizes_that_may_be_any_are_not_zero(self):
    double = self.double(_ANY)
    self.assertEqual(double(audio=tf.zeros([2, 7, 2]))["double"].shape, [2, 7, 2])
    for shape in ([1, 7, 3], [1, 0, 2], [7, 2]):
      with self.subTest(shape), self.assertRaisesRegex(
        tf.errors.InvalidArgumentError, r"the shape float32 \[batch, any, 2\]"
      ):
        double(audio=tf.zeros(shape))

  def test_several_inputs(self):
    both = self.saved(
      lambda audio, other: {"sum": tf.reduce_sum(audio, 1) + tf.cast(other[:, :2], tf.float32)},
      [_FIXED, _OTHER],
    )
    for size in (0, 1, 3):
      inputs = {"audio": tf.zeros([size, 4, 2]), "other": tf.zeros([size, 3], tf.uint8)}
      self.assertEqual(both(**inputs)["sum"].shape, [size, 2])
    with self.assertRaisesRegex(
      tf.errors.InvalidArgumentError, r"same number of clips in audio and other, got\W+\[2 1\]"
    ):
      both(audio=tf.zeros([2, 4, 2]), other=tf.zeros([1, 3], tf.uint8))
    with self.assertRaisesRegex(tf.errors.InvalidArgumentError, r"shape uint8 \[batch, 3\], got"):
      both(audio=tf.zeros([1, 4, 2]), other=tf.zeros([1, 4], tf.uint8))

  def test_other_types(self):
    with self.assertRaisesRegex(tf.errors.InvalidArgumentError, "expected to be a float tensor"):
      self.double(_FIXED)(audio=tf.zeros([1, 4, 2], tf.float64))


if __name__ == "__main__":
  unittest.main()
