"""Base class and helpers of protocols that classify features of frozen networks."""

import abc
import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Optional

import numpy as np

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.data.records.split_names import parse_split
from avssl_tf.errors import UserError
from avssl_tf.evaluation import folds as folds_lib
from avssl_tf.evaluation.frozen import multi_label
from avssl_tf.evaluation.protocol import Protocol
from avssl_tf.evaluation.results import Results
from avssl_tf.inference import features as features_lib
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.features import Features


@dataclasses.dataclass(frozen=True)
class SplitFeatures:
  """Extracts features of selections of a data set; features shared by folds are extracted once.

  Attributes:
    encoder: the network.
    data_dir: folder of the records.
    info: their description.
    modalities: modalities to extract.
    windows_per_clip: evenly spaced windows of a clip whose features are averaged.
    batch_size: windows per forward pass.
    progress: whether to show progress bars.
    all_labels: whether to return all labels of a clip.
  """

  encoder: Encoder
  data_dir: str
  info: DatasetInfo
  modalities: Sequence[str]
  windows_per_clip: int
  batch_size: int
  progress: bool = False
  all_labels: bool = False
  _whole_splits: dict[str, Features] = dataclasses.field(default_factory=dict, init=False)

  def __call__(self, split: str) -> Features:
    """Features of a split, a subset, or a slice of one, in the order of its records.

    For a subset, the features of its whole split are cached and reused by other subsets. This does
    not apply to 360° clips, which have several views per record.
    """
    subset = self.info.subsets.get(parse_split(split)[0])
    if subset is None or self.info.projection is not None:
      return self.extract(split)
    if subset.split not in self._whole_splits:
      self._whole_splits[subset.split] = self.extract(subset.split)
    return self._whole_splits[subset.split].rows(self.info.records(split).numbers)

  def extract(self, split: str, max_records: Optional[int] = None) -> Features:
    """Extracts the features of these records only, without caching.

    Args:
      split: a split, subset or slice.
      max_records: see `datasets.evaluation_dataset`.
    """
    dataset = datasets.evaluation_dataset(
      self.data_dir,
      split,
      self.encoder.clip_of(self.info),
      self.batch_size,
      windows_per_clip=self.windows_per_clip,
      max_records=max_records,
      all_labels=self.all_labels,
    )
    title = f"features of {split}" if self.progress else None
    return features_lib.extract(
      self.encoder, dataset, self.windows_per_clip, title, self.modalities
    )


def check_modalities(
  wanted: Optional[Sequence[str]], encoder: Encoder, info: DatasetInfo, data_dir: str
) -> list[str]:
  """Determines the modalities that a protocol evaluates.

  Args:
    wanted: the requested modalities; None uses all modalities of the records.
    encoder: the network to evaluate.
    info: the description of the data set.
    data_dir: its folder, for messages.

  Raises:
    UserError: no modality or an unknown one is requested, the records lack one, or their audio has
      a different number of channels than the network takes.
  """
  wanted = info.modalities if wanted is None else wanted
  if not wanted or not set(wanted) <= set(keys.MODALITIES):
    raise UserError(f"modalities is {wanted!r}; expected some of {list(keys.MODALITIES)}.")
  missing = [modality for modality in wanted if modality not in info.modalities]
  if missing:
    raise UserError(
      f"The records in {data_dir!r} contain {' and '.join(info.modalities)}, but no {missing[0]}, "
      "which this evaluation requires."
    )
  if keys.AUDIO in wanted and info.num_channels != encoder.num_channels:
    raise UserError(
      f"The audio in {data_dir!r} has {info.num_channels} channels; the network requires "
      f"{encoder.num_channels}. Build the records with --num_channels={encoder.num_channels}, or "
      'evaluate only the video: modalities=("video",).'
    )
  return [modality for modality in keys.MODALITIES if modality in wanted]


def check_counts(protocol, *names: str) -> None:
  """Raises a `UserError` unless these fields of a protocol are 1 or more."""
  for name in names:
    if getattr(protocol, name) < 1:
      raise UserError(
        f"{type(protocol).__name__}.{name} is {getattr(protocol, name)}; expected 1 or more."
      )


@dataclasses.dataclass(frozen=True)
class FrozenClassification(Protocol):
  """Classifies the records of each fold by the pooled features of a frozen network.

  Records without a label are skipped.

  Attributes:
    folds: pairs of training and test selections; None uses the subsets `train1` and `test1`,
      `train2` and `test2` ... or, if there are none, the splits `train` and `test`.
    modalities: `"video"`, `"audio"` or both; None uses all modalities of the records.
    windows_per_clip: evenly spaced windows of a clip whose features are averaged.
    batch_size: windows per forward pass.
  """

  folds: Optional[Sequence[Sequence[str]]] = None
  modalities: Optional[Sequence[str]] = None
  windows_per_clip: int = 1
  batch_size: int = 64

  # Whether to evaluate all labels of a clip if clips have several.
  measures_all_labels: ClassVar[bool] = False

  def __post_init__(self):
    check_counts(self, "windows_per_clip", "batch_size")

  def __call__(
    self, encoder: Encoder, data_dir: str, results: Results, work_dir: str, progress: bool = False
  ) -> None:
    """Evaluates each fold that `results` lacks.

    Args:
      encoder: the frozen network.
      data_dir: folder of the records.
      results: receives the metrics of each fold.
      work_dir: not used, since features stay in memory.
      progress: whether to show progress bars.

    Raises:
      MissingFileError: there is no data set, or some of its files are missing.
      UserError: the data has no labels, lacks folds or modalities, or does not fit the network;
        the message states the reason.
    """
    del work_dir
    info = DatasetInfo.load(data_dir)
    modalities = check_modalities(self.modalities, encoder, info, data_dir)
    folds = folds_lib.find(info, self.folds)
    for fold in folds:
      folds_lib.check_labelled(info, data_dir, fold)
    features = SplitFeatures(
      encoder, data_dir, info, modalities, self.windows_per_clip, self.batch_size, progress,
      all_labels=self.measures_all_labels and multi_label.has_several_labels(info),
    )  # fmt: skip
    for fold in folds:
      if results.get(fold.name) is None:
        results.put(fold.name, self.scores(features(fold.train), features(fold.test)))

  def scores(self, train: Features, test: Features) -> dict[str, float]:
    """Accuracies of each modality over the labelled clips.

    Args:
      train: features to train on, with labelled clips of at least two classes.
      test: features to test on, with at least one labelled clip.

    Returns:
      Fractions in 0..1, by name.
    """
    train, test = train.rows(train.labels >= 0), test.rows(test.labels >= 0)
    result = {}
    for modality in keys.MODALITIES:
      if train.of(modality) is not None:
        result.update(
          self.accuracies(
            modality, train.of(modality), train.labels, test.of(modality), test.labels
          )
        )
    return result

  @abc.abstractmethod
  def accuracies(
    self,
    modality: str,
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
  ) -> dict[str, float]:
    """Accuracies of one modality.

    Args:
      modality: `"video"` or `"audio"`, used in the names.
      train_features: float `[N, D]`.
      train_labels: int `[N]`.
      test_features: float `[M, D]`.
      test_labels: int `[M]`.

    Returns:
      Fractions in 0..1, by name.
    """
