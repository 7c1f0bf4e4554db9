"""Baselines of sound source localisation: content-independent maps and an oracle.

A map that is positive everywhere finds many sources in real data sets, whose boxes are large. On
the behaviour of localisation methods for audio without a visible source see Juanola, Haro, Fuentes,
"A Critical Assessment of Visual Sound Source Localization Models Including Negative Audio", 2024.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from avssl_tf.evaluation.localization import localization_metrics

# The last one uses the ground truth, the others no information about the clip.
NAMES = ALL_ONES, CENTRE, RANDOM, ORACLE = "all ones", "centre", "random", "oracle"
# Standard deviation of the Gaussian at the centre, as a fraction of the height and width.
_CENTRE_STD = 0.25
# Weight of the distance to the source, relative to the diagonal of the image.
_FAR = 1e-3


def maps(
  truth: np.ndarray, map_size: tuple[int, int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
  """The maps of all baselines.

  Args:
    truth: float32 `[H, W]` in 0..1, ground truth; 0 everywhere without a visible source.
    map_size: height and width of the network's map.
    rng: random number generator of the random map.

  Returns:
    Maps by the names in `NAMES`, float32 `[H, W]`: a constant; a Gaussian at the centre; uniform
    random numbers at the positions of the network's map, enlarged like it; and the oracle, the mean
    ground truth at each position, enlarged in the same way: the best result for this map size.
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
  # If more pixels are positive than the source has, those nearest to it come first.
  distance = ndimage.distance_transform_edt(truth == 0) / np.hypot(*truth.shape)
  return (known - _FAR * distance).astype(np.float32)


def other_sounds(labels: Sequence[int]) -> np.ndarray:
  """Assigns each clip another clip whose audio does not belong to its video.

  Args:
    labels: `[B]`, classes; -1 where unknown.

  Returns:
    int `[B]`: the next clip, cyclically, with another class, or where either class is unknown; -1
    if there is none.
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
