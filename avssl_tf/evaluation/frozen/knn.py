"""k-nearest-neighbour classification of frozen features.

The weighted vote follows Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric
Instance Discrimination", CVPR 2018, section 3.4.
"""

import dataclasses
from typing import Optional

import gin
import numpy as np
from sklearn.preprocessing import normalize

from avssl_tf.errors import UserError
from avssl_tf.evaluation.frozen import frozen_features

# Similarities in memory at a time: a few arrays of 128 MiB.
_BLOCK_ELEMENTS = 2**25


@gin.register
@dataclasses.dataclass(frozen=True)
class KNN(frozen_features.FrozenClassification):
  """Evaluates frozen features by a k-nearest-neighbour classifier.

  Metrics: `knn_video` and `knn_audio`, top-1 accuracies in 0..1.

  Attributes:
    num_neighbors: number of neighbours that vote.
    temperature: temperature of their votes; None for unweighted votes.

  Source:
    Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
    CVPR 2018, section 3.4.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.evaluation import KNN
    >>> train = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> test = np.array([[0.8, 0.2], [0.2, 0.8]])
    >>> protocol = KNN(num_neighbors=2)
    >>> protocol.accuracies("video", train, np.array([0, 0, 1, 1]), test, np.array([0, 1]))
    {'knn_video': 1.0}
  """

  num_neighbors: int = 20
  temperature: Optional[float] = 0.07

  def accuracies(
    self, modality, train_features, train_labels, test_features, test_labels
  ) -> dict[str, float]:
    """Top-1 accuracy of `predict`."""
    rows = (train_features, train_labels, test_features, test_labels)
    return {f"knn_{modality}": accuracy(*rows, k=self.num_neighbors, temperature=self.temperature)}


def predict(
  train_features: np.ndarray,
  train_labels: np.ndarray,
  test_features: np.ndarray,
  k: int = 20,
  temperature: Optional[float] = 0.07,
) -> np.ndarray:
  """Predicts a class by a vote among the `k` training rows of largest cosine similarity.

  Similarities are computed for one block of test rows at a time. The block size decreases with the
  number of training rows, so memory does not grow with the product of both.

  Args:
    train_features: float `[N, D]`.
    train_labels: int `[N]`, classes 0..C-1.
    test_features: float `[M, D]`.
    k: number of neighbours; all N rows vote if N < k.
    temperature: a neighbour's vote has the weight exp(cosine / temperature). None counts every vote
      once; classes with the same number of votes are then ordered by their summed similarity.

  Returns:
    int64 `[M]`, the classes.

  Raises:
    UserError: no training rows, shapes that do not match, negative labels, `k` < 1, or a
      temperature that is not positive.
  """
  train_labels = np.asarray(train_labels)
  if len(train_features) == 0 or len(train_features) != len(train_labels):
    raise UserError(
      "kNN needs at least one training row and one label per row, "
      f"got {len(train_features)} rows and {len(train_labels)} labels."
    )
  if train_labels.min() < 0:
    raise UserError("kNN got a negative training label: first remove the rows without a label.")
  if k < 1:
    raise UserError(f"kNN needs k >= 1, got {k}.")
  if temperature is not None and temperature <= 0:
    raise UserError(
      f"kNN needs a temperature above 0, or None for unweighted votes, got {temperature}."
    )
  gallery = normalize(np.asarray(train_features, np.float32))
  queries = normalize(np.asarray(test_features, np.float32))
  k = min(k, len(gallery))
  num_classes = int(train_labels.max()) + 1

  predictions = np.empty(len(queries), np.int64)
  block_size = max(1, _BLOCK_ELEMENTS // len(gallery))
  for start in range(0, len(queries), block_size):
    block = slice(start, start + block_size)
    similarity = queries[block] @ gallery.T
    nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    similarity = np.take_along_axis(similarity, nearest, axis=1)
    if temperature is None:
      # Sums to at most +-1/4 over all k votes: breaks ties, never changes a majority.
      votes = 1 + similarity / (4 * k)
    else:
      # The shift prevents overflow of exp at small temperatures.
      votes = np.exp((similarity - similarity.max(axis=1, keepdims=True)) / temperature)
    scores = np.zeros((len(similarity), num_classes), np.float64)
    np.add.at(scores, (np.arange(len(similarity))[:, None], train_labels[nearest]), votes)
    predictions[block] = scores.argmax(axis=1)
  return predictions


def accuracy(
  train_features: np.ndarray,
  train_labels: np.ndarray,
  test_features: np.ndarray,
  test_labels: np.ndarray,
  k: int = 20,
  temperature: Optional[float] = 0.07,
) -> float:
  """Fraction of test rows, in 0..1, that `predict` classifies correctly; arguments as there."""
  predictions = predict(train_features, train_labels, test_features, k, temperature)
  return float(np.mean(predictions == np.asarray(test_labels)))
