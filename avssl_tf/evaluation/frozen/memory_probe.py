"""What memory banks know: whose neighbours are of its class, and which pairs are faulty."""

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
    queries: int64 `[Q]`, rows whose sets are searched.
    k: size of a set, below N.
    agreement: one of `agreement.AGREEMENTS`.
    progress: title of a progress bar (in videos); None shows none.

  Returns:
    int32 `[Q, k]`, best first.
  """
  video, audio = tf.constant(video_rows), tf.constant(audio_rows)

  # Traced once a call, on purpose: TensorFlow warns of functions that trace at each call.
  search = tf.function(
    lambda queries: agreement_lib.nearest(video, audio, queries, k, agreement)
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
  """Share of the members of positive sets that are of the set's own class.

  Args:
    sets: int `[Q, k]`, rows.
    queries: int `[Q]`, rows that they are the sets of.
    labels: int `[N]`, -1 where unknown; what is unknown has no part in this.

  Returns:
    A share in 0..1.

  Raises:
    UserError: no set has a member of known class.
  """
  own = labels[queries][:, np.newaxis]
  known = (own >= 0) & (labels[sets] >= 0)
  if not known.any():
    raise UserError("The purity of positive sets needs labels, and there are none.")
  return float((labels[sets] == own)[known].mean())


def faulty_positive_auc(cosines: np.ndarray, is_faulty: np.ndarray) -> float:
  """How well the banks tell faulty pairs of picture and sound from true ones.

  Robust xID's weights grow with the cosine, so that this is their AUC too.

  Args:
    cosines: float `[N]`, of the two rows of each video.
    is_faulty: bool `[N]`, both kinds occur.

  Returns:
    Area under the ROC curve in 0..1: the chance that a faulty pair has a smaller cosine than a
    true one. 0.5 is a guess.
  """
  return float(roc_auc_score(is_faulty, -cosines))


@gin.register
@dataclasses.dataclass(frozen=True)
class MemoryProbe:
  """Measures memory banks by what is known of their videos.

  Attributes:
    num_positives: size of the positive sets whose purity is measured.
    agreement: similarity by which they are found.
    max_queries: most videos whose sets are searched; of more, so many that are evenly spaced among
      those with a label. The time grows with this number and that of the videos.
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
    """Measures what can be measured.

    Args:
      video_rows: float32 `[N, D]`, L2-normalised.
      audio_rows: float32 `[N, D]`, L2-normalised.
      labels: int `[N]`, classes of the videos, -1 where unknown.
      sound_replaced: bool `[N]`, whether a video has the sound of another; None: unknown.
      progress: whether to show a progress bar.

    Returns:
      `purity_k{num_positives}` where there are labels and enough videos, and
      `faulty_positive_auc` where some sounds are known to be replaced.
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
