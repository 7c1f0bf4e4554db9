"""Viewpoints of 360° clips: sampling, and the frames and audio of each viewpoint.

Sampling follows Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial
Alignment", NeurIPS 2020, section 4.1, with angles instead of fractions of the image. The viewing
direction becomes the front of the sound field.
"""

import dataclasses
import math
from typing import NamedTuple, Optional

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.spatial import ambisonics, directions, equirect

PLACEMENTS = ("random", "even")
# Candidates for each viewpoint under random placement.
_TRIES = 16


class Viewpoints(NamedTuple):
  """Viewpoints of a clip; each field is float32 `[K]`, except `mirrored`, bool `[K]`.

  Attributes:
    azimuth_rad: azimuth of the viewing directions.
    elevation_rad: elevation of the viewing directions.
    horizontal_fov_rad: angle from the left edge to the right edge.
    vertical_fov_rad: angle from the lower edge to the upper edge.
    mirrored: whether left and right are exchanged, in video and audio.
  """

  azimuth_rad: Tensor
  elevation_rad: Tensor
  horizontal_fov_rad: Tensor
  vertical_fov_rad: Tensor
  mirrored: Tensor


@gin.register
@dataclasses.dataclass(frozen=True)
class ViewpointSpec:
  """Sampling of the viewpoints of a 360° clip.

  The defaults follow Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial
  Alignment", NeurIPS 2020, section 4.1.

  Attributes:
    num_viewpoints: number K of viewpoints of a clip, at least 1.
    placement: `"random"` draws directions within the elevation limit; `"even"` spaces azimuths
      evenly around the circle, with a random common rotation.
    max_elevation_deg: maximum elevation of a viewing direction, up or down, 0..90 degrees.
    min_separation_deg: minimum angle between two viewing directions, 0..180 degrees.
    azimuth_jitter_deg: for even placement, maximum deviation of each azimuth, 0..180 degrees.
    horizontal_fov_deg: bounds of the horizontal field of view, below 180 degrees.
    aspect: bounds of the log-uniform ratio of horizontal to vertical field of view.
    flip_probability: probability of mirroring a viewpoint in training, 0..1.

  Raises:
    UserError: a value is out of range, or the viewpoints do not fit at the minimum separation.
  """

  num_viewpoints: int = 4
  placement: str = "random"
  max_elevation_deg: float = 30.0
  min_separation_deg: float = 36.0
  azimuth_jitter_deg: float = 0.0
  horizontal_fov_deg: tuple[float, float] = (25.5, 90.0)
  aspect: tuple[float, float] = (3 / 4, 4 / 3)
  flip_probability: float = 0.5

  def __post_init__(self):
    if self.num_viewpoints < 1:
      raise UserError(
        f"ViewpointSpec.num_viewpoints is {self.num_viewpoints}; expected 1 or more."
      )
    if self.placement not in PLACEMENTS:
      raise UserError(
        f"ViewpointSpec.placement is {self.placement!r}; expected one of {', '.join(PLACEMENTS)}."
      )
    bounds = {
      "max_elevation_deg": (0, 90),
      "min_separation_deg": (0, 180),
      "azimuth_jitter_deg": (0, 180),
      "flip_probability": (0, 1),
    }
    for name, (low, high) in bounds.items():
      if not low <= getattr(self, name) <= high:
        raise UserError(
          f"ViewpointSpec.{name} is {getattr(self, name)}; expected {low}..{high}."
        )
    low, high = self.aspect
    if not 0 < low <= high:
      raise UserError(f"ViewpointSpec.aspect is {(low, high)}; expected (low, high), 0 < low.")
    narrow, wide = self.horizontal_fov_deg
    if not 0 < narrow <= wide < 180 or wide / low >= 180:
      raise UserError(
        f"ViewpointSpec.horizontal_fov_deg is {(narrow, wide)} with aspects of {low:g} and more; "
        "expected (low, high) above 0, and both fields of view below 180 degrees."
      )
    self._check_room()

  def _check_room(self) -> None:
    if self.num_viewpoints == 1:
      return
    if self.placement == "even":
      gap = 360 / self.num_viewpoints - 2 * self.azimuth_jitter_deg
      # On a parallel, directions are closer to each other than on the equator.
      across = math.cos(math.radians(self.max_elevation_deg)) * math.sin(math.radians(gap) / 2)
      closest = 2 * math.degrees(math.asin(max(0.0, across)))
      if gap <= 0 or closest < self.min_separation_deg:
        raise UserError(
          f"ViewpointSpec: {self.num_viewpoints} evenly placed viewpoints with "
          f"azimuth_jitter_deg={self.azimuth_jitter_deg:g} can be as close as "
          f"{max(closest, 0):.0f} degrees; min_separation_deg is {self.min_separation_deg:g}. "
          "Lower one of the three."
        )
      return
    # Each direction occupies a spherical cap of half the separation. Caps that are drawn one after
    # the other fill about half of the area before no space is left.
    half = math.radians(self.min_separation_deg / 2)
    reach = min(math.radians(self.max_elevation_deg) + half, math.pi / 2)
    most = int(0.5 * 2 * math.sin(reach) / max(1 - math.cos(half), 1e-9))
    if self.num_viewpoints > most:
      raise UserError(
        f"ViewpointSpec: {self.num_viewpoints} viewpoints drawn at random, at least "
        f"{self.min_separation_deg:g} degrees apart and within {self.max_elevation_deg:g} degrees "
        f"of the horizon, do not fit: the maximum is {most}. Lower num_viewpoints or "
        "min_separation_deg."
      )

  @property
  def num_uniforms(self) -> int:
    """Number of random numbers that `draw` requires."""
    per_view = 2 * _TRIES if self.placement == "random" else 2
    return 1 + self.num_viewpoints * (per_view + 3)


