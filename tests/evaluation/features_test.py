"""Tests of feature extraction."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.evaluation import features
from tests import test_base


class _Model(tf.Module):
  """Has the interface of an audio-visual model; its features are easy to compute by hand."""

  def __init__(self):
    super().__init__()
    self.num_traces = 0
    self.norm = tf.keras.layers.BatchNormalization()
    self.norm.build([None, 3])
    self.norm.moving_mean.assign([1.0, 2.0, 3.0])

  def embed_video(self, frames, training=False):
    self.num_traces += 1
    pooled = tf.reduce_mean(tf.cast(frames, tf.float32), axis=[1, 2, 3])
    pooled = self.norm(pooled, training=training)
    return {"features": pooled, "embedding": tf.math.l2_normalize(pooled, axis=-1)}

  def embed_audio(self, waveform, training=False):
    del training
    pooled = tf.reduce_max(waveform, axis=1)
    return {"features": pooled, "embedding": tf.math.l2_normalize(pooled, axis=-1)}


class ExtractTest(test_base.TestCase, parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.video = self.rng.integers(0, 256, size=(12, 2, 4, 4, 3), dtype=np.uint8)
    self.audio = self.rng.normal(size=(12, 50, 2)).astype(np.float32)

  def _dataset(self, num_windows=1, batch_size=5, **more):
    index = np.arange(12) // num_windows
    content = {"video": self.video, "audio": self.audio, "index": index, **more}
    return tf.data.Dataset.from_tensor_slices(content).batch(batch_size)

  def _expected_video_features(self):
    pooled = self.video.astype(np.float32).mean(axis=(1, 2, 3))
    return (pooled - [1, 2, 3]) / np.sqrt(1 + 1e-3)

  def test_rows_follow_the_data_set(self):
    keys = np.array([f"clip{i}" for i in range(12)])
    result = features.extract(_Model(), self._dataset(label=np.arange(12) % 3, key=keys))
    expected = self._expected_video_features()
    self.assertLen(result, 12)
    self.assertAllClose(result.video_features, expected, rtol=1e-5)
    self.assertAllClose(result.audio_features, self.audio.max(axis=1))
    self.assertAllClose(
      result.video_embeddings, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5
    )
    self.assertAllEqual(result.labels, np.arange(12) % 3)
    self.assertAllEqual(result.indices, np.arange(12))
    self.assertEqual(result.keys.tolist(), keys.tolist())

  def test_smaller_last_batch_does_not_trace_again(self):
    model = _Model()
    features.extract(model, self._dataset(batch_size=5))
    self.assertEqual(model.num_traces, 1)

  @parameterized.parameters(1, 2, 4, 5, 7, 12)
  def test_windows_are_averaged_wherever_batches_end(self, batch_size):
    result = features.extract(_Model(), self._dataset(4, batch_size), num_windows=4)
    windows = self._expected_video_features().reshape(3, 4, 3)
    self.assertAllClose(result.video_features, windows.mean(axis=1), rtol=1e-5)
    unit = windows / np.linalg.norm(windows, axis=-1, keepdims=True)
    mean = unit.mean(axis=1)
    self.assertAllClose(
      result.video_embeddings, mean / np.linalg.norm(mean, axis=-1, keepdims=True), rtol=1e-5
    )
    self.assertAllEqual(result.indices, [0, 1, 2])

  def test_labels_and_keys_may_be_missing(self):
    result = features.extract(_Model(), self._dataset())
    self.assertAllEqual(result.labels, np.full(12, -1))
    self.assertEqual(result.keys.tolist(), [""] * 12)

  def test_reads_variables_of_a_distribution_strategy(self):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
      model = _Model()
    self.assertIsInstance(model.norm.moving_mean, tf.distribute.DistributedValues)
    expected = self._expected_video_features()
    outside = features.extract(model, self._dataset())
    self.assertAllClose(outside.video_features, expected, rtol=1e-5)
    with strategy.scope():
      inside = features.extract(model, self._dataset())
    self.assertAllClose(inside.video_features, expected, rtol=1e-5)

  def test_rejects_wrong_number_of_windows(self):
    with self.assertRaisesRegex(ValueError, "windows of one clip"):
      features.extract(_Model(), self._dataset(num_windows=2), num_windows=3)
    with self.assertRaisesRegex(ValueError, "3 rows short of a whole clip"):
      features.extract(_Model(), self._dataset(num_windows=12), num_windows=5)
    with self.assertRaisesRegex(ValueError, "empty"):
      features.extract(_Model(), self._dataset().take(0))


if __name__ == "__main__":
  tf.test.main()
