import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.data.pipeline import audio_ops
from tests import test_base


class AudioOpsTest(test_base.TestCase, parameterized.TestCase):
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

  @parameterized.parameters((48000, 24000), (44100, 24000), (24000, 8000), (8000, 24000))
  def test_resample_keeps_tones_and_their_time(self, rate_in_hz, rate_out_hz):
    def tones(rate_hz):
      time_sec = np.arange(round(1.5 * rate_hz)) / rate_hz
      return np.sin(2 * np.pi * time_sec[:, None] * [440.0, 1000.0]).astype(np.float32)

    resample = tf.function(
      lambda x: audio_ops.resample(x, rate_in_hz, rate_out_hz, round(1.5 * rate_out_hz))
    )
    result = resample(tones(rate_in_hz)).numpy()
    # Ringing at the ends, next to silence.
    inner = slice(200, -200)
    # The delay is corrected by whole output samples: less than half a sample remains.
    tolerance = 2 * np.pi * 1000 * 0.5 / rate_out_hz + 1e-3
    self.assertAllClose(result[inner], tones(rate_out_hz)[inner], rtol=0, atol=tolerance)

  def test_resample_removes_what_the_lower_rate_cannot_hold(self):
    time_sec = np.arange(48000) / 48000
    tone = np.sin(2 * np.pi * 15000 * time_sec).astype(np.float32)[:, None]
    result = audio_ops.resample(tone, 48000, 24000, 24000)
    self.assertLess(np.abs(result[200:-200]).max(), 0.01)


if __name__ == "__main__":
  tf.test.main()
