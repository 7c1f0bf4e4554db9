"""Tests of the baselines on raw input."""

from unittest import mock

import numpy as np
import tensorflow as tf

from avssl_tf import spectrograms
from avssl_tf.data.pipeline import datasets
from avssl_tf.evaluation.frozen import raw_input
from tests import test_base

_SPECTROGRAM = spectrograms.Spectrogram(
  sample_rate_hz=1000, fft_length=32, hop_length=10, num_bins=17
)


class RawInputTest(test_base.TestCase):

  def setUp(self):
    super().setUp()
    info = mock.Mock(test_split=lambda split: split)
    self.enter_context(mock.patch.object(raw_input.DatasetInfo, "load", return_value=info))

  def _content(self, count, labels):
    """Class 0: bright at the left; class 1: bright at the right. Tones of 100 Hz and 300 Hz."""
    video = self.rng.integers(0, 100, size=(count, 2, 8, 8, 3))
    video[labels == 0, :, :, :4] += 60
    video[labels == 1, :, :, 4:] += 60
    time = np.arange(200) / 1000 + self.rng.uniform(size=(count, 1))
    audio = np.sin(2 * np.pi * np.where(labels == 1, 300, 100)[:, None] * time)
    audio += 0.3 * self.rng.normal(size=audio.shape)
    return {
      "video": video.astype(np.uint8),
      "audio": audio[..., None].astype(np.float32),
      "index": np.arange(count),
      "label": labels,
    }

  def _dataset(self, count=40, labels=None):
    labels = np.arange(count) % 2 if labels is None else labels
    return tf.data.Dataset.from_tensor_slices(self._content(count, labels)).batch(16)

  def test_finds_what_the_input_shows(self):
    with mock.patch.object(
      datasets, "evaluation_dataset", lambda data_dir, split, clip, batch_size: self._dataset()
    ):
      result = raw_input.raw_input("data", datasets.ClipSpec(), _SPECTROGRAM)
    self.assertCountEqual(
      result,
      ["probe/linear_video", "probe/linear_audio", "probe/knn_video", "probe/knn_audio"],
    )
    for name, value in result.items():
      self.assertGreater(value, 0.95, name)

  def test_without_labels_there_is_no_result(self):
    unlabelled = self._dataset(labels=np.full(40, -1))
    with mock.patch.object(datasets, "evaluation_dataset", lambda *args: unlabelled):
      self.assertEqual(raw_input.raw_input("data", datasets.ClipSpec(), _SPECTROGRAM), {})

  def test_flatten_keeps_small_input_as_it_is(self):
    labels = np.array([0, -1, 1, 1])
    content = self._content(4, labels)
    flat = raw_input.flatten(tf.data.Dataset.from_tensors(content), _SPECTROGRAM)
    known = labels >= 0
    self.assertAllClose(flat["video"], content["video"][known].reshape(3, -1) / 255.0)
    bins = _SPECTROGRAM(content["audio"]).numpy()
    self.assertAllClose(flat["audio"], bins[known].reshape(3, -1), rtol=1e-5)
    self.assertAllEqual(flat["label"], [0, 1, 1])

  def test_flatten_averages_large_input(self):
    content = self._content(4, np.arange(4))
    flat = raw_input.flatten(
      tf.data.Dataset.from_tensors(content), _SPECTROGRAM, frame_size=4, spectrogram_size=10
    )
    pooled = content["video"].reshape(4, 2, 4, 2, 4, 2, 3).mean(axis=(3, 5)) / 255
    self.assertAllClose(flat["video"], pooled.reshape(4, -1), rtol=1e-5)
    bins = _SPECTROGRAM(content["audio"]).numpy()  # [4, 20, 17, 1]
    self.assertAllClose(flat["audio"].mean(axis=1), bins.mean(axis=(1, 2, 3)), rtol=1e-3)
    self.assert_shape(flat["audio"], [4, 100], np.float32)

  def test_ridge_agrees_with_the_primal_solution(self):
    centres = self.rng.normal(size=(3, 20))
    labels = self.rng.integers(3, size=60)
    x = (centres[labels] + 2 * self.rng.normal(size=(60, 20))) * self.rng.uniform(1, 9, size=20)
    x_test, y_test = x[::2] + self.rng.normal(size=(30, 20)), labels[::2]
    penalty = 0.5
    accuracy = raw_input.ridge_accuracy(x, labels, x_test, y_test, penalties=(penalty,))

    z, z_test = (x - x.mean(0)) / x.std(0), (x_test - x.mean(0)) / x.std(0)
    targets = np.eye(3)[labels]
    scale = np.mean(np.sum(z**2, axis=1))
    weights = np.linalg.solve(
      z.T @ z + penalty * scale * np.eye(20), z.T @ (targets - targets.mean(0))
    )
    predicted = np.argmax(z_test @ weights + targets.mean(0), axis=1)
    self.assertAllClose(accuracy, np.mean(predicted == y_test))

  def test_constant_inputs_score_at_chance(self):
    labels = np.arange(40) % 4
    x = np.ones((40, 9), np.float32)
    self.assertAllClose(raw_input.ridge_accuracy(x, labels, x, labels), 0.25)

  def test_records_of_one_modality(self):
    def dataset(*unused):
      return self._dataset().map(lambda batch: {k: v for k, v in batch.items() if k != "video"})

    with mock.patch.object(datasets, "evaluation_dataset", dataset):
      result = raw_input.raw_input("data", datasets.ClipSpec(), _SPECTROGRAM)
    self.assertCountEqual(result, ["probe/linear_audio", "probe/knn_audio"])

  def test_noise_scores_at_chance(self):
    labels = np.arange(400) % 4
    x, x_test = self.rng.normal(size=(2, 400, 500))
    self.assertLess(raw_input.ridge_accuracy(x, labels, x_test, labels), 0.33)


if __name__ == "__main__":
  tf.test.main()
