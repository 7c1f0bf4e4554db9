"""Renders the equirectangular frames of a clip of the spherical world.

Each object is in the tangent plane of the sphere at the centre of its motion, so that a viewport in
its direction shows it undistorted at any position.
"""

import colorsys

import numpy as np

from avssl_tf.data.synthetic import objects, planar_scene
from avssl_tf.data.synthetic.spherical_scene import SphericalObject, SphericalScene

FRAME_RATE_HZ = 8.0
NUM_FRAMES = 12
HEIGHT, WIDTH = 64, 128

_RADIUS_RANGE = tuple(np.tan(np.deg2rad([12.0, 20.0])))
_PIXEL_RAD = np.pi / HEIGHT
# Pixels with less depth are not covered by the plane of an object.
_MIN_DEPTH = 0.2
# Maximum angular distance from the centre of the motion, including the size of the object.
_REACH_RAD = np.deg2rad(38.0)
_HUE_SPREAD = 0.05  # to either side of the hue of the shape
_NOISE_STD = 0.03
_NUM_WAVES = 3
_CUE_HUES = (0.0, 0.8)
_CUE_SATURATION, _CUE_VALUE = 0.9, 0.5


def render(
  scene: SphericalScene, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Renders the frames of `scene`.

  Args:
    scene: properties shared with the audio.
    rng: source of all other randomness (colours, background, noise).

  Returns:
    frames: uint8 `[12, 64, 128, 3]`, RGB.
    masks: uint8 `[12, 64, 128]`, 1 + class of the object that covers at least half of a pixel, 0
      elsewhere. An unlit blinking object keeps its mask.
  """
  time_sec = np.arange(NUM_FRAMES) / FRAME_RATE_HZ
  image = _background(scene.cues, time_sec, rng)
  masks = np.zeros((NUM_FRAMES, HEIGHT, WIDTH), np.uint8)
  for one in scene.objects:
    angle_rad = rng.uniform(0.0, 2 * np.pi) + rng.uniform(-1.0, 1.0) * time_sec
    columns = _columns_near(one)
    coverage = _coverage(one, time_sec, angle_rad, columns)
    opacity = one.motion.pose(time_sec).opacity[:, None, None]
    part = image[..., columns]
    image[..., columns] = part + (coverage * opacity) * (_colour(one, rng) - part)
    masks[..., columns] = np.where(coverage >= 0.5, 1 + one.label, masks[..., columns])
  image += _NOISE_STD * objects.noise(image.shape, rng)
  pixels = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
  return np.ascontiguousarray(pixels.transpose(1, 2, 3, 0)), masks


def _pixel_vectors() -> np.ndarray:
  """Unit vectors of the pixel centres, float64 `[64, 128, 3]`."""
  azimuth = np.pi * (1.0 - (2.0 * np.arange(WIDTH) + 1.0) / WIDTH)
  elevation = np.pi / 2.0 * (1.0 - (2.0 * np.arange(HEIGHT) + 1.0) / HEIGHT)
  azimuth, elevation = np.meshgrid(azimuth, elevation)
  across = np.cos(elevation)
  return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)], axis=-1)


_PIXELS = _pixel_vectors()


def _columns_near(one: SphericalObject) -> np.ndarray:
  """The columns in which an object may be visible at any time, int64 `[columns]`."""
  azimuth = one.azimuth_rad + 0.5 * one.azimuth_drift
  middle = (0.5 - azimuth / (2 * np.pi)) * WIDTH - 0.5
  # A circle around a direction spans more azimuth at higher elevation, and all azimuths if it
  # contains a pole.
  highest = max(abs(one.elevation_rad), abs(one.elevation_rad + one.elevation_drift))
  half_rad = np.arcsin(min(1.0, np.sin(_REACH_RAD) / np.cos(highest)))
  half_rad += 0.5 * abs(one.azimuth_drift)
  if highest + _REACH_RAD >= np.pi / 2:
    return np.arange(WIDTH)
  half = half_rad / (2 * np.pi) * WIDTH
  return np.arange(np.floor(middle - half), np.ceil(middle + half) + 1).astype(np.int64) % WIDTH


def _coverage(
  one: SphericalObject, time_sec: np.ndarray, angle_rad: np.ndarray, columns: np.ndarray
) -> np.ndarray:
  """Fraction of each pixel of some columns that an object covers, float64 `[12, 64, columns]`."""
  pixels = _PIXELS[:, columns].reshape(-1, 3).T
  depth, right, up = (
    (axis @ pixels).reshape(len(time_sec), HEIGHT, -1) for axis in one.axes(time_sec)
  )
  in_front = depth > _MIN_DEPTH
  depth = np.where(in_front, depth, 1.0)
  pose = one.motion.pose(time_sec)
  distance = objects.signed_distance(
    planar_scene.SHAPES[one.scene.shape],
    right / depth - pose.x[:, None, None],
    -up / depth - pose.y[:, None, None],
    (np.interp(one.scene.size, (0.0, 1.0), _RADIUS_RANGE) * pose.scale)[:, None, None],
    angle_rad[:, None, None],
  )
  return np.where(in_front, np.clip(0.5 - distance / _PIXEL_RAD, 0.0, 1.0), 0.0)


def _colour(one: SphericalObject, rng: np.random.Generator) -> np.ndarray:
  """A bright colour with a hue that is typical of the shape, float64 `[3, 1, 1, 1]`."""
  hue = one.scene.shape / len(planar_scene.SHAPES) + rng.uniform(-_HUE_SPREAD, _HUE_SPREAD)
  colour = colorsys.hsv_to_rgb(hue % 1.0, rng.uniform(0.35, 0.8), rng.uniform(0.8, 1.0))
  return np.array(colour).reshape(3, 1, 1, 1)


def _background(
  cues: planar_scene.Cues, time_sec: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """A dark colour with drifting waves, float64 `[3, 12, 64, 128]`.

  The waves are plane waves in space, so they have no seam on the sphere.
  """
  colour = rng.uniform(0.05, 0.4, size=3)
  hue = np.interp(cues.background, (0.0, 1.0), _CUE_HUES)
  cue = np.array(colorsys.hsv_to_rgb(hue, _CUE_SATURATION, _CUE_VALUE))
  colour = (colour + cues.strength * (cue - colour)).reshape(3, 1, 1, 1)
  texture = np.zeros((NUM_FRAMES, HEIGHT, WIDTH))
  for _ in range(_NUM_WAVES):
    # Radians of phase per unit length, in a random direction.
    length, up, azimuth = rng.uniform((3.0, -1.0, 0.0), (14.0, 1.0, 2 * np.pi))
    across = np.sqrt(1.0 - up * up)
    wave = length * np.array([across * np.cos(azimuth), across * np.sin(azimuth), up])
    phase = rng.uniform(0.0, 2 * np.pi) + rng.uniform(-6.0, 6.0) * time_sec[:, None, None]
    contrast, place = rng.uniform(0.0, 0.2), _PIXELS @ wave
    # The sine of a sum, from far fewer sines than pixels.
    texture += np.sin(phase) * (contrast * np.cos(place))
    texture += np.cos(phase) * (contrast * np.sin(place))
  return colour * (1.0 + texture)
