"""Appearance of moving objects: signed distances of shapes, motions, colours, noise.

Lengths are in the units of the caller: pixels of a flat image, or tangents of angles on the sphere.
x points right, y points down. Distances are negative inside.
"""

import colorsys
import dataclasses

import numpy as np

from avssl_tf.data.synthetic import planar_scene

_MAX_TILT_RAD = np.deg2rad(50.0)  # between the axis of the oscillation and the vertical
_MIN_PULSE = 0.45  # smallest size of a pulsating object, relative to the largest
_UNLIT_OPACITY = 0.1
_SHAPE_SCALE = {"disc": 0.95, "triangle": 1.2, "cross": 1.1, "ring": 1.0}


@dataclasses.dataclass(frozen=True)
class Pose:
  """Position and appearance of an object in its motion at several times.

  Attributes:
    x, y: float64 `[times]`, offset from the centre of the motion.
    scale: float64 `[times]`, factor of the size.
    opacity: float64 `[times]`, 0..1.
  """

  x: np.ndarray
  y: np.ndarray
  scale: np.ndarray
  opacity: np.ndarray


@dataclasses.dataclass(frozen=True)
class Motion:
  """The motion of an object, with its random parameters.

  Attributes:
    scene: kind, rate and phase of the motion.
    amplitude: maximum distance from the centre.
    tilt_rad: angle between the axis of an oscillation and the vertical.
    direction: 1 or -1, direction of an orbit.
  """

  scene: planar_scene.Scene
  amplitude: float = 0.0
  tilt_rad: float = 0.0
  direction: float = 1.0

  @classmethod
  def draw(
    cls,
    scene: planar_scene.Scene,
    oscillation_range: tuple[float, float],
    orbit_range: tuple[float, float],
    rng: np.random.Generator,
  ) -> "Motion":
    """Draws the parameters that a scene leaves open; amplitudes are uniform in their range."""
    motion = planar_scene.MOTIONS[scene.motion]
    if motion == "oscillate":
      tilt_rad = rng.uniform(-_MAX_TILT_RAD, _MAX_TILT_RAD)
      return cls(scene, rng.uniform(*oscillation_range), tilt_rad)
    if motion == "orbit":
      amplitude = rng.uniform(*orbit_range)
      return cls(scene, amplitude, direction=1.0 if rng.random() < 0.5 else -1.0)
    return cls(scene)

  def pose(self, time_sec: np.ndarray) -> Pose:
    """Poses at the times `[times]`."""
    motion = planar_scene.MOTIONS[self.scene.motion]
    cycles = self.scene.cycles(time_sec)
    x, y = np.zeros_like(cycles), np.zeros_like(cycles)
    scale, opacity = np.ones_like(cycles), np.ones_like(cycles)
    if motion == "oscillate":
      # High pitch means a high position: the axis is never close to horizontal.
      displacement = self.amplitude * np.sin(2 * np.pi * cycles)
      x, y = np.sin(self.tilt_rad) * displacement, -np.cos(self.tilt_rad) * displacement
    elif motion == "orbit":
      # The glide restarts whenever the object passes the top, in either direction.
      x = self.direction * self.amplitude * np.sin(2 * np.pi * cycles)
      y = -self.amplitude * np.cos(2 * np.pi * cycles)
    elif motion == "pulse":
      scale = _MIN_PULSE + (1 - _MIN_PULSE) * (0.5 + 0.5 * np.sin(2 * np.pi * cycles))
    else:
      opacity = np.where(cycles % 1.0 < planar_scene.BLINK_DUTY, 1.0, _UNLIT_OPACITY)
    return Pose(x, y, scale, opacity)


def signed_distance(
  shape: str, x: np.ndarray, y: np.ndarray, radius: np.ndarray, angle_rad: np.ndarray
) -> np.ndarray:
  """Distance of points to the edge of a shape around the origin, approximate outside of it.

  Args:
    shape: one of `planar_scene.SHAPES`.
    x: horizontal coordinates of the points.
    y: vertical coordinates of the points; all arguments are broadcast.
    radius: nominal radius of the shape.
    angle_rad: rotation of the shape.

  Returns:
    float64, broadcast shape of the arguments.
  """
  radius = radius * _SHAPE_SCALE[shape]
  cos, sin = np.cos(angle_rad), np.sin(angle_rad)
  if shape == "disc":
    return np.sqrt(x * x + y * y) - radius
  if shape == "ring":
    return np.abs(np.sqrt(x * x + y * y) - 0.77 * radius) - 0.23 * radius
  u, v = cos * x + sin * y, cos * y - sin * x
  if shape == "triangle":
    # Equilateral, `radius` from the centre to a corner: three half-planes.
    side = 0.5 * np.sqrt(3.0) * np.abs(u) + 0.5 * v
    return np.maximum(side, -v) - 0.5 * radius
  u, v = np.abs(u), np.abs(v)
  return np.maximum(np.maximum(u, v) - radius, np.minimum(u, v) - 0.34 * radius)


def bright_colour(rng: np.random.Generator) -> np.ndarray:
  """A random colour of any hue and full value, float64 `[3]` in 0..1."""
  return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, 0.75), 1.0))


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
  """Nearly normal noise of unit variance, as sums of four bytes.

  Integer sums give the same values on all machines, unlike the logarithms of a normal sampler.
  """
  size = int(np.prod(shape))
  total = np.frombuffer(rng.bytes(4 * size), np.uint8).reshape(4, size).sum(axis=0, dtype=np.int16)
  return ((total - 510) / np.sqrt(4 * (256**2 - 1) / 12)).reshape(shape)