def draw(spec: ViewpointSpec, uniforms: Tensor, flip: bool = True) -> Viewpoints:
  """Draws the viewpoints of a clip.

  Args:
    spec: sampling of the viewpoints.
    uniforms: float64 `[spec.num_uniforms]`, uniform in [0, 1).
    flip: whether viewpoints may be mirrored.

  Returns:
    The viewpoints. If no candidate is far enough from the previous viewpoints, the farthest one is
    used.
  """
  count = spec.num_viewpoints
  uniforms = tf.cast(uniforms, tf.float32)
  views = tf.reshape(uniforms[1 : 1 + 3 * count], [3, count])
  places = uniforms[1 + 3 * count :]
  # Uniform on the sphere within the band.
  max_sine = math.sin(math.radians(spec.max_elevation_deg))
  if spec.placement == "even":
    places = tf.reshape(places, [2, count])
    jitter = math.radians(spec.azimuth_jitter_deg) * (2.0 * places[0] - 1.0)
    turns = (tf.range(count, dtype=tf.float32) / count + uniforms[0]) % 1.0
    azimuth = 2.0 * math.pi * turns - math.pi + jitter
    elevation = tf.asin(max_sine * (2.0 * places[1] - 1.0))
  else:
    places = tf.reshape(places, [2, count * _TRIES])
    candidates = directions.unit_vectors(
      2.0 * math.pi * places[0] - math.pi, tf.asin(max_sine * (2.0 * places[1] - 1.0))
    )
    chosen = _far_apart(candidates, count, math.cos(math.radians(spec.min_separation_deg)))
    azimuth, elevation = directions.angles(chosen)
  narrow, wide = spec.horizontal_fov_deg
  horizontal = tf.constant(math.pi / 180.0) * (narrow + (wide - narrow) * views[0])
  low, high = math.log(spec.aspect[0]), math.log(spec.aspect[1])
  vertical = horizontal / tf.exp(low + (high - low) * views[1])
  mirrored = tf.logical_and(flip, views[2] < spec.flip_probability)
  return Viewpoints(azimuth, elevation, horizontal, vertical, mirrored)


def even(spec: ViewpointSpec) -> Viewpoints:
  """Deterministic viewpoints: evenly spaced on the horizon from the front, mean field of view."""
  count = spec.num_viewpoints
  azimuth = tf.range(count, dtype=tf.float32) * (2.0 * math.pi / count)
  azimuth = tf.where(azimuth > math.pi, azimuth - 2.0 * math.pi, azimuth)
  fov = tf.fill([count], math.radians(sum(spec.horizontal_fov_deg) / 2))
  vertical = fov / math.sqrt(spec.aspect[0] * spec.aspect[1])
  return Viewpoints(azimuth, tf.zeros([count]), fov, vertical, tf.zeros([count], tf.bool))


def look(frames: Tensor, viewpoints: Viewpoints, size: int) -> Tensor:
  """Renders the frames of the viewpoints.

  Args:
    frames: uint8 `[T, H, 2H, 3]`, equirectangular.
    viewpoints: K viewpoints.
    size: height and width of the output in pixels.

  Returns:
    uint8 `[K, T, size, size, 3]`.
  """
  return equirect.viewports(frames, *_rays(viewpoints), size, size)


