"""The probe of a run: evaluates frozen features and embeddings during training."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Optional, Union

import gin
import numpy as np
from absl import logging

from avssl_tf.data.building.demo import DemoData
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.evaluation import units
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.evaluation.frozen.knn import KNN
from avssl_tf.evaluation.frozen.linear_probe import LinearProbe
from avssl_tf.evaluation.frozen.retrieval import Retrieval
from avssl_tf.foreign_text import printable
from avssl_tf.inference import features as features_lib
from avssl_tf.models import av_model


@gin.register
@dataclasses.dataclass(frozen=True)
class Probe:
  """Evaluates a frozen model by kNN, a linear classifier and cross-modal retrieval.

  Select the settings of a run with `train_split="train[:3584]"` and `test_split="train[3584:]"`,
  and use the test split only for the final results.

  Attributes:
    data_dir: folder of other records to evaluate on, such as clips with matching audio and video;
      None uses the records of the run.
    train_split: split, or slice of one, to train classifiers on.
    max_train_clips: maximum number of clips of `train_split` to train classifiers on, selected to
      represent the whole split; None uses all. The time of a probe grows with this number.
    test_split: split, or slice of one, to classify and to search.
    windows_per_clip: evenly spaced windows of a clip whose features are averaged.
    batch_size: windows per forward pass.
    gallery_size: maximum number of test clips in retrieval (see `Retrieval`).
    num_neighbors: number of neighbours that vote in kNN.
    knn_temperature: temperature of their votes; None for unweighted votes.
    c_grid: inverse penalties of the linear classifier; one of them is selected on held-out training
      rows.

  Source:
    This project; kNN as in `KNN`.
  """

  data_dir: Optional[Union[str, DemoData]] = None
  train_split: str = "train"
  max_train_clips: Optional[int] = 20000
  test_split: str = "test"
  windows_per_clip: int = 1
  batch_size: int = 64
  gallery_size: int = 1000
  num_neighbors: int = 20
  knn_temperature: Optional[float] = 0.07
  c_grid: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0)

  def __post_init__(self):
    if self.max_train_clips is not None:
      frozen_features.check_counts(self, "max_train_clips")

  def __call__(
    self,
    model: av_model.AudioVisualModel,
    data_dir: str,
    clip: datasets.ClipSpec,
    progress: bool = False,
  ) -> dict[str, float]:
    """Extracts features of both splits and evaluates them.

    Args:
      model: the model, with its variables built. See `features.extract` for models of a
        distribution strategy.
      data_dir: folder of the records; ignored if the probe has its own `data_dir`.
      clip: specification of the model's input clips.
      progress: whether to show progress bars.

    Returns:
      Fractions in 0..1: `probe/linear_{video,audio}` (top 1), `probe/linear_{video,audio}_top5`,
      `probe/knn_{video,audio}`, `probe/retrieval_{audio_to_video,video_to_audio}_r{1,5,10}` and
      their mean over both directions, `probe/retrieval_r{1,5,10}`. Without labels, the accuracies
      are skipped and a message is logged. If `max_train_clips` excludes clips,
      `probe/num_train_clips` is the number of clips that classifiers were trained on.
    """

    data_dir = data_dir if self.data_dir is None else os.fspath(self.data_dir)

    def extract(split: str, max_clips: Optional[int] = None) -> features_lib.Features:
      dataset = datasets.evaluation_dataset(
        data_dir, split, clip, self.batch_size, self.windows_per_clip, max_records=max_clips
      )
      title = f"features of {split}" if progress else None
      return features_lib.extract(model, dataset, self.windows_per_clip, title)

    test = extract(self.test_split)
    result = {}
    info = DatasetInfo.load(data_dir)
    if (test.labels >= 0).any():
      train = extract(self.train_split, self.max_train_clips)
      result.update(self.classification_scores(train, test))
      if result and len(train) < info.num_clips(self.train_split):
        result["probe/num_train_clips"] = len(train)
    else:
      logging.info(
        "kNN and linear accuracy are skipped: split %r of %s has no labels.",
        self.test_split,
        data_dir,
      )
    result.update(self.retrieval_scores(test, info.is_shuffled))
    return result

  def classification_scores(
    self, train: features_lib.Features, test: features_lib.Features
  ) -> dict[str, float]:
    """kNN and linear accuracy over the labelled clips.

    Args:
      train: features of `train_split`.
      test: features of `test_split`.

    Returns:
      Fractions in 0..1, by names that start with `probe/`; {} if there are too few labels.
    """
    train_known, test_known = train.labels >= 0, test.labels >= 0
    if len(np.unique(train.labels[train_known])) < 2 or not test_known.any():
      logging.info(
        "kNN and linear accuracy are skipped: they need labelled clips of two classes or more in "
        "split %r (there are %d labelled clips) and labelled clips in split %r (there are %d).",
        self.train_split,
        train_known.sum(),
        self.test_split,
        test_known.sum(),
      )
      return {}
    protocols = (
      LinearProbe(c_grid=self.c_grid),
      KNN(num_neighbors=self.num_neighbors, temperature=self.knn_temperature),
    )
    return {
      f"probe/{name}": value
      for protocol in protocols
      for name, value in protocol.scores(train, test).items()
    }

  def retrieval_scores(self, test: features_lib.Features, is_shuffled: bool) -> dict[str, float]:
    """Recalls of cross-modal retrieval.

    Args:
      test: features of `test_split`.
      is_shuffled: whether the records are in random order.

    Returns:
      Fractions in 0..1, by names that start with `probe/`.
    """
    retrieval = Retrieval(gallery_size=self.gallery_size)
    found = retrieval.scores(test, self.test_split, is_shuffled)
    return {f"probe/{name}": value for name, value in found.items()}


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
  """Formats the results of several models side by side, with fractions in percent.

  Args:
    columns: results of `Probe` by column name. A missing value is shown as "-".

  Returns:
    Lines of text; rows in the order in which they first occur in the columns.

  Examples:
    >>> print(table({"untrained": {"probe/knn_video": 0.1}, "trained": {"probe/knn_video": 0.78}}))
    %          untrained  trained
    knn_video       10.0     78.0
  """
  metrics = list(dict.fromkeys(metric for column in columns.values() for metric in column))
  names = [printable(units.titled(metric.split("/", 1)[-1], metric)) for metric in metrics]
  first = max([len(name) for name in names] + [len("%")])
  widths = [max(len(name), 7) + 2 for name in columns]
  lines = ["%".ljust(first) + "".join(f"{n:>{w}}" for n, w in zip(columns, widths))]
  for metric, name in zip(metrics, names):
    unit = units.unit_of(metric)
    cells = (unit.text(c[metric]) if metric in c else "-" for c in columns.values())
    lines.append(name.ljust(first) + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths)))
  return "\n".join(lines)
