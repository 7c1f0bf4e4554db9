"""Segmentation of the views of 360° clips by a feature pyramid on the frozen video network.

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, section 5.3: from video alone, with the audio of the view, and with translated features of all
views as context.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import Callable, ClassVar, Optional

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import Augmentation, ClipSpec
from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.evaluation.alignment import confusion_matrices, view_features
from avssl_tf.evaluation.classifiers import classifier_training
from avssl_tf.evaluation.classifiers.classifier_training import Phase
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.evaluation.protocol import Protocol, added_field
from avssl_tf.evaluation.results import Results
from avssl_tf.inference.encoder import Encoder
from avssl_tf.keys import AUDIO, MODALITIES, VIDEO, Tensor
from avssl_tf.models.fpn import STAGES, FeaturePyramid
from avssl_tf.progress import Bar

INPUTS = ("visual", "audio", "context")
# Baseline without input: all pixels are assigned to the most frequent class, usually background.
MOST_FREQUENT = "most frequent class"
_CLASSIFIER = "segmentation"


class SegmentationModel(tf.keras.Model):
  """A feature pyramid on a frozen network of 360° clips.

  Attributes:
    classifiers: the pyramid, under the name of its output.
  """

  def __init__(self, encoder: Encoder, pyramid: FeaturePyramid, inputs: str, size: int):
    """Combines the network and the pyramid.

    Args:
      encoder: the frozen network.
      pyramid: predicts the classes of pixels.
      inputs: `"visual"` uses the video, `"audio"` also the audio of the view, and `"context"` also
        the translated features of all views of the clip.
      size: height and width of the masks, in pixels.
    """
    super().__init__()
    self.classifiers = {_CLASSIFIER: pyramid}
    # In a tuple, so that Keras does not track the network, which is not trained.
    self._frozen = (encoder,)
    self._inputs = inputs
    self._size = size

  def call(self, batch: keys.Batch, training: bool = False) -> dict[str, Tensor]:
    """Returns logits of the pixels of all views, float32 `[B * K, size, size, num_classes]`."""
    del training
    (encoder,) = self._frozen
    count = batch[VIDEO].shape[1]
    views = {
      m: tf.reshape(batch[m], tf.concat([[-1], tf.shape(batch[m])[2:]], axis=0))
      for m in MODALITIES
    }
    found = encoder.video_maps(views[VIDEO])
    maps = {name: tf.stop_gradient(value) for name, value in found.items()}
    condition = None
    if self._inputs != "visual":
      features = {
        VIDEO: maps["pooled"],
        AUDIO: tf.stop_gradient(encoder.embed_audio(views[AUDIO])["features"]),
      }
      parts = [features[AUDIO]]
      if self._inputs == "context":
        clips = {
          m: tf.reshape(value, [-1, count, value.shape[-1]]) for m, value in features.items()
        }
        translated = encoder.translate(clips)["translated"]
        parts += [
          tf.reshape(tf.stop_gradient(translated[m]), [-1, translated[m].shape[-1]])
          for m in MODALITIES
        ]
      condition = tf.concat(parts, axis=-1)
    logits = self.classifiers[_CLASSIFIER]({s: maps[s] for s in STAGES}, condition=condition)
    return {_CLASSIFIER: tf.image.resize(logits, [self._size, self._size])}


@gin.register
@dataclasses.dataclass(frozen=True)
class Segmentation(Protocol):
  """Trains and tests a feature pyramid on the segmentation masks of views.

  Metrics: `mean_iou`, intersection over union over all pixels of all test views, averaged over the
  classes that occur, and `pixel_accuracy`, both in 0..1. Pixels of unknown class are ignored. The
  results also contain the baseline that predicts the most frequent class for all pixels.

  Attributes:
    num_classes: number of classes of the masks.
    inputs: inputs to evaluate, each separately: some of `INPUTS`; see `SegmentationModel`.
    train_split: split, or slice of one, to train on.
    test_split: split, or slice of one, to test on.
    pyramid: creates the pyramid; called with `num_classes`.
    augmentation: random augmentation of training clips; None disables it.
    batch_size: clips per step.
    num_epochs: number of epochs.
    optimizer: creates a Keras optimiser; called with `learning_rate`.
    learning_rate: initial learning rate.
    milestone_epochs: epochs, counted from 0, at whose start the learning rate is multiplied by
      `factor`.
    factor: multiplier of the learning rate at `milestone_epochs`.
    seed: seed of all random numbers.
    train_viewpoints: distribution of the views of training clips, drawn again in each epoch; None
      uses that of pretraining.
    test_viewpoints: distribution of the views of test clips, drawn once; None uses that of
      pretraining.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, section 5.3.
  """

  num_classes: int
  inputs: Sequence[str] = INPUTS
  train_split: str = "train"
  test_split: str = "test"
  pyramid: Callable[..., FeaturePyramid] = FeaturePyramid
  augmentation: Optional[Augmentation] = Augmentation()
  batch_size: int = 20
  num_epochs: int = 10
  optimizer: Callable[..., tf.keras.optimizers.Optimizer] = tf.keras.optimizers.Adam
  learning_rate: float = 1e-4
  milestone_epochs: Sequence[int] = (5, 8)
  factor: float = 0.1
  seed: int = 0
  train_viewpoints: Optional[ViewpointSpec] = added_field(None)
  test_viewpoints: Optional[ViewpointSpec] = added_field(None)

  compares_parts: ClassVar[bool] = True  # One part for each of the inputs.
  # Arguments that the callable in a field receives.
  gives: ClassVar = {"pyramid": ("num_classes",), "optimizer": ("learning_rate",)}

  def __post_init__(self):
    frozen_features.check_counts(self, "batch_size", "num_epochs")
    if not self.inputs or not set(self.inputs) <= set(INPUTS):
      raise UserError(
        f"Segmentation.inputs is {tuple(self.inputs)}; expected some of {', '.join(INPUTS)}."
      )
    milestones = list(self.milestone_epochs)
    inside = all(0 < epoch < self.num_epochs for epoch in milestones)
    if not inside or milestones != sorted(set(milestones)):
      raise UserError(
        f"Segmentation.milestone_epochs is {tuple(milestones)}; expected increasing numbers in "
        f"1..{self.num_epochs - 1}, since num_epochs is {self.num_epochs}."
      )

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Trains and tests with each of the inputs that `results` lacks.

    Args:
      encoder: the frozen network of 360° clips.
      data_dir: folder of 360° records with masks.
      results: receives the metrics, under the names of the inputs and `MOST_FREQUENT`.
      work_dir: folder for checkpoints; an interrupted training resumes after its last complete
        epoch.
      progress: whether to show progress bars or, without a terminal, one line per epoch.

    Raises:
      MissingFileError: there is no data set, or some of its files are missing.
      UserError: network, records and settings are incompatible.
      FloatingPointError: a loss or a weight became NaN or infinite.
    """
    info = DatasetInfo.load(data_dir)
    view_features.check(encoder, info, data_dir)
    clip = dataclasses.replace(
      encoder.clip, masks=True, viewpoints=self.train_viewpoints or encoder.clip.viewpoints
    )
    test_clip = dataclasses.replace(
      clip, viewpoints=self.test_viewpoints or encoder.clip.viewpoints
    )
    self._check_masks(data_dir, clip)
    for inputs in self.inputs:
      if results.get(inputs) is not None:
        continue
      folder = os.path.join(work_dir, inputs)
      tf.keras.utils.set_random_seed(self.seed)
      model = SegmentationModel(
        encoder, self.pyramid(num_classes=self.num_classes), inputs, clip.frame_size
      )
      model(self._inputs_of(next(iter(self._batches(data_dir, clip, 0)))))
      steps_per_epoch = info.num_clips(self.train_split) // self.batch_size
      schedule = classifier_training.step_decay(
        self.learning_rate, self.factor, self.milestone_epochs, steps_per_epoch
      )
      classifier_training.train(
        model,
        lambda first_step: self._batches(data_dir, clip, first_step),
        steps_per_epoch,
        [Phase(self.num_epochs, self.optimizer(learning_rate=schedule))],
        folder,
        {**results.settings, "inputs": inputs},
        inputs,
        progress,
        examples=lambda batch: (self._inputs_of(batch), batch[keys.MASK]),
      )
      confusion = self._test(model, data_dir, test_clip, progress)
      results.put(inputs, confusion_matrices.scores(confusion))
      guessed = confusion_matrices.most_frequent(confusion)
      results.put(MOST_FREQUENT, confusion_matrices.scores(guessed))
      classifier_training.delete(folder)

  @staticmethod
  def _inputs_of(batch: keys.Batch) -> keys.Batch:
    return {modality: batch[modality] for modality in MODALITIES}

  def _check_masks(self, data_dir: str, clip: ClipSpec) -> None:
    """Checks in one clip that there are masks, and that their classes are valid."""
    dataset = datasets.evaluation_dataset(data_dir, self.train_split, clip, 1).take(1)
    try:
      (batch,) = dataset
    except tf.errors.InvalidArgumentError as error:
      raise UserError(
        f"The records in {data_dir!r} cannot be read with segmentation masks: {error.message}"
      ) from error
    highest = int(tf.reduce_max(batch[keys.MASK]))
    if highest >= self.num_classes:
      raise UserError(
        f"A mask in {data_dir!r} has the class {highest}; Segmentation.num_classes is "
        f"{self.num_classes}."
      )

  def _batches(self, data_dir: str, clip: ClipSpec, first_step: int) -> tf.data.Dataset:
    return datasets.training_dataset(
      data_dir,
      self.train_split,
      clip,
      self.augmentation,
      self.batch_size,
      self.seed,
      first_step=first_step,
      sampling="shuffle",
    )

  def _test(self, model, data_dir: str, clip: ClipSpec, progress: bool) -> np.ndarray:
    """The confusion matrix over all test views."""
    dataset = datasets.evaluation_dataset(data_dir, self.test_split, clip, self.batch_size)

    @tf.function
    def predict(batch):
      logits = model(self._inputs_of(batch))[_CLASSIFIER]
      return tf.argmax(logits, axis=-1), tf.reshape(batch[keys.MASK], tf.shape(logits)[:-1])

    confusion = np.zeros([self.num_classes, self.num_classes], np.int64)
    for batch in Bar("testing", unit="batch", items=dataset, shown=progress, logged=False):
      predicted, truth = (value.numpy() for value in predict(batch))
      confusion += confusion_matrices.confusion_matrix(truth, predicted, self.num_classes)
    return confusion
