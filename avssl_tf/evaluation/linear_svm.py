"""One-vs-rest linear support vector machines with hinge loss, all classes at once.

The objective of class k, with y in {-1, 1} telling its rows from the others, is that of
scikit-learn's `LinearSVC(loss="hinge")`: half of |w|^2 + b^2, plus C times the sum over rows of
max(0, 1 - y (w x + b)). Its dual is maximised by coordinate ascent (Hsieh et al., "A dual
coordinate descent method for large-scale linear SVM", ICML 2008), whose steps are taken here for
all classes at a time and in blocks of rows: products with the features become products of
matrices, and nothing is copied to double precision. On features of many dimensions and classes
that is many times faster than one class after the other.
"""

import dataclasses

import numpy as np

_BLOCK_SIZE = 128  # rows whose steps share the products with the features


@dataclasses.dataclass(frozen=True)
class LinearSVM:
  """Linear classifiers, one a class.

  Attributes:
    classes: int `[K]`, the labels, increasing.
    weights: float32 `[D, K]`.
    bias: float32 `[K]`.
    num_passes: how often the fit went over the rows.
    violation: largest violation of the optimality conditions in the last pass, in units of
      the margin.
  """

  classes: np.ndarray
  weights: np.ndarray
  bias: np.ndarray
  num_passes: int
  violation: float

  def decide(self, features: np.ndarray) -> np.ndarray:
    """Decision values, float32 `[N, K]`, of features, float32 `[N, D]`."""
    return features @ self.weights + self.bias


def fit(
  features: np.ndarray,
  labels: np.ndarray,
  c: float,
  tolerance: float = 0.1,
  max_passes: int = 200,
  seed: int = 0,
) -> LinearSVM:
  """Fits a classifier for each class that the labels have.

  Args:
    features: float32 `[N, D]`.
    labels: int `[N]`, two classes at least.
    c: weight of the hinge loss of a row.
    tolerance: the fit ends once no step of a pass meets a violation of the optimality
      conditions above this; the margin is 1.
    max_passes: most passes over the rows.
    seed: of the order of the rows, which is drawn anew for each pass.

  Raises:
    ValueError: fewer than two classes, features that are not finite, or C not above 0.
  """
  classes, positions = np.unique(labels, return_inverse=True)
  if len(classes) < 2 or len(features) != len(labels):
    raise ValueError(
      f"A support vector machine needs a label a row and two classes or more, got {len(labels)} "
      f"labels of the classes {classes.tolist()} for {len(features)} rows."
    )
  if not c > 0:
    raise ValueError(f"The weight C of the loss is {c}; expected more than 0.")
  if not np.isfinite(features.sum(axis=0)).all():
    raise ValueError("A support vector machine got features that are not finite.")
  targets = np.where(positions[:, None] == np.arange(len(classes)), 1, -1).astype(np.float32)
  weights = np.zeros([features.shape[1], len(classes)], np.float32)
  bias = np.zeros(len(classes), np.float32)
  duals = np.zeros_like(targets)
  rng = np.random.default_rng(seed)
  violation = np.inf
  num_passes = 0
  while num_passes < max_passes and violation > tolerance:
    num_passes += 1
    violation = 0.0
    order = rng.permutation(len(features))
    for begin in range(0, len(order), _BLOCK_SIZE):
      rows = order[begin : begin + _BLOCK_SIZE]
      block = features[rows]
      change, worst = _ascend(
        block @ block.T + 1, block @ weights + bias, targets[rows], duals, rows, c
      )
      weights += block.T @ change
      bias += change.sum(axis=0)
      violation = max(violation, worst)
  return LinearSVM(classes, weights, bias, num_passes, violation)


def _ascend(
  gram: np.ndarray,
  scores: np.ndarray,
  targets: np.ndarray,
  duals: np.ndarray,
  rows: np.ndarray,
  c: float,
) -> tuple[np.ndarray, float]:
  """One step for each row of a block, one after the other.

  Args:
    gram: `[B, B]`, products of the rows, the bias counted in.
    scores: `[B, K]`, their decision values at the start.
    targets: `[B, K]`, -1 or 1.
    duals: `[N, K]`, dual variables of all rows; those of the block change in place.
    rows: numbers of the block's rows among all.
    c: upper bound of a dual variable.

  Returns:
    `[B, K]`, by how much of each row the weights change; the largest violation met.
  """
  change = np.zeros_like(scores)
  worst = 0.0
  for i, (row, target) in enumerate(zip(rows, targets)):
    gradient = target * (scores[i] + gram[i, :i] @ change[:i]) - 1
    old = duals[row]
    # A dual variable at its bound violates nothing where the gradient points outwards.
    stays = ((old <= 0) & (gradient > 0)) | ((old >= c) & (gradient < 0))
    worst = max(worst, float(np.where(stays, 0, np.abs(gradient)).max()))
    new = np.clip(old - gradient / gram[i, i], 0, c)
    change[i] = (new - old) * target
    duals[row] = new
  return change, worst
