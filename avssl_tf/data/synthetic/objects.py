"""What moving objects look like: shapes as signed distances, motions, colours, noise.

Lengths are in the units of whoever draws: pixels of a flat picture, or tangents of angles on the
sphere; x to the right, y downwards. Distances are negative inside.
"""

import colorsys
import dataclasses

import numpy as np

from avssl_tf.data.synthetic import planar_scene

_MAX_TILT_RAD = np.deg2rad(50.0)  # of the oscillation's axis against the vertical
_MIN_PULSE = 0.45  # smallest extent of a pulsating object, as a share of the largest
_UNLIT_OPACITY = 0.1
_SHAPE_SCALE = {"disc": 0.95, "triangle": 1.2, "cross": 1.1, "ring": 1.0}


@dataclasses.dataclass(frozen=True)
class Pose:
  """Where an object is in its motion at several times.

  Attributes:
    x, y: float64 `[times]`, from the middle of the motion.
    scale: float64 `[times]`, factor of its size.
    opacity: float64 `[times]`, 0..1.
  """

  x: np.ndarray
  y: np.ndarray
  scale: np.ndarray
  opacity: np.ndarray


@dataclasses.dataclass(frozen=True)
class Motion:
  """The motion of an object, with what is special to this one.

  Attributes:
    scene: kind of motion, its rate and phase.
    amplitude: how far it leads from its middle.
    tilt_rad: of an oscillation's axis against the vertical.
    direction: 1 or -1, which way round an orbit goes.
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
    """Draws what a scene leaves open; amplitudes are uniform in the range of their motion."""
    motion = planar_scene.MOTIONS[scene.motion]
    if motion == "oscillate":
      tilt_rad = rng.uniform(-_MAX_TILT_RAD, _MAX_TILT_RAD)
      return cls(scene, rng.uniform(*oscillation_range), tilt_rad)
    if motion == "orbit":
      amplitude = rng.uniform(*orbit_range)
      return cls(scene, amplitude, direction=1.0 if rng.random() < 0.5 else -1.0)
    return cls(scene)

  def pose(self, time_sec: np.ndarray) -> Pose:
    """Where it is at the times `[times]`."""
    motion = planar_scene.MOTIONS[self.scene.motion]
    cycles = self.scene.cycles(time_sec)
    x, y = np.zeros_like(cycles), np.zeros_like(cycles)
    scale, opacity = np.ones_like(cycles), np.ones_like(cycles)
    if motion == "oscillate":
      # The object is up when the pitch is: the axis never comes near the horizontal.
      displacement = self.amplitude * np.sin(2 * np.pi * cycles)
      x, y = np.sin(self.tilt_rad) * displacement, -np.cos(self.tilt_rad) * displacement
    elif motion == "orbit":
      # The glide starts anew when the object passes the top, whichever way round.
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
  """Distance of points to the edge of a shape around the origin, about so outside of it.

  Args:
    shape: one of `planar_scene.SHAPES`.
    x: coordinates of the points.
    y: likewise; all arguments broadcast.
    radius: nominal radius of the shape.
    angle_rad: its turn.

  Returns:
    float64, of the common shape of the arguments.
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
  """A colour of full value and any hue, float64 `[3]` in 0..1."""
  return np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, 0.75), 1.0))


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
  """Nearly normal noise of unit variance from sums of four bytes.

  Whole numbers, unlike a normal sampler's logarithms, are the same everywhere.
  """
  size = int(np.prod(shape))
  total = np.frombuffer(rng.bytes(4 * size), np.uint8).reshape(4, size).sum(axis=0, dtype=np.int16)
  return ((total - 510) / np.sqrt(4 * (256**2 - 1) / 12)).reshape(shape)
