"""Tests that the successors agree with TensorFlow Addons and TensorFlow I/O, or with NumPy."""

import importlib.util
import math
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized

from avssl_tf import addons, successors

_HAS_ADDONS = importlib.util.find_spec("tensorflow_addons") is not None
_HAS_IO = importlib.util.find_spec("tensorflow_io") is not None


def _lamb_oracle(weight, gradients, learning_rate, weight_decay, epsilon=1e-6):
  """Algorithm 2 of You et al., with the betas .9 and .999."""
  m, v = np.zeros_like(weight), np.zeros_like(weight)
  for t, gradient in enumerate(gradients, 1):
    m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
    update = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + epsilon) + weight_decay * weight
    weight = weight - learning_rate * np.linalg.norm(weight) / np.linalg.norm(update) * update
  return weight


class LambTest(parameterized.TestCase):

  def trained(self, kind, **kwargs):
    random = np.random.default_rng(0)
    kernel = tf.Variable(random.normal(size=[3, 2]), dtype=tf.float32, name="kernel")
    bias = tf.Variable(np.zeros(2), dtype=tf.float32, name="bias")
    optimizer = kind(learning_rate=0.1, **kwargs)
    for _ in range(5):
      gradients = [tf.constant(random.normal(size=v.shape), tf.float32) for v in (kernel, bias)]
      optimizer.apply_gradients(zip(gradients, (kernel, bias)))
    return optimizer, kernel, bias

  def test_equals_the_oracle(self):
    random = np.random.default_rng(0)
    start = random.normal(size=[3, 2])
    gradients = []
    for _ in range(5):
      gradients.append(random.normal(size=[3, 2]))
      random.normal(size=[2])
    _, kernel, _ = self.trained(successors.LAMB, weight_decay=0.01)
    expected = _lamb_oracle(start, gradients, 0.1, 0.01)
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)

  @parameterized.parameters({}, {"weight_decay": 0.1}, {
    "weight_decay": 0.1, "exclude_from_weight_decay": ["bias"], "clipnorm": 1.0,
  })  # fmt: skip
  def test_equals_the_original(self, **kwargs):
    if not _HAS_ADDONS:
      self.skipTest("TensorFlow Addons is not installed.")
    theirs, *their_variables = self.trained(addons.LAMB, **kwargs)
    ours, *our_variables = self.trained(successors.LAMB, **kwargs)
    for their_variable, our_variable in zip(their_variables, our_variables):
      np.testing.assert_allclose(our_variable, their_variable, rtol=1e-5, atol=1e-7)
    self.assertEqual(ours.get_config(), theirs.get_config())
    self.assertEqual([v.shape for v in ours.variables()], [v.shape for v in theirs.variables()])
    # Checkpoints of one restore into the other.
    ours.set_weights([np.zeros_like(weight) for weight in ours.get_weights()])
    with tempfile.TemporaryDirectory() as folder:
      their_parts = {"optimizer": theirs, **dict(zip("ab", their_variables))}
      path = tf.train.Checkpoint(**their_parts).save(f"{folder}/checkpoint")
      our_parts = {"optimizer": ours, **dict(zip("ab", our_variables))}
      tf.train.Checkpoint(**our_parts).restore(path).assert_consumed()
    for their_weight, our_weight in zip(theirs.get_weights(), ours.get_weights()):
      np.testing.assert_array_equal(our_weight, their_weight)

  def test_sparse_gradients(self):
    rows = [tf.Variable(np.ones([4, 2]), dtype=tf.float32) for _ in range(2)]
    slices = tf.IndexedSlices(tf.constant([[1.0, 2.0]]), tf.constant([2]), tf.constant([4, 2]))
    successors.LAMB(0.1).apply_gradients([(slices, rows[0])])
    successors.LAMB(0.1).apply_gradients([(tf.convert_to_tensor(slices), rows[1])])
    np.testing.assert_array_equal(*rows)


class HueTest(parameterized.TestCase):

  @parameterized.parameters((0.0, 1.0, 1.0), (0.7, 0.5, 1.2), (-2.0, 1.4, 0.8))
  def test_equals_the_original(self, hue, saturation, value):
    image = tf.constant(np.random.default_rng(0).uniform(size=[2, 3, 4, 3]), tf.float32)
    ours = successors.adjust_hsv_in_yiq(image, hue, saturation, value)
    if (hue, saturation, value) == (0.0, 1.0, 1.0):
      np.testing.assert_allclose(ours, image, atol=1e-6)
    if not _HAS_ADDONS:
      self.skipTest("TensorFlow Addons is not installed.")
    theirs = addons.adjust_hsv_in_yiq(image, hue, saturation, value)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


class ResampleTest(parameterized.TestCase):

  @parameterized.parameters((44100, 24000), (16000, 24000), (48000, 8000), (22050, 24000))
  def test_keeps_a_tone(self, rate_in_hz, rate_out_hz):
    def tone(rate_hz, delay_sec=0.0):
      times_sec = np.arange(rate_hz) / rate_hz - delay_sec
      return np.sin(2 * math.pi * 1000 * times_sec)[:, None].astype(np.float32)

    common = math.gcd(rate_in_hz, rate_out_hz)
    up, down = rate_out_hz // common, rate_in_hz // common
    delay_sec = len(successors.resampling_filter(up, down)) / 2 / up / rate_in_hz
    got = successors.resample(tf.constant(tone(rate_in_hz)), rate_in_hz, rate_out_hz).numpy()
    self.assertLen(got, rate_out_hz)
    inner = slice(rate_out_hz // 10, None)
    np.testing.assert_allclose(got[inner], tone(rate_out_hz, delay_sec)[inner], atol=1e-3)

  # Few and many phases, and rates without a common divisor.
  @parameterized.parameters(
    (16000, 24000), (48000, 8000), (44100, 24000), (22050, 24000), (192000, 8000), (44099, 16000)
  )
  def test_agrees_with_the_original(self, rate_in_hz, rate_out_hz):
    if not _HAS_IO:
      self.skipTest("TensorFlow I/O is not installed.")
    noise = np.random.default_rng(0).normal(size=[rate_in_hz // 4, 2])
    noise = tf.constant(noise, tf.float32)
    theirs = addons.resample(noise, rate_in_hz, rate_out_hz)
    ours = successors.resample(noise, rate_in_hz, rate_out_hz)
    self.assertLessEqual(abs(len(ours) - len(theirs)), 1)
    length = min(len(ours), len(theirs))
    np.testing.assert_allclose(ours[:length], theirs[:length], atol=3e-5)

  def test_works_in_a_graph(self):
    data = tf.data.Dataset.from_tensors(tf.zeros([4410, 2]))
    (got,) = data.map(lambda waveform: successors.resample(waveform, 44100, 24000))
    self.assertEqual(got.shape, [2400, 2])


if __name__ == "__main__":
  absltest.main()
