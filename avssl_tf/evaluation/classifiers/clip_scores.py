"""Accuracy of a clip classifier on single clips, and averaged over several clips per record."""

import dataclasses
from collections.abc import Iterator
from typing import Callable, Optional

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.errors import UserError
from avssl_tf.evaluation.frozen import multi_label
from avssl_tf.keys import Tensor
from avssl_tf.progress import Bar


@dataclasses.dataclass(frozen=True)
class Accuracy:
  """Accuracy of a classifier.

  Attributes:
    top1: fraction of the labelled records, in 0..1, whose class has the highest score.
    top5: fraction, in 0..1, whose class is among the five highest scores.
  """

  top1: float
  top5: float


def accuracies(
  logits: Callable[[Tensor], dict[str, Tensor]],
  data_dir: str,
  split: str,
  clip: ClipSpec,
  num_windows: int,
  batch_size: int,
  progress: Optional[str] = None,
  random_seed: Optional[int] = None,
) -> dict[str, Accuracy]:
  """Classifies the records of a split by the mean softmax over evenly spaced clips of each.

  With `random_seed`, clips are drawn at random positions and classified separately: the accuracy is
  the mean over all clips of all records.

  Args:
    logits: maps uint8 frames `[B, T, H, W, 3]` to the logits `[B, C]` of each classifier, by name.
      C is greater than every label of the split.
    data_dir: folder of the records.
    split: split, subset or slice. Records without a label (-1) are skipped.
    clip: specification of the classifier's input clips.
    num_windows: clips of each record; a single clip is taken from its middle.
    batch_size: clips per forward pass, rounded up to whole records.
    progress: title of a progress bar; None shows no bar.
    random_seed: seed of the positions of random clips; None spaces clips evenly.

  Returns:
    The accuracy of each classifier, by name.

  Raises:
    UserError: no record of the split has a label.
  """
  ranks: dict[str, list[np.ndarray]] = {}
  for labels, scores in _scored(
    logits, data_dir, split, clip, num_windows, batch_size, progress, random_seed, tf.nn.softmax
  ):
    known = labels >= 0
    for name, values in scores.items():
      ranks.setdefault(name, []).append(label_ranks(values[known], labels[known]))
  joined = {name: np.concatenate(parts) for name, parts in ranks.items()}
  if not all(len(part) for part in joined.values()):
    raise UserError(f"No record of split {split!r} of {data_dir!r} has a label to compare with.")
  return {
    name: Accuracy(float(np.mean(part < 1)), float(np.mean(part < 5)))
    for name, part in joined.items()
  }


def multi_label_scores(
  logits: Callable[[Tensor], dict[str, Tensor]],
  data_dir: str,
  split: str,
  clip: ClipSpec,
  num_windows: int,
  batch_size: int,
  progress: Optional[str] = None,
  random_seed: Optional[int] = None,
) -> dict[str, dict[str, float]]:
  """Like `accuracies`, for records with several labels: uses the mean sigmoid over the clips.

  Returns:
    The return value of `multi_label.scores` for each classifier, by name.

  Raises:
    UserError: no class can be evaluated.
  """
  labels: list[np.ndarray] = []
  predicted: dict[str, list[np.ndarray]] = {}
  for truth, scores in _scored(
    logits, data_dir, split, clip, num_windows, batch_size, progress, random_seed, tf.sigmoid
  ):
    known = truth.any(axis=1)
    labels.append(truth[known])
    for name, values in scores.items():
      predicted.setdefault(name, []).append(values[known])
  truth = np.concatenate(labels)
  return {
    name: multi_label.scores(np.concatenate(parts), truth) for name, parts in predicted.items()
  }


def label_ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
  """Number of other classes that score at least as high as the true class.

  Ties and NaN count as errors: a classifier that does not distinguish classes gets no credit.

  Args:
    scores: float `[N, C]`.
    labels: int `[N]`, in 0..C-1.

  Returns:
    int64 `[N]`, in 0..C-1.
  """
  own = np.take_along_axis(scores, labels[:, None], axis=1)
  return np.sum(~(scores < own), axis=1) - 1


def _scored(
  logits, data_dir, split, clip, num_windows, batch_size, progress, random_seed, share
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
  """Yields the labels of records, all of them for `tf.sigmoid`, and scores by classifier.

  `share` converts logits to scores. Scores of the windows of a record are averaged, except for
  random windows, which count as separate records.
  """
  records_per_batch = -(-batch_size // num_windows)
  several = share is tf.sigmoid
  dataset = datasets.evaluation_dataset(
    data_dir,
    split,
    clip,
    records_per_batch * num_windows,
    windows_per_clip=num_windows,
    random_seed=random_seed,
    all_labels=several,
  )
  joint = 1 if random_seed is not None else num_windows  # Clips that are classified together.
  scores = _compiled(logits, joint, dataset.element_spec[keys.VIDEO], share)
  total, shown = int(dataset.cardinality()), progress is not None
  for batch in Bar(progress, total, "batch", items=dataset, shown=shown, logged=False):
    labels = batch[keys.LABELS if several else keys.LABEL].numpy()[::joint]
    yield labels, {name: s.numpy() for name, s in scores(batch[keys.VIDEO]).items()}


def _compiled(logits, num_windows: int, frames: tf.TensorSpec, share):
  """Mean score over the windows of each record, as a graph function with a variable batch size."""

  @tf.function(input_signature=[tf.TensorSpec([None, *frames.shape[1:]], frames.dtype)])
  def scores(frames):
    result = {}
    for name, values in logits(frames).items():
      shares = tf.reshape(share(values), [-1, num_windows, values.shape[-1]])
      result[name] = tf.reduce_mean(shares, axis=1)
    return result

  return scores
