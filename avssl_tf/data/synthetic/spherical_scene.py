"""Properties that the video and the audio of a clip of the spherical world share."""

import dataclasses

import numpy as np

from avssl_tf.data.synthetic import objects, planar_scene

# Amplitudes of the motion around its centre, as tangents of angles.
_OSCILLATION_RANGE = (np.tan(np.deg2rad(11.0)), np.tan(np.deg2rad(15.0)))
_ORBIT_RANGE = (np.tan(np.deg2rad(9.0)), np.tan(np.deg2rad(13.0)))
_MIN_GAP_RAD = np.deg2rad(50.0)  # between neighbours in azimuth, if there is space
_MAX_GAP_SHARE = 0.8  # as a share of even spacing
_MAX_DRIFT_RAD = np.deg2rad(11.0)  # per clip


@dataclasses.dataclass(frozen=True)
class SphericalObject:
  """An object on the sphere.

  Attributes:
    scene: shape, motion, rate, phase and size of the object.
    is_sounding: whether the object emits sound.
    azimuth_rad: azimuth of the centre of its motion at time 0.
    elevation_rad: elevation of the centre of its motion at time 0.
    azimuth_drift: change of that azimuth over the clip, in radians.
    elevation_drift: change of that elevation over the clip, in radians.
    motion: motion around the centre; lengths are tangents of angles.
  """

  scene: planar_scene.Scene
  is_sounding: bool
  azimuth_rad: float
  elevation_rad: float
  azimuth_drift: float
  elevation_drift: float
  motion: objects.Motion

  @property
  def label(self) -> int:
    """Class of the object: shape and motion."""
    return self.scene.shape * len(planar_scene.MOTIONS) + self.scene.motion

  def axes(self, time_sec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre of the motion and the tangent plane at that point.

    Args:
      time_sec: `[times]`.

    Returns:
      Unit vectors float64 `[times, 3]`: towards the centre, to the right of it, and up.
    """
    progress = time_sec / planar_scene.CLIP_DURATION_SEC
    azimuth = self.azimuth_rad + self.azimuth_drift * progress
    elevation = self.elevation_rad + self.elevation_drift * progress
    cos_a, sin_a = np.cos(azimuth), np.sin(azimuth)
    cos_e, sin_e = np.cos(elevation), np.sin(elevation)
    middle = np.stack([cos_e * cos_a, cos_e * sin_a, sin_e], axis=-1)
    right = np.stack([sin_a, -cos_a, np.zeros_like(azimuth)], axis=-1)
    up = np.stack([-sin_e * cos_a, -sin_e * sin_a, cos_e], axis=-1)
    return middle, right, up

  def directions(self, time_sec: np.ndarray) -> np.ndarray:
    """Directions of the object: unit vectors (x, y, z), float64 `[times, 3]`."""
    middle, right, up = self.axes(time_sec)
    pose = self.motion.pose(time_sec)
    vectors = middle + pose.x[:, np.newaxis] * right - pose.y[:, np.newaxis] * up
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class SphericalScene:
  """Properties of one clip that both modalities share.

  Attributes:
    objects: the visible objects, sounding ones first.
    cues: cues of the whole clip in video and audio, without direction; only `background` is used.
  """

  objects: tuple[SphericalObject, ...]
  cues: planar_scene.Cues


def draw_scene(
  num_sounding: int,
  num_silent: int,
  look_alikes: bool,
  max_elevation_rad: float,
  shortcut: float,
  rng: np.random.Generator,
) -> SphericalScene:
  """Draws the objects and cues of a clip.

  Args:
    num_sounding: number of sounding objects, all of different classes.
    num_silent: number of silent objects.
    look_alikes: whether each silent object has the shape of a sounding one and a separate random
      motion; if not, all objects have different shapes.
    max_elevation_rad: maximum elevation of the centres of motion, up or down.
    shortcut: strength of the cues, 0..1.
    rng: source of all randomness.
  """
  if look_alikes:
    labels = _with_look_alikes(num_sounding, num_silent, rng)
  else:
    shapes = rng.permutation(len(planar_scene.SHAPES))[: num_sounding + num_silent]
    motions = rng.integers(len(planar_scene.MOTIONS), size=len(shapes))
    labels = (shapes * len(planar_scene.MOTIONS) + motions).tolist()
  azimuths = _spread_azimuths(len(labels), rng)
  found = []
  for i, (label, azimuth) in enumerate(zip(labels, azimuths)):
    scene = planar_scene.draw_scene(label, planar_scene.Cues(), rng)
    drift, heading = rng.uniform(0.0, _MAX_DRIFT_RAD), rng.uniform(0.0, 2 * np.pi)
    found.append(
      SphericalObject(
        scene=scene,
        is_sounding=i < num_sounding,
        azimuth_rad=azimuth,
        elevation_rad=rng.uniform(-max_elevation_rad, max_elevation_rad),
        azimuth_drift=drift * np.cos(heading),
        elevation_drift=drift * np.sin(heading),
        motion=objects.Motion.draw(scene, _OSCILLATION_RANGE, _ORBIT_RANGE, rng),
      )
    )
  return SphericalScene(tuple(found), planar_scene.draw_cues(shortcut, rng))


def _with_look_alikes(num_sounding: int, num_silent: int, rng: np.random.Generator) -> list[int]:
  labels = rng.permutation(planar_scene.NUM_CLASSES)[:num_sounding].tolist()
  for i in range(num_silent):
    shape = labels[i % num_sounding] // len(planar_scene.MOTIONS)
    motion = int(rng.integers(len(planar_scene.MOTIONS)))
    labels.append(shape * len(planar_scene.MOTIONS) + motion)
  return labels


def _spread_azimuths(count: int, rng: np.random.Generator) -> np.ndarray:
  """Azimuths in random order, with a minimum gap between neighbours on the circle."""
  gap = min(_MIN_GAP_RAD, _MAX_GAP_SHARE * 2 * np.pi / count)
  spare = 2 * np.pi - count * gap
  places = np.sort(rng.random(count)) * spare + gap * np.arange(count)
  places = places + rng.uniform(0.0, 2 * np.pi)
  return rng.permutation((places + np.pi) % (2 * np.pi) - np.pi)
