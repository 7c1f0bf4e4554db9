"""The probe of a run on 360° clips: audio-visual alignment and classification of views."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Optional, Union

import gin
import numpy as np
from absl import logging

from avssl_tf.data.building.demo import DemoData
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.evaluation.alignment import view_features, viewpoint_retrieval
from avssl_tf.evaluation.alignment.binary_alignment import AVCBin, AVSABin
from avssl_tf.evaluation.alignment.view_features import ViewFeatures
from avssl_tf.evaluation.frozen import frozen_features, linear_probe
from avssl_tf.inference.encoder import Encoder
from avssl_tf.models import alignment_model


@gin.register
@dataclasses.dataclass(frozen=True)
class AlignmentProbe:
  """Evaluates a frozen model of 360° clips by the tasks of spatial alignment.

  Attributes:
    data_dir: folder of other 360° records to evaluate on; None uses the records of the run.
    train_split: split, or slice of one, to train classifiers on.
    max_train_clips: maximum number of clips of `train_split` to train classifiers on, selected to
      represent the whole split; None uses all. Each has several views.
    test_split: split, or slice of one, to test them on.
    windows_per_clip: windows of a clip, each with separate viewpoints.
    batch_size: clips per forward pass.
    c_grid: inverse penalties of the linear classifier of views, which selects one of them.
    label_parts: names of the parts of class names such as "disc_orbit"; each part is also
      classified separately.
  """

  data_dir: Optional[Union[str, DemoData]] = None
  train_split: str = "train"
  max_train_clips: Optional[int] = 5000
  test_split: str = "test"
  windows_per_clip: int = 1
  batch_size: int = 16
  c_grid: Sequence[float] = (1e-2, 1e-1)
  label_parts: Sequence[str] = ()

  def __post_init__(self):
    if self.max_train_clips is not None:
      frozen_features.check_counts(self, "max_train_clips")

  def __call__(
    self,
    model: alignment_model.AlignmentModel,
    data_dir: str,
    clip: ClipSpec,
    progress: bool = False,
  ) -> dict[str, float]:
    """Extracts features of the views of both splits and evaluates them.

    Args:
      model: the model, with its variables built.
      data_dir: folder of the records; ignored if the probe has its own `data_dir`.
      clip: specification of the model's input views.
      progress: whether to show progress bars.

    Returns:
      Fractions in 0..1: `probe/viewpoint_retrieval...` (see `ViewpointRetrieval`);
      `probe/avsa_bin_1`, `probe/avsa_bin_{K}`, `probe/avc_bin_1` and `probe/avc_bin_{K}`, with
      translation; if views have labels, `probe/linear_video` and `probe/linear_audio`, and the
      same for each part of the class names. If `max_train_clips` excludes clips,
      `probe/num_train_clips` is the number of clips that classifiers were trained on.
    """
    data_dir = data_dir if self.data_dir is None else os.fspath(self.data_dir)
    info = DatasetInfo.load(data_dir)
    encoder = Encoder.of_model(model, clip, model.sample_rate_hz, info.num_channels)
    view_features.check(encoder, info, data_dir)
    train, test = (
      view_features.extract(
        encoder,
        data_dir,
        split,
        self.windows_per_clip,
        self.batch_size,
        True,
        progress,
        max_clips=max_clips,
      )
      for split, max_clips in ((self.train_split, self.max_train_clips), (self.test_split, None))
    )
    result = viewpoint_retrieval.scores(encoder, test)
    for task in (AVSABin, AVCBin):
      if task is AVCBin and min(len(train), len(test)) < 2:
        logging.info("AVC-Bin is skipped: it pairs each clip with the audio of another clip.")
        continue
      protocol = task(without_translation=False)
      result.update(protocol.scores(encoder, train, test))
    result.update(self._linear(train, test, info.label_names))
    num_train_clips = len(train) // self.windows_per_clip
    if num_train_clips < info.num_clips(self.train_split):
      result["num_train_clips"] = num_train_clips
    return {f"probe/{name}": value for name, value in result.items()}

  def _linear(
    self, train: ViewFeatures, test: ViewFeatures, label_names: Sequence[str]
  ) -> dict[str, float]:
    """Accuracies of linear classifiers of the labelled views."""
    parts = {"": np.arange(len(label_names))}
    if self.label_parts:
      split = [name.split("_") for name in label_names]
      if any(len(found) != len(self.label_parts) for found in split):
        raise UserError(
          f"AlignmentProbe.label_parts is {tuple(self.label_parts)}; expected one name for each "
          f"part of the class names, such as {label_names[0]!r}."
        )
      for name, values in zip(self.label_parts, zip(*split)):
        parts[f"_{name}"] = np.unique(values, return_inverse=True)[1]
    known = [part.labels >= 0 for part in (train, test)]
    result = {}
    for name, classes in parts.items():
      for modality in ("video", "audio"):
        features = [getattr(part, modality)[k] for part, k in zip((train, test), known)]
        labels = [classes[part.labels[k]] for part, k in zip((train, test), known)]
        if len(np.unique(labels[0])) < 2 or not len(labels[1]):
          continue
        found = linear_probe.linear_probe(
          features[0], labels[0], features[1], labels[1], c_grid=self.c_grid
        )
        result[f"linear_{modality}{name}"] = found.top1
    return result
