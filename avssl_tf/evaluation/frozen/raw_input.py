"""Classification of the raw input: a baseline for learned features.

Downsampled pixels and spectrograms are classified by kNN and a linear classifier, like learned
features. They have more dimensions than there are clips, so the linear classifier is ridge
regression in its dual form.
"""

from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf
from absl import logging
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import StandardScaler

from avssl_tf import keys, spectrograms
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation.frozen import knn, linear_probe

_PENALTIES = (1e-2, 1e-1, 1.0, 10.0)


@gin.register
def raw_input(
  data_dir: str,
  clip: datasets.ClipSpec,
  spectrogram: spectrograms.Spectrogram,
  train_split: str = "train",
  test_split: str = "test",
  batch_size: int = 64,
  frame_size: int = 16,
  spectrogram_size: int = 32,
) -> dict[str, float]:
  """Accuracies of classifiers on the raw input.

  Args:
    data_dir: folder of the records.
    clip: specification of the clips to read.
    spectrogram: the spectrogram of the audio.
    train_split: split, or slice of one, to train the classifiers on.
    test_split: split, or slice of one, to test them on; see `DatasetInfo.test_split`.
    batch_size: clips read at a time.
    frame_size: larger frames are downsampled to this height and width, in pixels.
    spectrogram_size: larger spectrograms are downsampled to this number of frames and of bins.

  Returns:
    `probe/linear_video`, `probe/linear_audio`, `probe/knn_video` and `probe/knn_audio`, in 0..1,
    for the modalities of the records: the names that `Probe` uses for learned features. Empty if
    the data has no labels or no test split.
  """
  test_split = DatasetInfo.load(data_dir).test_split(test_split)
  if test_split is None:
    return {}
  arrays = []
  for split in (train_split, test_split):
    dataset = datasets.evaluation_dataset(data_dir, split, clip, batch_size)
    arrays.append(flatten(dataset, spectrogram, frame_size, spectrogram_size))
  train, test = arrays
  if len(np.unique(train[keys.LABEL])) < 2 or not len(test[keys.LABEL]):
    logging.info("Baselines of the raw input are skipped: %s has no labels.", data_dir)
    return {}
  result = {}
  for modality in keys.MODALITIES:
    if modality in train:
      rows = (train[modality], train[keys.LABEL], test[modality], test[keys.LABEL])
      result[f"probe/linear_{modality}"] = ridge_accuracy(*rows)
      result[f"probe/knn_{modality}"] = knn.accuracy(*rows)
  return result


def flatten(
  dataset: tf.data.Dataset,
  spectrogram: spectrograms.Spectrogram,
  frame_size: int = 16,
  spectrogram_size: int = 32,
) -> dict[str, np.ndarray]:
  """Collects the labelled clips of a data set as flat vectors.

  Args:
    dataset: finite; batches with `LABEL`, and with `VIDEO`, `AUDIO` or both.
    spectrogram: the spectrogram of the audio.
    frame_size: see `raw_input`.
    spectrogram_size: see `raw_input`.

  Returns:
    `VIDEO`, float32 `[N, T * h * w * 3]` in 0..1, and `AUDIO`, float32
    `[N, frames * bins * channels]` in dB, if the data set has them; `LABEL`, int64 `[N]`. N is the
    number of labelled clips.
  """

  @tf.function(reduce_retracing=True, autograph=False)
  def small_video(frames):
    images = tf.reshape(frames, tf.concat([[-1], tf.shape(frames)[2:]], 0))
    images = _shrink(tf.cast(images, tf.float32) / 255, frames.shape[2:4], [frame_size] * 2)
    values = frames.shape[1] * images.shape[1] * images.shape[2] * 3
    return tf.reshape(images, [tf.shape(frames)[0], values])

  @tf.function(reduce_retracing=True, autograph=False)
  def small_audio(waveform):
    bins = spectrogram(waveform)
    bins = _shrink(bins, bins.shape[1:3], [spectrogram_size] * 2)
    return tf.reshape(bins, [tf.shape(waveform)[0], -1])

  functions = {keys.VIDEO: small_video, keys.AUDIO: small_audio}
  functions = {key: f for key, f in functions.items() if key in dataset.element_spec}
  rows = {key: [] for key in (*functions, keys.LABEL)}
  for batch in dataset:
    label = batch[keys.LABEL].numpy()
    known = label >= 0
    for key, function in functions.items():
      rows[key].append(function(batch[key]).numpy()[known])
    rows[keys.LABEL].append(label[known])
  return {key: np.concatenate(parts) for key, parts in rows.items()}


def ridge_accuracy(
  train_inputs: np.ndarray,
  train_labels: np.ndarray,
  test_inputs: np.ndarray,
  test_labels: np.ndarray,
  penalties: Sequence[float] = _PENALTIES,
) -> float:
  """Accuracy of ridge regression onto class indicators, for N < D.

  Inputs are standardised. The penalty, relative to the mean squared norm of an input, is selected
  on a fifth of the training rows. The regression is then fitted on all of them.

  Args:
    train_inputs: float `[N, D]`.
    train_labels: int `[N]`, at least two classes.
    test_inputs: float `[M, D]`.
    test_labels: int `[M]`.
    penalties: penalties to choose from.

  Returns:
    Fraction of test rows, in 0..1, whose class has the largest value.
  """
  scaler = StandardScaler().fit(train_inputs)
  train, test = scaler.transform(train_inputs), scaler.transform(test_inputs)
  scale = np.mean(np.sum(np.square(train), axis=1)) or 1.0  # 0 if all inputs are equal.
  gram, cross = train @ train.T / scale, test @ train.T / scale
  fitting, validation = linear_probe.holdout(train_labels)
  scores = {}
  for penalty in penalties:
    predicted = _ridge_predict(
      gram[np.ix_(fitting, fitting)],
      train_labels[fitting],
      gram[np.ix_(validation, fitting)],
      penalty,
    )
    scores[penalty] = np.mean(predicted == train_labels[validation])
  penalty = max(scores, key=scores.get)
  return float(np.mean(_ridge_predict(gram, train_labels, cross, penalty) == test_labels))


def _ridge_predict(
  gram: np.ndarray, labels: np.ndarray, cross: np.ndarray, penalty: float
) -> np.ndarray:
  """Classes `[M]` from the Gram matrix `[N, N]` of training rows and `[M, N]` of test rows."""
  classes, positions = np.unique(labels, return_inverse=True)
  targets = np.eye(len(classes), dtype=gram.dtype)[positions]
  share = targets.mean(axis=0)
  regression = KernelRidge(alpha=penalty, kernel="precomputed").fit(gram, targets - share)
  return classes[np.argmax(regression.predict(cross) + share, axis=1)]


def _shrink(images: tf.Tensor, size: tuple[int, int], limit: tuple[int, int]) -> tf.Tensor:
  """Downsamples `[B, h, w, C]` to at most `limit` by averaging; never enlarges."""
  target = [min(have, most) for have, most in zip(size, limit)]
  return images if target == list(size) else tf.image.resize(images, target, method="area")
