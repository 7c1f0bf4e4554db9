"""Baselines of generated sound fields: methods that ignore the video, and oracles.

Morgado, Vasconcelos, Langlois, Wang, NeurIPS 2018, section 5, compare with the mean field of the
training set and with copies of the mono track.

Each baseline computes a field `[samples, 4]` from a `Clip`. Only oracles use other channels of the
true field than W.
"""

import dataclasses
from typing import ClassVar, Optional

import gin
import numpy as np

from avssl_tf.evaluation.sound_fields import sound_sources


@dataclasses.dataclass(frozen=True)
class Clip:
  """Input of a baseline.

  Attributes:
    field: float32 `[samples, 4]`, the true field, W Y Z X.
    tracks: float32 `[steps, sources, 3]`, as in `sound_sources.compare`.
    sample_rate_hz: sample rate of the field.
    prior: float `[3]`, the mean weights of Y, Z and X in the training set; see `mean_weights`.
  """

  field: np.ndarray
  tracks: np.ndarray
  sample_rate_hz: float
  prior: np.ndarray


@gin.register
@dataclasses.dataclass(frozen=True)
class Silence:
  """W only: Y, Z and X are silent."""

  name: ClassVar[str] = "silence"

  def __call__(self, clip: Clip) -> Optional[np.ndarray]:
    """The field."""
    return _weighted(clip, np.zeros(3))


@gin.register
@dataclasses.dataclass(frozen=True)
class MonoCopied:
  """W in all channels."""

  name: ClassVar[str] = "mono copied"

  def __call__(self, clip: Clip) -> Optional[np.ndarray]:
    """The field."""
    return _weighted(clip, np.ones(3))


@gin.register
@dataclasses.dataclass(frozen=True)
class SpatialPrior:
  """W encoded with the mean direction weights of the training set."""

  name: ClassVar[str] = "spatial prior"

  def __call__(self, clip: Clip) -> Optional[np.ndarray]:
    """The field."""
    return _weighted(clip, clip.prior)


@gin.register
@dataclasses.dataclass(frozen=True)
class OracleVector:
  """W encoded with the best single vector for the clip: upper bound of methods without masks."""

  name: ClassVar[str] = "oracle, one vector"

  def __call__(self, clip: Clip) -> Optional[np.ndarray]:
    """The field."""
    return _weighted(clip, mean_weights(moments(clip.field)))


@gin.register
@dataclasses.dataclass(frozen=True)
class OracleDirections:
  """Each time-frequency bin of W, encoded with the true direction of its source."""

  name: ClassVar[str] = "oracle, directions"

  def __call__(self, clip: Clip) -> Optional[np.ndarray]:
    """The field; None if the sources are unknown."""
    if not clip.tracks.any():
      return None
    return sound_sources.place(clip.field, clip.tracks, clip.sample_rate_hz)


def mean_weights(moments: np.ndarray) -> np.ndarray:
  """Factors of W that approximate Y, Z and X best, in the least-squares sense.

  Args:
    moments: float `[4]`, sums of the products of W with W, Y, Z and X.

  Returns:
    float64 `[3]`; 0 for silence.
  """
  return moments[1:] / moments[0] if moments[0] > 0 else np.zeros(3)


def moments(field: np.ndarray) -> np.ndarray:
  """Sums of the products of W with W, Y, Z and X: float64 `[4]`."""
  field = np.asarray(field, np.float64)
  return field[:, 0] @ field


def _weighted(clip: Clip, weights: np.ndarray) -> np.ndarray:
  pressure = clip.field[:, :1]
  return np.concatenate([pressure, pressure * weights], axis=1)
