"""Tests of the distinction between errors of users and bugs."""

import errno
import os
import tempfile

import av
import gin
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from avssl_tf import errors
from avssl_tf.training.optimization import optimizers

assert optimizers  # Imported to register its operations.
gin.external_configurable(tf.keras.layers.Dense, "DenseOfTest")


@gin.register
class _Raises:
  """Raises an exception like a component that gin creates."""

  def __init__(self, error):
    raise error


def _through_gin(error):
  """The exception as re-raised by gin."""
  try:
    gin.get_configurable(_Raises)(error)
  except Exception as found:  # Of a class created by gin.
    return found
  raise AssertionError("gin raised nothing")


def _raised_by(function):
  try:
    function()
  except Exception as error:  # The kind is what is tested.
    return error
  raise AssertionError("nothing was raised")


def _in_graph(function, value):
  """The exception of an operation in the graph of a data set."""
  return _raised_by(lambda: next(iter(tf.data.Dataset.from_tensors(value).map(function))))


class ErrorsTest(parameterized.TestCase):

  def test_errors_of_users_stay_as_they_are(self):
    for kind in (
      errors.UserError, errors.MissingFileError, errors.FileThereError, errors.NonFiniteError
    ):
      error = kind("say why")
      self.assertIs(errors.of_exception(error), error)
      self.assertIsInstance(error, errors.UserError)

  @parameterized.parameters(
    ValueError("a bug"), TypeError("a bug"), KeyError("a bug"), RuntimeError("a bug"),
    AssertionError("a bug"), UnicodeDecodeError("utf-8", b"x", 0, 1, "a bug"),
    OSError("without a number"), OSError(errno.EBADF, "Bad file descriptor"),
    OSError(errno.EINVAL, "Invalid argument"),
  )  # fmt: skip
  def test_faults_of_programs(self, error):
    self.assertIsNone(errors.of_exception(error))
    self.assertIsNone(errors.of_exception(_through_gin(error)))

  @parameterized.parameters(
    errno.ENOSPC, errno.EACCES, errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.EROFS, errno.EFBIG
  )
  def test_files(self, number):
    error = OSError(number, os.strerror(number), "data/x")
    found = errors.of_exception(error)
    self.assertEqual(str(found), str(error))
    # gin's own exception has no `errno`.
    through = errors.of_exception(_through_gin(error))
    self.assertStartsWith(str(through), str(error))
    self.assertIn("_Raises", str(through))

  def test_media_that_is_missing(self):
    found = errors.of_exception(_raised_by(lambda: av.open("/nowhere/x.mp4")))
    self.assertIn("/nowhere/x.mp4", str(found))

  def test_values_that_keras_refuses_in_what_gin_makes(self):
    for name, options in (("optimizers.Adam", {"nonsense": 1}), ("DenseOfTest", {"units": -1})):
      error = _raised_by(lambda name=name, options=options: gin.get_configurable(name)(**options))
      found = errors.of_exception(error)
      self.assertIsNotNone(found, error)
      self.assertIn("In call to configurable", str(found))
    # The same outside of gin is a bug.
    error = _raised_by(lambda: tf.keras.layers.Dense(-1))
    self.assertIsInstance(error, ValueError)
    self.assertIsNone(errors.of_exception(error))

  def test_memory(self):
    found = errors.of_exception(_raised_by(lambda: np.empty(1 << 60, np.uint8)))
    self.assertRegex(str(found), "not enough memory. Unable to allocate 1.00 EiB")
    found = errors.of_exception(tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"))
    self.assertIn("OOM", str(found))

  def test_checks_in_graphs(self):

    def check(value):
      with tf.control_dependencies([tf.debugging.assert_equal(value, 2, "index is outside")]):
        return tf.identity(value)

    found = errors.of_exception(_in_graph(check, 1))
    self.assertIn("index is outside", str(found))
    self.assertNotIn("function_node", str(found))
    self.assertNotIn("[Op:", str(found))

  def test_what_records_hold(self):
    features = {"clip/index": tf.io.FixedLenFeature([], tf.int64)}

    def parse(serialized):
      return tf.io.parse_single_sequence_example(serialized, features)[0]

    of_another_type = tf.train.SequenceExample()
    of_another_type.context.feature["clip/index"].bytes_list.value.append(b"x")
    for value in (
      b"no record",
      tf.train.SequenceExample().SerializeToString(),
      of_another_type.SerializeToString(),
    ):
      self.assertIsNotNone(errors.of_exception(_in_graph(parse, value)))
    for picture in (b"no picture", b"\xff\xd8\xff cut off"):
      self.assertIsNotNone(errors.of_exception(_in_graph(tf.io.decode_jpeg, picture)))

  def test_files_that_tensorflow_reads(self):
    with tempfile.TemporaryDirectory() as folder:
      missing = os.path.join(folder, "missing")
      damaged = os.path.join(folder, "damaged")
      with open(damaged, "wb") as f:
        f.write(bytes(100))
      for path in (missing, damaged, folder):
        error = _raised_by(lambda path=path: next(iter(tf.data.TFRecordDataset([path]))))
        self.assertIsNotNone(errors.of_exception(error), error)

  def test_faults_of_graphs(self):
    error = _raised_by(lambda: tf.matmul(tf.zeros([2, 3]), tf.zeros([2, 3])))
    self.assertIsInstance(error, tf.errors.InvalidArgumentError)
    self.assertIsNone(errors.of_exception(error))


if __name__ == "__main__":
  absltest.main()
