"""AVC-Bin and AVSA-Bin: classification of matching and mismatched pairs of video and audio."""

import abc
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Callable, ClassVar, Optional

import gin
import numpy as np
import tensorflow as tf
from absl import logging

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.evaluation.alignment import pair_classifier, view_features
from avssl_tf.evaluation.alignment.pair_classifier import PairClassifier
from avssl_tf.evaluation.alignment.view_features import ViewFeatures
from avssl_tf.evaluation.classifiers import classifier_training
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.evaluation.protocol import Protocol, added_field
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder

# Views per training step of the classifier.
_CLASSIFIER_BATCH = 256


@dataclasses.dataclass(frozen=True)
class BinaryAlignment(Protocol):
  """Evaluates whether frozen features distinguish matching from mismatched pairs.

  For each number of viewpoints n, `{name}_{n}` is the accuracy with video translated into audio
  features, and `{name}_{n}_no_translation` without translation. Half of the pairs match: chance is
  0.5. The logits of the views of a clip are averaged.

  Attributes:
    train_split: split, or slice of one, to train the classifiers on.
    test_split: split, or slice of one, to test them on.
    num_viewpoints: numbers of viewpoints to evaluate: 1 (each view separately), all of a clip, or
      both; None evaluates both.
    untrained: whether to evaluate the network with random weights too, as a lower bound.
    without_translation: whether to evaluate without translation too.
    windows_per_clip: windows of a clip, each with separate viewpoints and a separate rotation.
    batch_size: clips per forward pass.
    hidden_units: width of the classifier.
    dropout: dropout rate of its hidden units.
    num_epochs: epochs of the classifier.
    learning_rate: initial learning rate, with a cosine decay to 0.
    seed: seed of the classifier, of the pairing and of redrawn clips.
    redraws: whether to draw the windows, viewpoints and rotations of training clips again in each
      epoch, as published, and to process them by the network. Each clip is then part of one random
      pair per epoch; otherwise of one matching and one mismatched pair.
    classifier_clips: clips, or views if evaluated separately, per training step of the classifier;
      None uses as many as have 256 views.
    test_windows_per_clip: windows of a test clip; None uses `windows_per_clip`.
    optimizer: creates a Keras optimiser; called with `learning_rate`.
    milestone_epochs: epochs, counted from 0, at whose start the learning rate is multiplied by
      `factor`, instead of the cosine decay; None uses the cosine decay.
    factor: multiplier of the learning rate at `milestone_epochs`.
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
  redraws: bool = added_field(False)
  classifier_clips: Optional[int] = added_field(None)
  test_windows_per_clip: Optional[int] = added_field(None)
  optimizer: Callable[..., tf.keras.optimizers.Optimizer] = added_field(tf.keras.optimizers.Adam)
  milestone_epochs: Optional[Sequence[int]] = added_field(None)
  factor: float = added_field(0.1)

  # Arguments that the callable in a field receives.
  gives: ClassVar = {"optimizer": ("learning_rate",)}
  compares_parts: ClassVar[bool] = True  # The trained and the untrained network.
  name: ClassVar[str]
  turned: ClassVar[bool]  # Whether features of rotated audio are needed.

  def __post_init__(self):
    frozen_features.check_counts(
      self, "windows_per_clip", "batch_size", "hidden_units", "num_epochs"
    )
    if not 0 <= self.dropout < 1:
      raise UserError(f"{type(self).__name__}.dropout is {self.dropout}; expected 0..1.")
    for name in ("classifier_clips", "test_windows_per_clip"):
      if getattr(self, name) is not None:
        frozen_features.check_counts(self, name)
    milestones = list(self.milestone_epochs or ())
    inside = all(0 < epoch < self.num_epochs for epoch in milestones)
    if not inside or milestones != sorted(set(milestones)):
      raise UserError(
        f"{type(self).__name__}.milestone_epochs is {tuple(milestones)}; expected increasing "
        f"numbers in 1..{self.num_epochs - 1}, since num_epochs is {self.num_epochs}."
      )

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Evaluates the trained and the untrained network, unless `results` contains them.

    Args:
      encoder: the frozen network of 360° clips.
      data_dir: folder of 360° records.
      results: receives the metrics, under "trained" and "untrained".
      work_dir: not used, since features stay in memory.
      progress: whether to show progress bars.

    Raises:
      MissingFileError: there is no data set, or some of its files are missing.
      UserError: network, records and `num_viewpoints` are incompatible, or not of 360° clips.
    """
    del work_dir
    view_features.check(encoder, DatasetInfo.load(data_dir), data_dir)
    self._check_counts_of(encoder)
    if results.get("trained") is None:
      results.put("trained", self._measure(encoder, data_dir, progress))
    if not self.untrained or results.get("untrained") is not None:
      return
    if encoder.make_model is None:
      logging.info("The untrained network is skipped: a SavedModel contains no layers to build it.")
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
      encoder: the network, used for translation.
      train: views to train the classifiers on, with rotated audio if the protocol needs it.
      test: views to test them on.
    """
    train, test = self._with_wrong(train, self.seed), self._with_wrong(test, self.seed + 1)
    return {
      name: self._accuracy(self._pairs(encoder, train, kind), self._pairs(encoder, test, kind))
      for name, kind in self._kinds(train).items()
    }

  def _kinds(self, views: ViewFeatures) -> dict[str, tuple[int, bool]]:
    """Number of viewpoints and whether translation is used, by name of the metric."""
    return {
      f"{self.name}_{count}{'' if translated else '_no_translation'}": (count, translated)
      for count in self.num_viewpoints or sorted({1, views.video.shape[1]})
      for translated in ((True, False) if self.without_translation else (True,))
    }

  def _with_wrong(self, views: ViewFeatures, seed: int) -> ViewFeatures:
    # Pairs whole clips, so no view is paired with the audio of another view of its clip.
    return dataclasses.replace(views, wrong=self.wrong_sounds(views, seed))

  @staticmethod
  def _pairs(
    encoder: Encoder, views: ViewFeatures, kind: tuple[int, bool]
  ) -> tuple[np.ndarray, np.ndarray]:
    count, translated = kind
    views = views.single_views() if count == 1 else views
    return pair_classifier.pairs(encoder if translated else None, views)

  @abc.abstractmethod
  def wrong_sounds(self, views: ViewFeatures, seed: int) -> np.ndarray:
    """Audio features that do not match the views, float32 `[N, K, D]`."""

  def _check_counts_of(self, encoder: Encoder) -> None:
    possible = (1, encoder.clip.viewpoints.num_viewpoints)
    if self.num_viewpoints is not None and not set(self.num_viewpoints) <= set(possible):
      raise UserError(
        f"{type(self).__name__}.num_viewpoints is {tuple(self.num_viewpoints)}; the network's "
        f"clips have {possible[1]} viewpoints; expected 1, {possible[1]} or both."
      )

  def _measure(self, encoder: Encoder, data_dir: str, progress: bool) -> dict[str, float]:
    def extract(split: str, windows_per_clip: int, random_seed: Optional[int] = None):
      return view_features.extract(
        encoder, data_dir, split, windows_per_clip, self.batch_size, self.turned, progress,
        random_seed,
      )  # fmt: skip

    test = extract(self.test_split, self.test_windows_per_clip or self.windows_per_clip)
    if not self.redraws:
      return self.scores(encoder, extract(self.train_split, self.windows_per_clip), test)
    drawn = (
      extract(self.train_split, self.windows_per_clip, self.seed + epoch)
      for epoch in range(self.num_epochs)
    )
    return self._scores_of_draws(encoder, drawn, test)

  def _scores_of_draws(
    self, encoder: Encoder, drawn: Iterable[ViewFeatures], test: ViewFeatures
  ) -> dict[str, float]:
    """Like `scores`, with different views of the training clips in each epoch."""
    test = self._with_wrong(test, self.seed + self.num_epochs)  # Differs from all epochs.
    kinds = self._kinds(test)
    classifiers: dict[str, PairClassifier] = {}
    for epoch, views in enumerate(drawn):
      views = self._with_wrong(views, self.seed + epoch)
      for name, kind in kinds.items():
        inputs, labels = self._pairs(encoder, views, kind)
        chosen = self._one_of_two(len(labels) // 2, views.video.shape[1], kind[0], epoch)
        inputs, labels = inputs[chosen], labels[chosen]
        tf.keras.utils.set_random_seed(self.seed + epoch)
        if name not in classifiers:
          classifiers[name] = self._classifier(inputs)
        classifiers[name].fit(inputs, labels, self._views_of_step(inputs))
    return {
      name: classifiers[name].accuracy(*self._pairs(encoder, test, kind))
      for name, kind in kinds.items()
    }

  def _one_of_two(self, num_pairs: int, num_views: int, count: int, epoch: int) -> np.ndarray:
    """Positions of one pair of each clip, matching or mismatched, the same for all its views."""
    repeats = num_views if count == 1 else 1
    wrong = np.random.default_rng([self.seed, epoch]).random(num_pairs // repeats) < 0.5
    return np.arange(num_pairs) + num_pairs * np.repeat(wrong, repeats)

  def _accuracy(
    self, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
  ) -> float:
    inputs, labels = train
    tf.keras.utils.set_random_seed(self.seed)
    classifier = self._classifier(inputs)
    classifier.fit(inputs, labels, self._views_of_step(inputs), self.num_epochs)
    return classifier.accuracy(*test)

  def _views_of_step(self, inputs: np.ndarray) -> int:
    if self.classifier_clips is None:
      return _CLASSIFIER_BATCH
    return self.classifier_clips * inputs.shape[1]

  def _classifier(self, inputs: np.ndarray) -> PairClassifier:
    """Creates a classifier whose epochs have the size of `inputs`."""
    rows = inputs.reshape(-1, inputs.shape[-1])
    steps_per_epoch = -(-len(rows) // self._views_of_step(inputs))
    if self.milestone_epochs is None:
      schedule = tf.keras.optimizers.schedules.CosineDecay(
        self.learning_rate, self.num_epochs * steps_per_epoch
      )
    else:
      schedule = classifier_training.step_decay(
        self.learning_rate, self.factor, self.milestone_epochs, steps_per_epoch
      )
    return PairClassifier(
      rows, self.hidden_units, self.dropout, self.optimizer(learning_rate=schedule)
    )


@gin.register
@dataclasses.dataclass(frozen=True)
class AVCBin(BinaryAlignment):
  """Audio-visual correspondence: mismatched audio is from another clip; see `BinaryAlignment`.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, section 5.1.
  """

  name: ClassVar[str] = "avc_bin"
  turned: ClassVar[bool] = False

  def wrong_sounds(self, views: ViewFeatures, seed: int) -> np.ndarray:
    """The audio features of other clips."""
    if len(views) < 2:
      raise UserError("AVC-Bin needs two clips or more to mismatch video and audio.")
    # A cycle through all clips in random order never pairs a clip with itself.
    order = np.random.default_rng(seed).permutation(len(views))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return views.audio[other]


@gin.register
@dataclasses.dataclass(frozen=True)
class AVSABin(BinaryAlignment):
  """Spatial alignment: mismatched audio is rotated by a random yaw; see `BinaryAlignment`.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, section 5.1.
  """

  name: ClassVar[str] = "avsa_bin"
  turned: ClassVar[bool] = True

  def wrong_sounds(self, views: ViewFeatures, seed: int) -> np.ndarray:
    """The features of the rotated audio."""
    del seed
    return views.wrong
