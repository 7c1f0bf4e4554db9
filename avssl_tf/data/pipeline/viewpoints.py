"""Viewpoints of 360° clips: where to look, and what is seen and heard there.

Sampling as in Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial
Alignment", NeurIPS 2020, section 4.1, with angles in place of shares of the picture. The sound
field is turned so that the viewing direction is its front.
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
  """Views of a clip; each field is float32 `[K]`, but for `mirrored`, bool `[K]`.

  Attributes:
    azimuth_rad: of the viewing directions.
    elevation_rad: likewise.
    horizontal_fov_rad: angle from the left edge to the right one.
    vertical_fov_rad: angle from the lower edge to the upper one.
    mirrored: whether left and right change places, in picture and sound.
  """

  azimuth_rad: Tensor
  elevation_rad: Tensor
  horizontal_fov_rad: Tensor
  vertical_fov_rad: Tensor
  mirrored: Tensor


@gin.register
@dataclasses.dataclass(frozen=True)
class ViewpointSpec:
  """How the viewpoints of a clip are drawn. The defaults are those of the paper.

  Attributes:
    num_viewpoints: K, views of a clip.
    placement: `"random"` draws directions anywhere in the band of elevations; `"even"` spaces
      them evenly around the circle, turned at random.
    max_elevation_deg: views look up or down by at most this.
    min_separation_deg: smallest angle between two viewing directions.
    azimuth_jitter_deg: under even placement, how far a direction may be from its place.
    horizontal_fov_deg: bounds of the horizontal field of view.
    aspect: bounds of horizontal over vertical field of view, drawn uniformly in its logarithm.
    flip_probability: share of views that are mirrored in training.
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
      # On a parallel, directions are nearer to each other than on the equator.
      across = math.cos(math.radians(self.max_elevation_deg)) * math.sin(math.radians(gap) / 2)
      closest = 2 * math.degrees(math.asin(max(0.0, across)))
      if gap <= 0 or closest < self.min_separation_deg:
        raise UserError(
          f"ViewpointSpec: {self.num_viewpoints} viewpoints in even places, give or take "
          f"{self.azimuth_jitter_deg:g} degrees, come as near to each other as "
          f"{max(closest, 0):.0f} degrees; min_separation_deg is {self.min_separation_deg:g}. "
          "Lower one of the three."
        )
      return
    # Each direction keeps a cap of half the separation for itself; drawn one after the other, caps
    # fill about half of what there is before no place is left.
    half = math.radians(self.min_separation_deg / 2)
    reach = min(math.radians(self.max_elevation_deg) + half, math.pi / 2)
    most = int(0.5 * 2 * math.sin(reach) / max(1 - math.cos(half), 1e-9))
    if self.num_viewpoints > most:
      raise UserError(
        f"ViewpointSpec: {self.num_viewpoints} viewpoints drawn at random, at least "
        f"{self.min_separation_deg:g} degrees apart and within {self.max_elevation_deg:g} degrees "
        f"of the horizon: there is room for {most}. Lower num_viewpoints or min_separation_deg."
      )

  @property
  def num_uniforms(self) -> int:
    """Random numbers that `draw` takes."""
    per_view = 2 * _TRIES if self.placement == "random" else 2
    return 1 + self.num_viewpoints * (per_view + 3)


