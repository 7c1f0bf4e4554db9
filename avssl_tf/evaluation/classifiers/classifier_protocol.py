"""What the protocols that train classifiers of video have in common."""

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
  """Trains classifiers of video on each fold of a data set, and tests them.

  Measured are the accuracy on single clips, `clip_top1` and `clip_top5`: on the one in the middle
  of each record, or the mean over several random ones of each, as published; and that of the mean
  softmax of clips spread evenly over it, `video_top1` and `video_top5`. Where clips have several
  labels, as those of AudioSet, classifiers have a sigmoid for each class, and measured are
  `clip_map`, `clip_auc`, `clip_d_prime` and those of the mean sigmoid, `video_map` and so on; see
  `multi_label.scores`.

  Attributes:
    folds: pairs of what to train and what to test on; None takes the subsets `train1` and
      `test1`, `train2` and `test2` ... or, without such, the splits `train` and `test`.
    num_frames: frames of a clip; None: as many as the network was pretrained on.
    frame_size: height and width of the frames, in pixels; None: as in pretraining.
    augmentation: random changes to training clips; None takes the centre of the frames.
    batch_size: clips of a training step, and those classified at a time.
    clips_per_video: clips of each record in an epoch.
    num_epochs: number of epochs.
    optimizer: makes an optimiser of Keras, such as `tf.keras.optimizers.SGD`; called with
      `learning_rate`.
    learning_rate: rate of the first epochs.
    milestone_epochs: epochs at whose beginning, counted from 0, the rate is multiplied by
      `factor`.
    factor: see there.
    windows_per_video: clips of each record for `video_top1` and `video_top5`.
    random_clips_per_video: random clips of each record for `clip_top1` and `clip_top5`, each of
      them a decision; None takes the one in its middle.
    seed: of everything random.
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

  # Arguments that what a field names is called with.
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
      f"rising numbers in 1..{self.num_epochs - 1}, which num_epochs={self.num_epochs} leaves",
    )

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Measures each fold that `results` does not have.

    Args:
      encoder: the pretrained network.
      data_dir: folder of the records.
      results: where the metrics of each fold go.
      work_dir: folder for checkpoints; a fold that was interrupted goes on after its last epoch.
      progress: whether to show progress bars or, where there is no terminal, a line an epoch.

    Raises:
      MissingFileError: there is no data set, or files of it are missing.
      UserError: network, data and settings do not go together; the message says why.
      FloatingPointError: a loss or a weight became NaN or infinite.
    """
    self.check(encoder)
    clip = video_classifier.frames_of(encoder.clip, self.num_frames, self.frame_size)
    info = DatasetInfo.load(data_dir)
    if keys.VIDEO not in info.modalities:
      raise UserError(f"The records in {data_dir!r} hold sound, but no video to classify.")
    several = multi_label.has_several_labels(info)
    folds = folds_lib.find(info, self.folds)
    for fold in folds:
      folds_lib.check_labelled(info, data_dir, fold)
      self._batches(data_dir, fold, clip, 0)  # Raises an error where there cannot be any.
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
    """Raises a `UserError` for a network that cannot be measured in this way."""

  @abc.abstractmethod
  def make(self, encoder: Encoder, clip: ClipSpec, num_classes: int) -> tf.keras.Model:
    """A new model with `classifiers`, as those of `video_classifier`."""

  def phases(self, model: tf.keras.Model, steps_per_epoch: int) -> list[Phase]:
    """How the model is trained: all of it for `num_epochs`."""
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
    """The metrics of a fold; where there are several classifiers, their names come first."""
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
