"""Tests of the optimisers and schedules."""

import numpy as np
import tensorflow as tf

from avssl_tf.training.optimization import optimizers, schedules


def _torch_adam(weight, gradients, learning_rate, l2):
  """Adam with coupled L2, as documented by PyTorch, in NumPy."""
  first, second = np.zeros_like(weight), np.zeros_like(weight)
  for t, gradient in enumerate(gradients, start=1):
    gradient = gradient + l2 * weight
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    corrected = first / (1 - 0.9**t), second / (1 - 0.999**t)
    weight = weight - learning_rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
  return weight


class AdamTest(tf.test.TestCase):

  def test_follows_coupled_weight_decay(self):
    rng = np.random.default_rng(0)
    start = rng.standard_normal(5)
    gradients = rng.standard_normal((4, 5)) * 0.1
    variable = tf.Variable(start, dtype=tf.float64)
    optimizer = optimizers.Adam(0.01, l2=0.5, epsilon=1e-8)
    for gradient in gradients:
      optimizer.apply_gradients([(tf.constant(gradient), variable)])
    expected = _torch_adam(start, gradients, 0.01, 0.5)
    self.assertAllClose(variable, expected, rtol=1e-6)
    self.assertNotAllClose(variable, _torch_adam(start, gradients, 0.01, 0.0), rtol=1e-3)

  def test_small_gradients_move_as_in_torch(self):
    # For gradients of the size of epsilon, its position and size matter.
    gradients = np.array([[1e-8, 1e-7, -1e-6, 1e-5]] * 3)
    expected = _torch_adam(np.zeros(4), gradients, 0.01, 0.0)
    found = {}
    for name, arguments in (
      ("torch", {"epsilon": 1e-8, "torch_epsilon": True}),
      ("keras", {"epsilon": 1e-8}),
    ):
      optimizer = optimizers.Adam(0.01, **arguments)
      variable = tf.Variable(np.zeros(4), dtype=tf.float64)

      @tf.function
      def step(gradient, variable=variable, optimizer=optimizer):
        optimizer.apply_gradients([(gradient, variable)])

      optimizer.build([variable])
      for gradient in gradients:
        step(tf.constant(gradient))
      found[name] = variable.numpy()
      self.assertEqual(optimizer.get_config()["epsilon"], 1e-8)
    self.assertAllClose(found["torch"], expected, rtol=1e-4, atol=0)
    self.assertGreater(found["torch"][1] / found["keras"][1], 2.0)

  def test_refuses_negative_l2(self):
    with self.assertRaisesRegex(ValueError, "l2"):
      optimizers.Adam(0.01, l2=-1.0)


class SchedulesTest(tf.test.TestCase):

  def test_cosine_with_warm_up(self):
    rate = schedules.cosine(100, 10, learning_rate=2.0, warmup_steps=4)
    values = [float(rate(step)) for step in range(101)]
    for step in range(4):
      expected = (step + 1) / 4 * (1 + np.cos(np.pi * step / 100))
      self.assertAllClose(values[step], expected, rtol=1e-5)
    self.assertAllClose(values[50], 1.0, rtol=1e-5)
    self.assertAllClose(values[100], 0.0, atol=1e-6)

  def test_step_decay_falls_at_its_milestones(self):
    rate = schedules.step_decay(
      100, 10, learning_rate=1.0, milestone_epochs=(3, 6), factor=0.1
    )
    values = [float(rate(step)) for step in (0, 29, 30, 59, 60, 99)]
    self.assertAllClose(values, [1.0, 1.0, 0.1, 0.1, 0.01, 0.01])

  def test_step_decay_as_multi_step_lr(self):
    for milestones in ((), (0,), (1,), (2, 2), (5, 1, 3), (4, 40)):
      rate = schedules.step_decay(
        60, 7, learning_rate=0.3, milestone_epochs=milestones, factor=0.5
      )
      for dtype in (tf.int64, tf.float32):  # Step counters of new optimisers and of legacy ones.
        found = [float(rate(tf.constant(step, dtype))) for step in range(60)]
        expected = [0.3 * 0.5 ** sum(m <= step // 7 for m in milestones) for step in range(60)]
        self.assertAllClose(found, expected)

  def test_step_decay_in_steps(self):
    rate = schedules.step_decay(
      100, 10, learning_rate=0.5, milestone_epochs=(2,), factor=0.5, milestone_steps=(5, 250)
    )
    self.assertAllClose([rate(s) for s in (4, 5, 19, 20)], [0.5, 0.25, 0.25, 0.125])

  def test_step_decay_without_milestones_is_constant(self):
    rate = schedules.step_decay(100, 10, learning_rate=0.5)
    self.assertAllClose([float(rate(step)) for step in (0, 50, 100, 150)], [0.5] * 4)


if __name__ == "__main__":
  tf.test.main()