def draw(spec: ViewpointSpec, uniforms: Tensor, flip: bool = True) -> Viewpoints:
  """Draws the viewpoints of a clip.

  Args:
    spec: how.
    uniforms: float64 `[spec.num_uniforms]`, uniform in [0, 1).
    flip: whether views may be mirrored.

  Returns:
    The viewpoints. Where chance leaves no place far enough from those before, a view takes the
    place that is farthest.
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
  """Viewpoints without chance: around the horizon from the front, of middle sizes."""
  count = spec.num_viewpoints
  azimuth = tf.range(count, dtype=tf.float32) * (2.0 * math.pi / count)
  azimuth = tf.where(azimuth > math.pi, azimuth - 2.0 * math.pi, azimuth)
  fov = tf.fill([count], math.radians(sum(spec.horizontal_fov_deg) / 2))
  vertical = fov / math.sqrt(spec.aspect[0] * spec.aspect[1])
  return Viewpoints(azimuth, tf.zeros([count]), fov, vertical, tf.zeros([count], tf.bool))


def look(frames: Tensor, viewpoints: Viewpoints, size: int) -> Tensor:
  """What is seen from the viewpoints.

  Args:
    frames: uint8 `[T, H, 2H, 3]`, equirectangular.
    viewpoints: K views.
    size: height and width of a view.

  Returns:
    uint8 `[K, T, size, size, 3]`.
  """
  return equirect.viewports(frames, *_rays(viewpoints), size, size)


def classes_in_view(classes: Tensor, viewpoints: Viewpoints, size: int) -> Tensor:
  """Which class is seen at each pixel of the viewpoints.

  Args:
    classes: `[H, 2H]`, of an equirectangular frame, of any dtype.
    viewpoints: K views.
    size: height and width of a view.

  Returns:
    `[K, size, size]` of the dtype of `classes`.
  """
  return equirect.nearest(
    classes, equirect.viewport_directions(*_rays(viewpoints), size, size)
  )


def _rays(viewpoints: Viewpoints) -> tuple[Tensor, Tensor, Tensor, Tensor]:
  """Directions and fields of view; to look with a negative one is to look into a mirror."""
  return (
    viewpoints.azimuth_rad,
    viewpoints.elevation_rad,
    viewpoints.horizontal_fov_rad * _signs(viewpoints),
    viewpoints.vertical_fov_rad,
  )


def listen(waveform: Tensor, viewpoints: Viewpoints, yaw_rad: Optional[Tensor] = None) -> Tensor:
  """What is heard from the viewpoints: the field turned, its front the viewing direction.

  Args:
    waveform: float32 `[samples, channels]`, ambisonics of any order, ACN/SN3D.
    viewpoints: K views.
    yaw_rad: scalar, by which the field is turned to the left before that, so that it is out of
      line with the picture; None leaves it as it is.

  Returns:
    float32 `[K, samples, channels]`.
  """
  towards = directions.rotation(viewpoints.azimuth_rad, viewpoints.elevation_rad)
  turn = tf.linalg.matrix_transpose(towards)
  if yaw_rad is not None:
    turn = turn @ directions.rotation(yaw_rad)
  signs = _signs(viewpoints)
  # Left and right change places after the turn: the same matrix serves both.
  mirror = tf.stack([tf.ones_like(signs), signs, tf.ones_like(signs)], axis=-1)
  return ambisonics.rotate(waveform[tf.newaxis], mirror[..., tf.newaxis] * turn)


def _signs(viewpoints: Viewpoints) -> Tensor:
  """-1 for views that are mirrored, 1 for others: float32 `[K]`."""
  return 1.0 - 2.0 * tf.cast(viewpoints.mirrored, tf.float32)


def labels_in_view(
  viewpoints: Viewpoints, labels: Tensor, azimuth_rad: Tensor, elevation_rad: Tensor
) -> Tensor:
  """What the views show: the class of the object nearest to the centre of each.

  Args:
    viewpoints: K views.
    labels: int64 `[objects]`, classes of the objects of the clip; may be empty.
    azimuth_rad: float32 `[objects]`, where they are.
    elevation_rad: likewise.

  Returns:
    int64 `[K]`, -1 where no object lies within the fields of view.
  """
  vectors = directions.unit_vectors(azimuth_rad, elevation_rad)
  towards = directions.rotation(viewpoints.azimuth_rad, viewpoints.elevation_rad)
  seen = tf.einsum("kij,oi->koj", towards, vectors)  # Turned back, so that the view is in front.
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
  """The first of the candidates that are far enough from those taken before: `[count, 3]`."""
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
