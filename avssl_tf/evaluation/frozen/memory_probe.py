"""Evaluation of memory banks: purity of positive sets and detection of faulty pairs."""

import dataclasses
from typing import Optional

import gin
import numpy as np
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from avssl_tf.errors import UserError
from avssl_tf.losses import agreement as agreement_lib
from avssl_tf.progress import Bar

_BLOCK_SIZE = 512


def positive_sets(
  video_rows: np.ndarray,
  audio_rows: np.ndarray,
  queries: np.ndarray,
  k: int,
  agreement: str = "consensus",
  progress: Optional[str] = None,
) -> np.ndarray:
  """The `k` videos that agree most with each query; see `losses.agreement.nearest`.

  Args:
    video_rows: float32 `[N, D]`, L2-normalised.
    audio_rows: float32 `[N, D]`, L2-normalised, of the same videos.
    queries: int64 `[Q]`, query rows.
    k: size of a set, less than N.
    agreement: one of `agreement.AGREEMENTS`.
    progress: title of a progress bar (in videos); None shows no bar.

  Returns:
    int32 `[Q, k]`, in order of decreasing agreement.
  """
  video, audio = tf.constant(video_rows), tf.constant(audio_rows)

  # Traced explicitly once per call: TensorFlow warns about functions that retrace at each call.
  search = tf.function(
    lambda queries: agreement_lib.nearest(video, audio, queries, k, agreement), autograph=False
  ).get_concrete_function(tf.TensorSpec([None], tf.int64))
  sets = np.empty((len(queries), k), np.int32)
  shown = progress is not None
  with agreement_lib.full_precision(), Bar(progress, len(sets), "video", shown=shown) as bar:
    for start in range(0, len(sets), _BLOCK_SIZE):
      block = slice(start, start + _BLOCK_SIZE)
      sets[block] = search(tf.constant(queries[block], tf.int64)).numpy()
      bar.update(len(sets[block]))
  return sets


def purity(sets: np.ndarray, queries: np.ndarray, labels: np.ndarray) -> float:
  """Fraction of the members of positive sets that have the class of their query.

  Args:
    sets: int `[Q, k]`, rows of the members.
    queries: int `[Q]`, rows of the queries.
    labels: int `[N]`, -1 where unknown; unlabelled queries and members are ignored.

  Returns:
    A fraction in 0..1.

  Raises:
    UserError: no labelled query has a labelled member.
  """
  own = labels[queries][:, np.newaxis]
  known = (own >= 0) & (labels[sets] >= 0)
  if not known.any():
    raise UserError("The purity of positive sets requires labels, but there are none.")
  return float((labels[sets] == own)[known].mean())


def faulty_positive_auc(cosines: np.ndarray, is_faulty: np.ndarray) -> float:
  """AUC of detecting faulty audio-visual pairs from the cosines in the banks.

  The weights of Robust xID increase with the cosine, so this is also their AUC.

  Args:
    cosines: float `[N]`, cosine similarity of the video and audio rows of each video.
    is_faulty: bool `[N]`; both values must occur.

  Returns:
    Area under the ROC curve in 0..1: the probability that a faulty pair has a smaller cosine than a
    true pair. Chance is 0.5.
  """
  return float(roc_auc_score(is_faulty, -cosines))


@gin.register
@dataclasses.dataclass(frozen=True)
class MemoryProbe:
  """Evaluates memory banks using the labels of their videos.

  Attributes:
    num_positives: size of the positive sets whose purity is computed.
    agreement: agreement measure that defines the sets.
    max_queries: maximum number of queries, evenly spaced among the labelled videos. The run time is
      proportional to this number and to the number of videos.
  """

  num_positives: int = 32
  agreement: str = "consensus"
  max_queries: int = 10000

  def __post_init__(self):
    if self.agreement not in agreement_lib.AGREEMENTS:
      raise UserError(
        f"MemoryProbe.agreement is {self.agreement!r}; expected one of "
        f"{', '.join(agreement_lib.AGREEMENTS)}."
      )
    for name in ("num_positives", "max_queries"):
      if getattr(self, name) < 1:
        raise UserError(f"MemoryProbe.{name} is {getattr(self, name)}; expected 1 or more.")

  def __call__(
    self,
    video_rows: np.ndarray,
    audio_rows: np.ndarray,
    labels: np.ndarray,
    sound_replaced: Optional[np.ndarray] = None,
    progress: bool = False,
  ) -> dict[str, float]:
    """Computes the metrics that the available labels allow.

    Args:
      video_rows: float32 `[N, D]`, L2-normalised.
      audio_rows: float32 `[N, D]`, L2-normalised.
      labels: int `[N]`, classes of the videos, -1 where unknown.
      sound_replaced: bool `[N]`, whether a video has the audio of another; None if unknown.
      progress: whether to show a progress bar.

    Returns:
      `purity_k{num_positives}` if there are labels and enough videos, and `faulty_positive_auc` if
      it is known which audio was replaced.
    """
    result = {}
    labelled = np.flatnonzero(labels >= 0)
    if len(labelled) and self.num_positives < len(labels):
      count = min(self.max_queries, len(labelled))
      queries = labelled[np.arange(count) * len(labelled) // count]
      title = "positive sets" if progress else None
      sets = positive_sets(
        video_rows, audio_rows, queries, self.num_positives, self.agreement, title
      )
      result[f"purity_k{self.num_positives}"] = purity(sets, queries, labels)
    if sound_replaced is not None and sound_replaced.any() and not sound_replaced.all():
      cosines = np.einsum("nd,nd->n", video_rows, audio_rows)
      result["faulty_positive_auc"] = faulty_positive_auc(cosines, sound_replaced)
    return result
