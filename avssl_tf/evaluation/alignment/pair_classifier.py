"""A small classifier of audio-visual pairs on frozen features."""

from typing import Optional

import numpy as np
import tensorflow as tf

from avssl_tf import keras_optimizers
from avssl_tf.evaluation.alignment import view_features
from avssl_tf.evaluation.alignment.view_features import ViewFeatures
from avssl_tf.inference.encoder import Encoder
from avssl_tf.keys import AUDIO

# Lower bound of the standard deviation, for constant features.
_MIN_STD = 1e-6


class PairClassifier:
  """Classifies pairs as matching or not, with one hidden layer and dropout.

  Features are standardised. Initialisation follows the global seed, as does each call of `fit`.
  """

  def __init__(
    self,
    rows: np.ndarray,
    hidden_units: int,
    dropout: float,
    optimizer: tf.keras.optimizers.Optimizer,
  ):
    """Creates an untrained classifier.

    Args:
      rows: float32 `[N, D]`, features that define the mean and standard deviation.
      hidden_units: width of the hidden layer.
      dropout: dropout rate of its units.
      optimizer: an optimiser, separate for each classifier.
    """
    self._mean, self._std = rows.mean(axis=0), np.maximum(rows.std(axis=0), _MIN_STD)
    self._classifier = tf.keras.Sequential(
      [
        tf.keras.layers.Dense(hidden_units, activation="relu"),
        tf.keras.layers.Dropout(dropout),
        tf.keras.layers.Dense(1),
      ]
    )
    # All variables exist before the first step: if that creates some, Keras traces it twice.
    self._classifier.build([None, rows.shape[-1]])
    self._classifier.compile(optimizer, tf.keras.losses.BinaryCrossentropy(from_logits=True))
    keras_optimizers.build(self._classifier.optimizer, self._classifier.trainable_variables)

  def fit(
    self,
    inputs: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    num_epochs: int = 1,
  ) -> None:
    """Trains for some epochs, with each view as a separate example.

    Args:
      inputs: float32 `[N, K, D]`, pairs with K views.
      labels: float32 `[N]`, 1 for matching pairs and 0 for others.
      batch_size: views per step.
      num_epochs: number of epochs.
    """
    rows = inputs.reshape(-1, inputs.shape[-1])
    self._classifier.fit(
      (rows - self._mean) / self._std,
      np.repeat(labels, inputs.shape[1]),
      batch_size=batch_size,
      epochs=num_epochs,
      verbose=0,
    )

  def accuracy(self, inputs: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy in 0..1 of the mean logits of the views of a pair; arguments as in `fit`."""
    flat = inputs.reshape(-1, inputs.shape[-1])
    logits = self._classifier((flat - self._mean) / self._std).numpy()
    decision = logits.reshape(-1, inputs.shape[1]).mean(axis=1) > 0
    return float(np.mean(decision == (labels > 0)))


def pairs(encoder: Optional[Encoder], views: ViewFeatures) -> tuple[np.ndarray, np.ndarray]:
  """Builds matching pairs of video and audio, and the same number of mismatched pairs.

  Args:
    encoder: translates video features into audio features; None uses the video features.
    views: features of N clips with K views each, including those of mismatched audio.

  Returns:
    Inputs of the classifier, float32 `[2 N, K, ...]`, and its target labels, `[2 N]`.
  """
  video = views.video
  if encoder is not None:
    # Depends on the video only, not on the audio of the pair.
    video = view_features.translate(encoder, views.video, views.audio)["translated"][AUDIO]
  inputs = [np.concatenate([video, audio], axis=-1) for audio in (views.audio, views.wrong)]
  return np.concatenate(inputs), np.repeat(np.float32([1, 0]), len(views))
