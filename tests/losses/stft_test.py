"""Tests of the loss of generated sound fields against slow and closed forms."""

import numpy as np
import tensorflow as tf

from avssl_tf.losses import stft
from tests import test_base


class StftLossTest(test_base.TestCase):

  def spectra(self, *shape):
    return (self.rng.normal(size=shape) + 1j * self.rng.normal(size=shape)).astype(np.complex64)

  def test_equals_slow_oracle(self):
    prediction, target = self.spectra(2, 3, 4, 5), self.spectra(2, 3, 4, 5)
    errors, energies = [], []
    for p, t in zip(prediction, target):
      errors.append(np.mean([abs(a - b) ** 2 for a, b in zip(p.ravel(), t.ravel())]))
      energies.append(np.mean([abs(b) ** 2 for b in t.ravel()]))
    ratios = np.divide(errors, energies)
    loss, relative = stft.stft_loss(prediction, target, "squared")
    self.assertAllClose(loss, np.mean(errors), rtol=1e-5)
    self.assertAllClose(relative, ratios, rtol=1e-5)
    loss, relative = stft.stft_loss(prediction, target, "relative")
    self.assertAllClose(loss, np.mean(ratios), rtol=1e-5)
    self.assertAllClose(relative, ratios, rtol=1e-5)

  def test_silence_has_an_error_of_one_at_any_level(self):
    target = self.spectra(3, 3, 4, 5) * np.float32([1e-2, 1.0, 1e2])[:, None, None, None]
    loss, relative = stft.stft_loss(np.zeros_like(target), target, "relative")
    self.assertAllClose(relative, np.ones(3), rtol=1e-5)
    self.assertAllClose(loss, 1.0, rtol=1e-5)

  def test_clips_without_direction_have_no_part(self):
    prediction, target = self.spectra(3, 3, 4, 5), self.spectra(3, 3, 4, 5)
    target[1] = 0.0
    for kind in stft.KINDS:
      loss, relative = stft.stft_loss(prediction, target, kind)
      expected, _ = stft.stft_loss(prediction[[0, 2]], target[[0, 2]], kind)
      self.assertAllClose(loss, expected, rtol=1e-5)
      self.assertAllEqual(np.isnan(relative), [False, True, False])
    loss, _ = stft.stft_loss(prediction, np.zeros_like(target), "relative")
    self.assertAllEqual(loss, 0.0)

  def test_channels_that_a_clip_lacks_have_no_part(self):
    prediction, target = self.spectra(1, 3, 4, 5), self.spectra(1, 3, 4, 5)
    _, relative = stft.stft_loss(
      prediction, target, "relative", channels=tf.constant([[True, False, True]])
    )
    _, expected = stft.stft_loss(prediction[:, ::2], target[:, ::2], "relative")
    self.assertAllClose(relative, expected, rtol=1e-5)

  def test_gradients_are_finite_where_a_clip_is_silent(self):
    target = tf.constant(self.spectra(2, 3, 4, 5) * np.float32([0, 1])[:, None, None, None])
    gain = tf.constant(0.5)
    with tf.GradientTape() as tape:
      tape.watch(gain)
      noise = tf.constant(self.spectra(2, 3, 4, 5))
      loss, _ = stft.stft_loss(tf.cast(gain, tf.complex64) * noise, target, "relative")
    self.assertTrue(np.isfinite(tape.gradient(loss, gain)))

  def test_unknown_kind(self):
    with self.assertRaisesRegex(ValueError, "loss is 'l2'; expected one of squared, relative"):
      stft.stft_loss(self.spectra(1, 3, 4, 5), self.spectra(1, 3, 4, 5), "l2")


if __name__ == "__main__":
  tf.test.main()
