"""Cross-validation folds of a data set."""

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np
from absl import logging

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Fold:
  """Training and test records of a fold.

  Attributes:
    name: name of the fold, such as `"fold1"`.
    train: split, subset or slice to train on.
    test: split, subset or slice to test on.
  """

  name: str
  train: str
  test: str


def find(info: DatasetInfo, folds: Optional[Sequence[Sequence[str]]] = None) -> list[Fold]:
  """The folds of a data set.

  Args:
    info: the description of the data set.
    folds: pairs of training and test selections; None uses the subsets `train1` and `test1`,
      `train2` and `test2` ... or, if there are none, the splits `train` and `test`.

  Returns:
    The folds in order, named `fold1`, `fold2` ...

  Raises:
    UserError: an entry of `folds` is not a pair, or `folds` is empty.
  """
  if folds is None:
    numbers = range(1, len(info.subsets) + 1)
    pairs = [(f"train{n}", f"test{n}") for n in numbers]
    pairs = [pair for pair in pairs if set(pair) <= set(info.subsets)] or [("train", "test")]
  else:
    pairs = [tuple(pair) for pair in folds]
  if not pairs or any(len(pair) != 2 for pair in pairs):
    raise UserError(f'folds is {folds}; expected pairs such as (("train1", "test1"),).')
  return [Fold(f"fold{n}", *pair) for n, pair in enumerate(pairs, start=1)]


def check_labelled(info: DatasetInfo, data_dir: str, fold: Fold) -> None:
  """Checks that a fold has labels to train and test on; logs the number of unlabelled records.

  Args:
    info: the description of the data set.
    data_dir: its folder, for messages.
    fold: the fold.

  Raises:
    UserError: the data set has fewer than two classes or lacks a split, the training split has
      labelled records of fewer than two classes, or the test split has no labelled records.
  """
  if len(info.label_names) < 2:
    raise UserError(
      f"The data set in {data_dir!r} has {len(info.label_names)} classes; expected 2 or more. "
      "Build it from class folders, or from a CSV with a label column."
    )
  for split, needed in ((fold.train, 2), (fold.test, 1)):
    labels = info.records(split).labels
    unknown = int(np.sum(labels < 0))
    found = len(np.unique(labels[labels >= 0]))
    if found < needed:
      raise UserError(
        f"Split {split!r} of {data_dir!r} has {len(labels)} records, {unknown} of them without a "
        f"label, and {found} classes; expected {needed} classes or more."
      )
    if unknown:
      logging.info(
        "%d of the %d records of split %r of %s have no label and are skipped.",
        unknown, len(labels), split, data_dir,
      )
