"""A small classifier of pairs of picture and sound, on frozen features."""

from typing import Optional

import numpy as np
import tensorflow as tf

from avssl_tf.evaluation.alignment import view_features
from avssl_tf.evaluation.alignment.view_features import ViewFeatures
from avssl_tf.inference.encoder import Encoder
from avssl_tf.keys import AUDIO

# Of features that are the same for all.
_MIN_STD = 1e-6


class PairClassifier:
  """A layer of hidden units with dropout, on standardised features; says whether a pair is right.

  What is random follows the global seed at its making, and that of each call of `fit`.
  """

  def __init__(
    self,
    rows: np.ndarray,
    hidden_units: int,
    dropout: float,
    optimizer: tf.keras.optimizers.Optimizer,
  ):
    """Makes an untrained classifier.

    Args:
      rows: float32 `[N, D]`, features whose mean and standard deviation standardise all.
      hidden_units: width of the hidden layer.
      dropout: share of its units that are dropped in training.
      optimizer: an optimiser of its own.
    """
    self._mean, self._std = rows.mean(axis=0), np.maximum(rows.std(axis=0), _MIN_STD)
    self._classifier = tf.keras.Sequential(
      [
        tf.keras.layers.Dense(hidden_units, activation="relu"),
        tf.keras.layers.Dropout(dropout),
        tf.keras.layers.Dense(1),
      ]
    )
    self._classifier.compile(optimizer, tf.keras.losses.BinaryCrossentropy(from_logits=True))

  def fit(
    self,
    inputs: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    num_epochs: int = 1,
  ) -> None:
    """Learns for some epochs, from each view on its own.

    Args:
      inputs: float32 `[N, K, D]`, pairs of K views.
      labels: float32 `[N]`, 1 for right pairs and 0 for others.
      batch_size: views of a step.
      num_epochs: passes over the pairs.
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
    """Share of pairs that the mean of the logits of their views decides rightly; as of `fit`."""
    flat = inputs.reshape(-1, inputs.shape[-1])
    logits = self._classifier((flat - self._mean) / self._std).numpy()
    decision = logits.reshape(-1, inputs.shape[1]).mean(axis=1) > 0
    return float(np.mean(decision == (labels > 0)))


def pairs(encoder: Optional[Encoder], views: ViewFeatures) -> tuple[np.ndarray, np.ndarray]:
  """Right pairs of picture and sound, and as many wrong ones.

  Args:
    encoder: translates features of pictures into those of sound; None: they stay as they are.
    views: features of N clips, K views each, with those of wrong sounds.

  Returns:
    Inputs of the classifier, float32 `[2 N, K, ...]`, and what it should say, `[2 N]`.
  """
  picture = views.video
  if encoder is not None:
    # Of the picture alone: the sounds of the pair have no part in it.
    picture = view_features.translate(encoder, views.video, views.audio)["translated"][AUDIO]
  inputs = [np.concatenate([picture, sound], axis=-1) for sound in (views.audio, views.wrong)]
  return np.concatenate(inputs), np.repeat(np.float32([1, 0]), len(views))
