"""AVC-Bin and AVSA-Bin: do this picture and this sound belong together?

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, section 5.1: a small classifier on frozen features is shown pairs of picture and sound. In
AVC-Bin, a wrong sound is that of another clip; in AVSA-Bin, it is the clip's own, turned out of
line with the picture by a random yaw.
"""

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

# Views of a step of the classifier.
_CLASSIFIER_BATCH = 256


@dataclasses.dataclass(frozen=True)
class BinaryAlignment(Protocol):
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
    learning_rate: of the optimiser, falling to 0 as a cosine.
    seed: of the classifier, of who is paired with whom, and of what is drawn again.
    redraws: whether the windows, viewpoints and turns of training clips are drawn again in each
      epoch, as published, in which a clip then is part of one pair, right or wrong by chance. The
      network runs over all of them as often. If not, they stay the same, and each clip is part of
      a right pair and a wrong one.
    classifier_clips: clips, or single views where these are on their own, of a step of the
      classifier; None: so many that they have 256 views.
    test_windows_per_clip: windows of a test clip; None: `windows_per_clip`.
    optimizer: makes an optimiser of Keras; called with `learning_rate`.
    milestone_epochs: epochs at whose beginning, counted from 0, the rate is multiplied by
      `factor`, in place of the cosine; None: the cosine.
    factor: see there.
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

  # Arguments that what a field names is called with.
  gives: ClassVar = {"optimizer": ("learning_rate",)}
  compares_parts: ClassVar[bool] = True  # The trained network and the untrained one.
  name: ClassVar[str]
  turned: ClassVar[bool]  # Whether turned sound is needed.

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
        f"{type(self).__name__}.milestone_epochs is {tuple(milestones)}; expected rising numbers "
        f"below num_epochs={self.num_epochs}."
      )

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
      MissingFileError: there is no data set, or files of it are missing.
      UserError: network or records are not of 360° clips, or do not go together; or there are
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
    train, test = self._with_wrong(train, self.seed), self._with_wrong(test, self.seed + 1)
    return {
      name: self._accuracy(self._pairs(encoder, train, kind), self._pairs(encoder, test, kind))
      for name, kind in self._kinds(train).items()
    }

  def _kinds(self, views: ViewFeatures) -> dict[str, tuple[int, bool]]:
    """What is measured: number of viewpoints, and whether with translation, by name."""
    return {
      f"{self.name}_{count}{'' if translated else '_no_translation'}": (count, translated)
      for count in self.num_viewpoints or sorted({1, views.video.shape[1]})
      for translated in ((True, False) if self.without_translation else (True,))
    }

  def _with_wrong(self, views: ViewFeatures, seed: int) -> ViewFeatures:
    # Of whole clips, so that no view gets the sound of another view of its own.
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
    """Features of sounds that do not belong to the pictures, float32 `[N, K, D]`."""

  def _check_counts_of(self, encoder: Encoder) -> None:
    possible = (1, encoder.clip.viewpoints.num_viewpoints)
    if self.num_viewpoints is not None and not set(self.num_viewpoints) <= set(possible):
      raise UserError(
        f"{type(self).__name__}.num_viewpoints is {tuple(self.num_viewpoints)}; the network's "
        f"clips have {possible[1]} viewpoints: expected 1, {possible[1]} or both."
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
    """As `scores`, of other views of the training clips in each epoch."""
    test = self._with_wrong(test, self.seed + self.num_epochs)  # Of no epoch.
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
    """Positions of the right pair or of the wrong one of each clip, for all its views alike."""
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
    """A new classifier for as many pairs an epoch as `inputs` are."""
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
  """Correspondence: wrong sounds are those of other clips; `avc_bin_1` and so on."""

  name: ClassVar[str] = "avc_bin"
  turned: ClassVar[bool] = False

  def wrong_sounds(self, views: ViewFeatures, seed: int) -> np.ndarray:
    """The sounds of other clips: each clip's is that of another one."""
    if len(views) < 2:
      raise UserError("AVC-Bin needs two clips or more: wrong sounds are those of other clips.")
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
