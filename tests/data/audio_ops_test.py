import tensorflow as tf

from avssl_tf.data import audio_ops
from tests import test_base


class AudioOpsTest(test_base.TestCase):
  def test_cut(self):
    waveform = self.rng.uniform(-1, 1, (20, 2)).astype("float32")
    for start in (0, 7, 15):
      window = audio_ops.cut(tf.constant(waveform), tf.constant(start, tf.int64), 5)
      self.assertAllEqual(window, waveform[start : start + 5])

  def test_cut_refuses_to_reach_beyond_the_end(self):
    with self.assertRaises((ValueError, tf.errors.InvalidArgumentError)):
      audio_ops.cut(tf.zeros([20, 1]), tf.constant(16, tf.int64), 5)

  def test_scale_volume(self):
    waveform = tf.constant([[0.5], [-0.25], [0.95], [-0.95]])
    scaled = audio_ops.scale_volume(waveform, tf.constant(1.1, tf.float64))
    self.assertAllClose(scaled, [[0.55], [-0.275], [1.0], [-1.0]], rtol=1e-6)
    self.assertDTypeEqual(scaled.numpy(), "float32")


if __name__ == "__main__":
  tf.test.main()
