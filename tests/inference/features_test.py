"""Tests of feature extraction."""

import gc
import weakref

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from avssl_tf.inference import encoder, features
from tests import test_base, tiny_av_model


class _Model(tf.Module):
  """Has the interface of an audio-visual model, with features that are easy to compute."""

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

  def test_another_data_set_does_not_trace_again(self):
    model = _Model()
    first = features.extract(model, self._dataset(batch_size=5))
    model.norm.moving_mean.assign([0.0, 0.0, 0.0])
    second = features.extract(model, self._dataset(batch_size=3))
    self.assertEqual(model.num_traces, 1)
    # The function reads the current values of the variables.
    self.assertNotAllClose(first.video_features, second.video_features)
    self.video = self.video[:, :1]
    features.extract(model, self._dataset())
    self.assertEqual(model.num_traces, 2)

  def test_models_do_not_share_what_is_compiled(self):
    one, other = _Model(), _Model()
    other.norm.moving_mean.assign([0.0, 0.0, 0.0])
    first = features.extract(one, self._dataset())
    second = features.extract(other, self._dataset())
    self.assertNotAllClose(first.video_features, second.video_features)

  @parameterized.parameters(_Model, tiny_av_model.make)
  def test_does_not_keep_a_model_alive(self, make):
    def extract():  # Inspection of the stack keeps locals alive as long as their function.
      model = make()
      if make is tiny_av_model.make:
        self.video = tiny_av_model.frames(self.rng, 12).numpy()
        self.audio = tiny_av_model.waveforms(self.rng, 12).numpy()
      features.extract(model, self._dataset())
      return weakref.ref(model)

    gone = extract()
    gc.collect()
    self.assertIsNone(gone())

  def test_encoder_gives_what_its_model_gives(self):
    self.video = tiny_av_model.frames(self.rng, 12).numpy()
    self.audio = tiny_av_model.waveforms(self.rng, 12).numpy()
    model = tiny_av_model.make()
    made = encoder.Encoder.of_model(model, tiny_av_model.CLIP, tiny_av_model.SAMPLE_RATE_HZ, 1)
    expected = features.extract(model, self._dataset())
    found = features.extract(made, self._dataset())
    self.assertAllClose(found.video_features, expected.video_features)
    self.assertAllClose(found.audio_embeddings, expected.audio_embeddings)

  @parameterized.parameters(("video", "audio"), ("audio", "video"))
  def test_one_modality(self, modality, other):
    expected = features.extract(_Model(), self._dataset())
    found = [features.extract(_Model(), self._dataset(), modalities=[modality])]
    alone = self._dataset().map(lambda batch: {k: v for k, v in batch.items() if k != other})
    found.append(features.extract(_Model(), alone))
    for result in found:
      self.assertAllClose(result.of(modality), expected.of(modality))
      self.assertIsNone(result.of(other))
      self.assertIsNone(getattr(result, f"{other}_embeddings"))
    message = f"of {other} were requested, but the data set contains {modality}"
    with self.assertRaisesRegex(ValueError, message):
      features.extract(_Model(), alone, modalities=[other])

  def test_rows(self):
    result = features.extract(_Model(), self._dataset(), modalities=["video"])
    some = result.rows(np.array([3, 1]))
    self.assertAllEqual(some.indices, [3, 1])
    self.assertAllEqual(some.video_features, result.video_features[[3, 1]])
    self.assertIsNone(some.audio_features)
    self.assertLen(result.rows(result.indices < 5), 5)

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
