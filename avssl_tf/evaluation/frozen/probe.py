"""The probe of a run: what frozen features and embeddings are worth."""

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
from avssl_tf.evaluation.frozen.knn import KNN
from avssl_tf.evaluation.frozen.linear_probe import LinearProbe
from avssl_tf.evaluation.frozen.retrieval import Retrieval
from avssl_tf.foreign_text import printable
from avssl_tf.inference import features as features_lib
from avssl_tf.models import av_model


@gin.register
@dataclasses.dataclass(frozen=True)
class Probe:
  """Measures a frozen model by kNN, a linear classifier and retrieval across modalities.

  Choose settings of a run with `train_split="train[:3584]"` and
  `test_split="train[3584:]"`, and keep the test split for the end.

  Attributes:
    data_dir: folder of other records than those of the run to measure on, such as data whose
      sounds belong to their pictures; None: those of the run.
    train_split: split, or slice of one, that classifiers learn from.
    test_split: split, or slice of one, that is classified and searched.
    windows_per_clip: evenly spaced windows of a clip whose features are averaged.
    batch_size: windows that go through the model at a time.
    gallery_size: retrieval searches so many clips of the test split at most (see `Retrieval`).
    num_neighbors: neighbours that vote in kNN.
    knn_temperature: temperature of their votes; None for plain votes.
    c_grid: inverse penalties that the linear classifier chooses from, on
      held-out training rows.
  """

  data_dir: Optional[Union[str, DemoData]] = None
  train_split: str = "train"
  test_split: str = "test"
  windows_per_clip: int = 1
  batch_size: int = 64
  gallery_size: int = 1000
  num_neighbors: int = 20
  knn_temperature: Optional[float] = 0.07
  c_grid: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0)

  def __call__(
    self,
    model: av_model.AudioVisualModel,
    data_dir: str,
    clip: datasets.ClipSpec,
    progress: bool = False,
  ) -> dict[str, float]:
    """Extracts features of both splits and measures them.

    Args:
      model: the model, with its variables built. See `features.extract` for
        models of a distribution strategy.
      data_dir: folder of the records, unless the probe has its own.
      clip: the windows that the model sees.
      progress: whether to show progress bars.

    Returns:
      Shares in 0..1: `probe/linear_{video,audio}` (top 1),
      `probe/linear_{video,audio}_top5`, `probe/knn_{video,audio}`,
      `probe/retrieval_{audio_to_video,video_to_audio}_r{1,5,10}` and their
      mean over both directions, `probe/retrieval_r{1,5,10}`. What needs labels
      is left out, and a message logged, where the data has none.
    """

    data_dir = data_dir if self.data_dir is None else os.fspath(self.data_dir)

    def extract(split: str) -> features_lib.Features:
      dataset = datasets.evaluation_dataset(
        data_dir, split, clip, self.batch_size, windows_per_clip=self.windows_per_clip
      )
      title = f"features of {split}" if progress else None
      return features_lib.extract(model, dataset, self.windows_per_clip, title)

    test = extract(self.test_split)
    result = {}
    if (test.labels >= 0).any():
      result.update(self.classification_scores(extract(self.train_split), test))
    else:
      logging.info(
        "kNN and linear accuracy are left out: split %r of %s has no labels.",
        self.test_split,
        data_dir,
      )
    result.update(self.retrieval_scores(test, DatasetInfo.load(data_dir).is_shuffled))
    return result

  def classification_scores(
    self, train: features_lib.Features, test: features_lib.Features
  ) -> dict[str, float]:
    """kNN and linear accuracy over the clips with a label, or {} where that is not possible."""
    train_known, test_known = train.labels >= 0, test.labels >= 0
    if len(np.unique(train.labels[train_known])) < 2 or not test_known.any():
      logging.info(
        "kNN and linear accuracy are left out: they need labelled clips of two classes or more in "
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
    """Recalls of retrieval across modalities; `is_shuffled`: as of `Retrieval.scores`."""
    retrieval = Retrieval(gallery_size=self.gallery_size)
    found = retrieval.scores(test, self.test_split, is_shuffled)
    return {f"probe/{name}": value for name, value in found.items()}


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
  """Lays out the results of several models side by side, shares in percent.

  >>> print(table({"untrained": {"probe/knn_video": 0.1}, "trained": {"probe/knn_video": 0.78}}))
  %          untrained  trained
  knn_video       10.0     78.0

  Args:
    columns: by the name of a column, results as `Probe` returns them. A value
      that a column does not have shows as "-".

  Returns:
    Lines of text; rows in the order in which the columns first name them.
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
