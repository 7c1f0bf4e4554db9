"""Base class of protocols that train video classifiers."""

import abc
import dataclasses
import os
from collections.abc import Sequence
from typing import Callable, ClassVar, Optional

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.evaluation import folds as folds_lib
from avssl_tf.evaluation.classifiers import classifier_training, clip_scores, video_classifier
from avssl_tf.evaluation.classifiers.classifier_training import Phase
from avssl_tf.evaluation.frozen import multi_label
from avssl_tf.evaluation.protocol import Protocol, added_field
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder


def _all_labels_of_frames(batch: keys.Batch) -> tuple[keys.Tensor, keys.Tensor]:
  return batch[keys.VIDEO], batch[keys.LABELS]


@dataclasses.dataclass(frozen=True)
class ClassifierProtocol(Protocol):
  """Trains and tests video classifiers on each fold of a data set.

  Metrics: `clip_top1` and `clip_top5`, accuracies of single clips, either the central clip of each
  record or, as published, several random clips of each; `video_top1` and `video_top5`, accuracies
  of the mean softmax over evenly spaced clips of a record. If clips have several labels, as in
  AudioSet, classifiers use one sigmoid per class, and the metrics are `clip_map`, `clip_auc`,
  `clip_d_prime` and, for the mean sigmoid, `video_map` etc.; see `multi_label.scores`.

  Attributes:
    folds: pairs of training and test selections; None uses the subsets `train1` and `test1`,
      `train2` and `test2` ... or, if there are none, the splits `train` and `test`.
    num_frames: frames of a clip; None uses the number of pretraining.
    frame_size: height and width of the frames, in pixels; None uses the size of pretraining.
    augmentation: random augmentation of training clips; None takes the centre of the frames.
    batch_size: clips of a training step and of a test batch.
    clips_per_video: clips of each record per epoch.
    num_epochs: number of epochs.
    optimizer: creates a Keras optimiser, such as `tf.keras.optimizers.SGD`; called with
      `learning_rate`.
    learning_rate: initial learning rate.
    milestone_epochs: epochs, counted from 0, at whose start the learning rate is multiplied by
      `factor`.
    factor: multiplier of the learning rate at `milestone_epochs`.
    windows_per_video: clips of each record for `video_top1` and `video_top5`.
    random_clips_per_video: random clips of each record for `clip_top1` and `clip_top5`, classified
      separately; None uses the central clip.
    seed: seed of all random numbers.
  """

  folds: Optional[Sequence[Sequence[str]]] = None
  num_frames: Optional[int] = None
  frame_size: Optional[int] = None
  augmentation: Optional[Augmentation] = Augmentation()
  batch_size: int = 64
  clips_per_video: int = 1
  num_epochs: int = 16
  optimizer: Callable[..., tf.keras.optimizers.Optimizer] = tf.keras.optimizers.Adam
  learning_rate: float = 1e-4
  milestone_epochs: Sequence[int] = ()
  factor: float = 0.1
  windows_per_video: int = 10
  seed: int = 0
  random_clips_per_video: Optional[int] = added_field(None)

  # Arguments that the callable in a field receives.
  gives: ClassVar = {"optimizer": ("learning_rate",)}

  def __post_init__(self):
    for name in ("batch_size", "clips_per_video", "num_epochs", "windows_per_video"):
      self._require(name, getattr(self, name) >= 1, "1 or more")
    for name in ("num_frames", "frame_size", "random_clips_per_video"):
      self._require(name, getattr(self, name) is None or getattr(self, name) >= 1, "1 or more")
    for name in ("learning_rate", "factor"):
      self._require(name, getattr(self, name) > 0, "more than 0")
    milestones = list(self.milestone_epochs)
    inside = all(0 < epoch < self.num_epochs for epoch in milestones)
    self._require(
      "milestone_epochs",
      inside and milestones == sorted(set(milestones)),
      f"increasing numbers in 1..{self.num_epochs - 1}, since num_epochs is {self.num_epochs}",
    )

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Evaluates each fold that `results` lacks.

    Args:
      encoder: the pretrained network.
      data_dir: folder of the records.
      results: receives the metrics of each fold.
      work_dir: folder for checkpoints; an interrupted fold resumes after its last complete epoch.
      progress: whether to show progress bars or, without a terminal, one line per epoch.

    Raises:
      MissingFileError: there is no data set, or some of its files are missing.
      UserError: network, data and settings are incompatible; the message states the reason.
      FloatingPointError: a loss or a weight became NaN or infinite.
    """
    self.check(encoder)
    clip = video_classifier.frames_of(encoder.clip, self.num_frames, self.frame_size)
    info = DatasetInfo.load(data_dir)
    if keys.VIDEO not in info.modalities:
      raise UserError(f"The records in {data_dir!r} contain audio, but no video to classify.")
    several = multi_label.has_several_labels(info)
    folds = folds_lib.find(info, self.folds)
    for fold in folds:
      folds_lib.check_labelled(info, data_dir, fold)
      self._batches(data_dir, fold, clip, 0)  # Fails early if no batch can be built.
    for fold in folds:
      if results.get(fold.name) is not None:
        continue
      folder = os.path.join(work_dir, fold.name)
      tf.keras.utils.set_random_seed(self.seed)
      model = self.make(encoder, clip, len(info.label_names))
      model(tf.zeros([1, clip.num_frames, clip.frame_size, clip.frame_size, 3], tf.uint8))
      steps_per_epoch = info.num_clips(fold.train) * self.clips_per_video // self.batch_size
      classifier_training.train(
        model,
        lambda first_step, fold=fold: self._batches(data_dir, fold, clip, first_step),
        steps_per_epoch,
        self.phases(model, steps_per_epoch),
        folder,
        {**results.settings, "fold": dataclasses.asdict(fold)},
        fold.name,
        progress,
        **({"examples": _all_labels_of_frames} if several else {}),
      )
      results.put(fold.name, self._test(model, data_dir, fold, clip, progress, several))
      classifier_training.delete(folder)

  def check(self, encoder: Encoder) -> None:
    """Raises a `UserError` for a network that this protocol cannot evaluate.

    Args:
      encoder: the network.
    """

  @abc.abstractmethod
  def make(self, encoder: Encoder, clip: ClipSpec, num_classes: int) -> tf.keras.Model:
    """Creates a model with `classifiers`, like those of `video_classifier`.

    Args:
      encoder: the pretrained network.
      clip: specification of the clips to classify.
      num_classes: number of classes.

    Returns:
      The model.
    """

  def phases(self, model: tf.keras.Model, steps_per_epoch: int) -> list[Phase]:
    """Training phases of the model; by default all weights are trained for `num_epochs`.

    Args:
      model: the model from `make`.
      steps_per_epoch: training steps of an epoch.

    Returns:
      The phases in order.
    """
    del model
    schedule = classifier_training.step_decay(
      self.learning_rate, self.factor, self.milestone_epochs, steps_per_epoch
    )
    return [Phase(self.num_epochs, self.optimizer(learning_rate=schedule))]

  def _batches(
    self, data_dir: str, fold: folds_lib.Fold, clip: ClipSpec, first_step: int
  ) -> tf.data.Dataset:
    return datasets.training_dataset(
      data_dir,
      fold.train,
      clip,
      self.augmentation,
      self.batch_size,
      self.seed,
      first_step=first_step,
      sampling="shuffle",
      all_labels=multi_label.has_several_labels(DatasetInfo.load(data_dir)),
    )

  def _test(
    self,
    model: tf.keras.Model,
    data_dir: str,
    fold: folds_lib.Fold,
    clip: ClipSpec,
    progress: bool,
    several: bool,
  ) -> dict[str, float]:
    """The metrics of a fold, prefixed by the classifier's name if there are several."""
    title = f"{fold.name}: testing" if progress else None
    metrics = {}
    chosen = self.random_clips_per_video
    kinds = (
      ("clip", chosen or 1, None if chosen is None else self.seed),
      ("video", self.windows_per_video, None),
    )
    for kind, num_windows, random_seed in kinds:
      measure = clip_scores.multi_label_scores if several else clip_scores.accuracies
      found = measure(
        model, data_dir, fold.test, clip, num_windows, self.batch_size, title, random_seed
      )
      for name, scores in found.items():
        prefix = f"{name}_{kind}" if len(found) > 1 else kind
        values = scores if several else {"top1": scores.top1, "top5": scores.top5}
        metrics.update({f"{prefix}_{key}": value for key, value in values.items()})
    return metrics

  def _require(self, name: str, holds: bool, expected: str) -> None:
    if not holds:
      raise UserError(
        f"{type(self).__name__}.{name} is {getattr(self, name)}; expected {expected}."
      )
