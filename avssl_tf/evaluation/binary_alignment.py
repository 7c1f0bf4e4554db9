"""AVC-Bin and AVSA-Bin: do this picture and this sound belong together?

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, section 5.1: a small classifier on frozen features is shown pairs of picture and sound. In
AVC-Bin, a wrong sound is that of another clip; in AVSA-Bin, it is the clip's own, turned out of
line with the picture by a random yaw.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Optional

import gin
import numpy as np
import tensorflow as tf
from absl import logging

from avssl_tf.data.dataset_info import DatasetInfo
from avssl_tf.evaluation import frozen_features, view_features
from avssl_tf.evaluation.encoder import Encoder
from avssl_tf.evaluation.results import Results
from avssl_tf.evaluation.view_features import ViewFeatures
from avssl_tf.types import AUDIO

# Of features that are the same for all.
_MIN_STD = 1e-6
_CLASSIFIER_BATCH = 256


@dataclasses.dataclass(frozen=True)
class BinaryAlignment:
  """Tests whether frozen features tell right pairs of picture and sound from wrong ones.

  For each number of viewpoints n, `{name}_{n}` is the accuracy with pictures translated into
  features of sound, `{name}_{n}_no_translation` without. Half of the pairs are right: chance is
  0.5. The decision on a clip is that of the mean of the logits of its views.

  Attributes:
    train_split: split, or slice of one, that the classifiers learn from.
    test_split: split, or slice of one, that they are tested on.
    num_viewpoints: numbers of viewpoints of a clip: 1 (each view on its own), or all of them; None
      measures with both.
    untrained: whether the same is measured of the network with random weights, as a floor.
    without_translation: whether it is measured without translation too.
    windows_per_clip: windows of a clip, each with viewpoints, and a turn, of its own.
    batch_size: clips that go through the network at a time.
    hidden_units: width of the classifier.
    dropout: share of its hidden units that are dropped in training.
    num_epochs: passes of the classifier over the pairs.
    learning_rate: of Adam, falling to 0 as a cosine.
    seed: of the classifier, and of who is paired with whom.
  """

  train_split: str = "train"
  test_split: str = "test"
  num_viewpoints: Optional[Sequence[int]] = None
  untrained: bool = True
  without_translation: bool = True
  windows_per_clip: int = 1
  batch_size: int = 16
  hidden_units: int = 256
  dropout: float = 0.5
  num_epochs: int = 20
  learning_rate: float = 1e-3
  seed: int = 0

  compares_parts: ClassVar[bool] = True  # The trained network and the untrained one.
  name: ClassVar[str]
  turned: ClassVar[bool]  # Whether turned sound is needed.

  def __post_init__(self):
    frozen_features.check_counts(
      self, "windows_per_clip", "batch_size", "hidden_units", "num_epochs"
    )
    if not 0 <= self.dropout < 1:
      raise ValueError(f"{type(self).__name__}.dropout is {self.dropout}; expected 0..1.")

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Measures the trained network, and the untrained one, unless `results` has them.

    Args:
      encoder: the frozen network, of 360° clips.
      data_dir: folder of 360° records.
      results: where the metrics go, under "trained" and "untrained".
      work_dir: not used: features stay in memory.
      progress: whether to show progress bars.

    Raises:
      FileNotFoundError: there is no data set, or files of it are missing.
      ValueError: network or records are not of 360° clips, or do not go together; or there are
        other numbers of viewpoints than asked for.
    """
    del work_dir
    view_features.check(encoder, DatasetInfo.load(data_dir), data_dir)
    self._check_counts_of(encoder)
    if results.get("trained") is None:
      results.put("trained", self._measure(encoder, data_dir, progress))
    if not self.untrained or results.get("untrained") is not None:
      return
    if encoder.make_model is None:
      logging.info("The untrained network is left out: a SavedModel holds no layers to make it of.")
      return
    tf.keras.utils.set_random_seed(self.seed)
    floor = Encoder.of_model(
      encoder.make_model(trained=False), encoder.clip, encoder.sample_rate_hz, encoder.num_channels
    )
    results.put("untrained", self._measure(floor, data_dir, progress))

  def scores(
    self, encoder: Encoder, train: ViewFeatures, test: ViewFeatures
  ) -> dict[str, float]:
    """Accuracies in 0..1, by name.

    Args:
      encoder: the network, which translates.
      train: views that the classifiers learn from; turned ones too where they are needed.
      test: views that they are tested on.
    """
    # Of whole clips, so that no view gets the sound of another view of its own.
    parts = [
      dataclasses.replace(part, wrong=self.wrong_sounds(part, self.seed + i))
      for i, part in enumerate((train, test))
    ]
    result = {}
    for count in self.num_viewpoints or sorted({1, train.video.shape[1]}):
      views = [part.single_views() if count == 1 else part for part in parts]
      for translated in (True, False) if self.without_translation else (True,):
        pairs = [_pairs(encoder if translated else None, part) for part in views]
        suffix = "" if translated else "_no_translation"
        result[f"{self.name}_{count}{suffix}"] = self._accuracy(*pairs)
    return result

  def wrong_sounds(self, views: ViewFeatures, seed: int) -> np.ndarray:
    """Features of sounds that do not belong to the pictures, float32 `[N, K, D]`."""
    raise NotImplementedError

  def _check_counts_of(self, encoder: Encoder) -> None:
    possible = (1, encoder.clip.viewpoints.num_viewpoints)
    if self.num_viewpoints is not None and not set(self.num_viewpoints) <= set(possible):
      raise ValueError(
        f"{type(self).__name__}.num_viewpoints is {tuple(self.num_viewpoints)}; the network's "
        f"clips have {possible[1]} viewpoints: expected 1, {possible[1]} or both."
      )

  def _measure(self, encoder: Encoder, data_dir: str, progress: bool) -> dict[str, float]:
    train, test = (
      view_features.extract(
        encoder, data_dir, split, self.windows_per_clip, self.batch_size, self.turned, progress
      )
      for split in (self.train_split, self.test_split)
    )
    return self.scores(encoder, train, test)

  def _accuracy(
    self, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
  ) -> float:
    (inputs, labels), (test_inputs, test_labels) = train, test
    count = inputs.shape[1]
    rows = inputs.reshape(-1, inputs.shape[-1])
    steps = self.num_epochs * -(-len(rows) // _CLASSIFIER_BATCH)
    tf.keras.utils.set_random_seed(self.seed)
    mean, std = rows.mean(axis=0), np.maximum(rows.std(axis=0), _MIN_STD)
    classifier = tf.keras.Sequential(
      [
        tf.keras.layers.Dense(self.hidden_units, activation="relu"),
        tf.keras.layers.Dropout(self.dropout),
        tf.keras.layers.Dense(1),
      ]
    )
    classifier.compile(
      tf.keras.optimizers.Adam(
        tf.keras.optimizers.schedules.CosineDecay(self.learning_rate, steps)
      ),
      tf.keras.losses.BinaryCrossentropy(from_logits=True),
    )
    classifier.fit(
      (rows - mean) / std,
      np.repeat(labels, count),
      batch_size=_CLASSIFIER_BATCH,
      epochs=self.num_epochs,
      verbose=0,
    )
    flat = test_inputs.reshape(-1, test_inputs.shape[-1])
    logits = classifier((flat - mean) / std).numpy()
    decision = logits.reshape(-1, test_inputs.shape[1]).mean(axis=1) > 0
    return float(np.mean(decision == (test_labels > 0)))


def _pairs(encoder: Optional[Encoder], views: ViewFeatures) -> tuple[np.ndarray, np.ndarray]:
  """Inputs of the classifier, float32 `[2 N, K, ...]`, and what it should say, `[2 N]`."""
  picture = views.video
  if encoder is not None:
    # Of the picture alone: the sounds of the pair have no part in it.
    picture = view_features.translate(encoder, views.video, views.audio)["translated"][AUDIO]
  inputs = [np.concatenate([picture, sound], axis=-1) for sound in (views.audio, views.wrong)]
  return np.concatenate(inputs), np.repeat(np.float32([1, 0]), len(views))


@gin.register
@dataclasses.dataclass(frozen=True)
class AVCBin(BinaryAlignment):
  """Correspondence: wrong sounds are those of other clips; `avc_bin_1` and so on."""

  name: ClassVar[str] = "avc_bin"
  turned: ClassVar[bool] = False

  def wrong_sounds(self, views: ViewFeatures, seed: int) -> np.ndarray:
    """The sounds of other clips: each clip's is that of another one."""
    if len(views) < 2:
      raise ValueError("AVC-Bin needs two clips or more: wrong sounds are those of other clips.")
    # A cycle through all clips in random order gives nobody its own.
    order = np.random.default_rng(seed).permutation(len(views))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return views.audio[other]


@gin.register
@dataclasses.dataclass(frozen=True)
class AVSABin(BinaryAlignment):
  """Spatial alignment: wrong sounds are the clip's own, turned; `avsa_bin_1` and so on."""

  name: ClassVar[str] = "avsa_bin"
  turned: ClassVar[bool] = True

  def wrong_sounds(self, views: ViewFeatures, seed: int) -> np.ndarray:
    """The turned sounds."""
    del seed
    return views.wrong
