"""What to compare maps of sound sources with: maps of no content, and the truth.

A map that is positive everywhere finds many sources of real data sets, whose boxes are large; see
Juanola, Haro, Fuentes, "A Critical Assessment of Visual Sound Source Localization Models Including
Negative Audio", 2024, on what methods do with sounds that belong to nothing in the picture.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from avssl_tf.evaluation.localization import localization_metrics

# The last one knows all of the clip, the others nothing.
NAMES = ALL_ONES, CENTRE, RANDOM, ORACLE = "all ones", "centre", "random", "oracle"
# Standard deviation of the Gaussian at the centre, as a share of the picture's sides.
_CENTRE_STD = 0.25
# What the distance across all of the picture counts against being at the source.
_FAR = 1e-3


def maps(
  truth: np.ndarray, map_size: tuple[int, int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
  """The maps of all baselines.

  Args:
    truth: float32 `[H, W]` in 0..1, where the source is; 0 everywhere where none is visible.
    map_size: height and width of the maps of the network that is compared.
    rng: source of the random map.

  Returns:
    By the names in `NAMES`, float32 `[H, W]`: the same everywhere; a Gaussian in the middle;
    uniform random numbers at the positions of the network's map, enlarged as that is; and the mean
    of the truth over the part of each position, enlarged likewise: what a network could reach that
    knows all, but has this map.
  """
  height, width = truth.shape
  y, x = ((np.arange(size) + 0.5) / size - 0.5 for size in (height, width))
  squared = np.square(y)[:, np.newaxis] + np.square(x)
  random = rng.random(map_size, np.float32)
  return {
    ALL_ONES: np.ones([height, width], np.float32),
    CENTRE: np.exp(-0.5 * squared / _CENTRE_STD**2).astype(np.float32),
    RANDOM: localization_metrics.enlarge(random, height, width),
    ORACLE: _oracle(truth, map_size),
  }


def _oracle(truth: np.ndarray, map_size: tuple[int, int]) -> np.ndarray:
  if not truth.any():
    return np.zeros_like(truth)
  rows, columns = (
    np.minimum(np.arange(size) * parts // size, parts - 1)
    for size, parts in zip(truth.shape, map_size)
  )
  numbers = rows[:, np.newaxis] * map_size[1] + columns
  cells = ndimage.mean(truth, numbers, np.arange(map_size[0] * map_size[1]))
  known = localization_metrics.enlarge(cells.reshape(map_size), *truth.shape)
  # A share of the pixels may be asked for that is larger than the source: the nearest come first.
  distance = ndimage.distance_transform_edt(truth == 0) / np.hypot(*truth.shape)
  return (known - _FAR * distance).astype(np.float32)


def other_sounds(labels: Sequence[int]) -> np.ndarray:
  """For each clip, another one whose sound does not belong to its picture.

  Args:
    labels: `[B]`, classes; -1 where unknown.

  Returns:
    int `[B]`: the next clip, going round, that has another class, or of which either class is not
    known; -1 where there is none.
  """
  count = len(labels)
  found = np.full(count, -1)
  for number, label in enumerate(labels):
    for step in range(1, count):
      other = (number + step) % count
      if min(label, labels[other]) < 0 or labels[other] != label:
        found[number] = other
        break
  return found