def classes_in_view(classes: Tensor, viewpoints: Viewpoints, size: int) -> Tensor:
  """Renders a class map from the viewpoints.

  Args:
    classes: `[H, 2H]`, class map of an equirectangular frame, of any dtype.
    viewpoints: K viewpoints.
    size: height and width of the output in pixels.

  Returns:
    `[K, size, size]`, same dtype as `classes`.
  """
  return equirect.nearest(
    classes, equirect.viewport_directions(*_rays(viewpoints), size, size)
  )


def _rays(viewpoints: Viewpoints) -> tuple[Tensor, Tensor, Tensor, Tensor]:
  """Directions and fields of view; a negative field of view mirrors the image."""
  return (
    viewpoints.azimuth_rad,
    viewpoints.elevation_rad,
    viewpoints.horizontal_fov_rad * _signs(viewpoints),
    viewpoints.vertical_fov_rad,
  )


def listen(waveform: Tensor, viewpoints: Viewpoints, yaw_rad: Optional[Tensor] = None) -> Tensor:
  """Rotates the sound field so that each viewing direction becomes its front.

  Args:
    waveform: float32 `[samples, channels]`, ambisonics of any order, ACN/SN3D.
    viewpoints: K viewpoints.
    yaw_rad: scalar, rotates the field to the left first, out of line with the video; None disables
      this.

  Returns:
    float32 `[K, samples, channels]`.
  """
  towards = directions.rotation(viewpoints.azimuth_rad, viewpoints.elevation_rad)
  turn = tf.linalg.matrix_transpose(towards)
  if yaw_rad is not None:
    turn = turn @ directions.rotation(yaw_rad)
  signs = _signs(viewpoints)
  # Mirroring follows the rotation, so one matrix does both.
  mirror = tf.stack([tf.ones_like(signs), signs, tf.ones_like(signs)], axis=-1)
  return ambisonics.rotate(waveform[tf.newaxis], mirror[..., tf.newaxis] * turn)


def _signs(viewpoints: Viewpoints) -> Tensor:
  """float32 `[K]`: -1 for mirrored viewpoints, 1 for the others."""
  return 1.0 - 2.0 * tf.cast(viewpoints.mirrored, tf.float32)


def labels_in_view(
  viewpoints: Viewpoints, labels: Tensor, azimuth_rad: Tensor, elevation_rad: Tensor
) -> Tensor:
  """Class of the object nearest to the centre of each viewpoint.

  Args:
    viewpoints: K viewpoints.
    labels: int64 `[objects]`, classes of the objects of the clip; may be empty.
    azimuth_rad: float32 `[objects]`, azimuth of the objects.
    elevation_rad: float32 `[objects]`, elevation of the objects.

  Returns:
    int64 `[K]`, -1 if no object is within the field of view.
  """
  vectors = directions.unit_vectors(azimuth_rad, elevation_rad)
  towards = directions.rotation(viewpoints.azimuth_rad, viewpoints.elevation_rad)
  seen = tf.einsum("kij,oi->koj", towards, vectors)  # The viewing direction is in front.
  x, y, z = tf.unstack(seen, axis=-1)
  inside = (
    (x > 0)
    & (tf.abs(y) <= x * tf.tan(viewpoints.horizontal_fov_rad / 2)[:, tf.newaxis])
    & (tf.abs(z) <= x * tf.tan(viewpoints.vertical_fov_rad / 2)[:, tf.newaxis])
  )
  closeness = tf.pad(tf.where(inside, x, -2.0), [[0, 0], [0, 1]], constant_values=-1.0)
  labels = tf.concat([labels, tf.constant([-1], tf.int64)], axis=0)
  return tf.gather(labels, tf.argmax(closeness, axis=1))


def _far_apart(candidates: Tensor, count: int, max_cosine: float) -> Tensor:
  """Chooses candidates that are far enough from the previous ones, greedily: `[count, 3]`."""
  chosen = [candidates[0]]
  nearest = tf.linalg.matvec(candidates, chosen[0])
  for _ in range(count - 1):
    fits = nearest <= max_cosine
    place = tf.where(
      tf.reduce_any(fits), tf.argmax(tf.cast(fits, tf.int32)), tf.argmin(nearest)
    )
    chosen.append(candidates[place])
    nearest = tf.maximum(nearest, tf.linalg.matvec(candidates, chosen[-1]))
  return tf.stack(chosen)
