"""Tests of the estimate of memory, against counts by hand."""

import gin
import tensorflow as tf

from avssl_tf.training.configurations import configuration
from tests import test_base, tiny_run
from tools import estimate_memory


class EstimateMemoryTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    self.addCleanup(gin.clear_config)

  def test_peak_of_two_layers(self):
    weights = [tf.Variable(tf.ones([5, 6])), tf.Variable(tf.ones([6, 7]))]

    def forward(x):
      hidden = tf.nn.relu(x @ weights[0])
      return tf.reshape(hidden, [-1, 6]) @ weights[1]

    # When the gradient of the second layer is computed, these exist: the hidden layer [10, 6]
    # and its gradient, the gradient of the result [10, 7], and that of the second weights. The
    # result itself is gone, and the product that relu read as well.
    found = estimate_memory.peak_bytes(forward, tf.TensorSpec([10, 5], tf.float32))
    self.assertBetween(found, 4 * (60 + 60 + 42), 4 * (60 + 60 + 60 + 70 + 42 + 30 + 50))
    twice = estimate_memory.peak_bytes(forward, tf.TensorSpec([20, 5], tf.float32))
    self.assertBetween((twice - found) / 10, 4 * (6 + 6), 4 * (6 + 6 + 6 + 7))

  def test_parts(self):
    memory = estimate_memory.Memory(
      weights=10, gradients=10, optimizer=20, banks=100, batch=8, loss=40, clip=30, clips=8
    )
    self.assertEqual(memory.total(1), 10 + 10 + 20 + 100 + 8 + 40 + 8 * 30)
    self.assertEqual(memory.total(2), 10 + 2 * 10 + 20 + 100 + 8 + 4 * 30)
    self.assertEqual(memory.total(8), 10 + 2 * 10 + 20 + 100 + 8 + 40)
    self.assertEqual(memory.fitting(1000), 1)
    self.assertEqual(memory.fitting(300), 2)
    self.assertIsNone(memory.fitting(100))
    last = estimate_memory.text(memory, 3e-7).splitlines()[-1]
    self.assertEqual(last, "--device_gb=3e-07: --gin_param=train.accumulate_steps=2")
    self.assertIn("too little even for one clip", estimate_memory.text(memory, 1e-7))

  def test_configuration(self):
    configuration.parse(["gin/avid.gin"], tiny_run.GIN.strip().split("\n"))
    task, batch, clips = estimate_memory.make_task(num_channels=1, num_classes=5)
    memory = estimate_memory.estimate(task, batch, clips, num_videos=1_000_000)
    self.assertEqual(memory.clips, 8)
    self.assertEqual(memory.banks, 2 * 4 * 1_000_000 * 4)
    trained = sum(v.shape.num_elements() for v in task.network.trainable_variables)
    self.assertEqual(memory.gradients, 4 * trained)
    self.assertBetween(memory.optimizer, 8 * trained, 8 * trained + 100)
    self.assertGreater(memory.clip, 2 * 16 * 16 * 3 * 4)


if __name__ == "__main__":
  tf.test.main()
