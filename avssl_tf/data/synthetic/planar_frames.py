"""Renders the frames of a planar clip: an object on a drifting, cluttered background.

Coordinates are in pixels, x to the right and y downwards, with the origin at the centre of the
frame. Shapes are signed distances (negative inside), converted to pixel coverage by a ramp one
pixel wide, which antialiases their edges. All frames are computed at once in float64, channels
first (operations on long rows are faster than on rows of three), and rounded to uint8 at the end.
"""

import colorsys
import dataclasses

import numpy as np

from avssl_tf.data.synthetic import objects, planar_scene

FRAME_RATE_HZ = 8.0
NUM_FRAMES = 12
FRAME_SIZE = 40

_RADIUS_RANGE = (5.5, 10.0)
_OSCILLATION_AMPLITUDE = (5.0, 7.5)
_ORBIT_RADIUS = (4.5, 6.5)
_NUM_DISTRACTORS = 2
_NOISE_STD = 0.03

# Visible cues at full strength. The range of hues ends before it returns to the first.
_CUE_HUES = (0.0, 0.8)
_CUE_OBJECT_SATURATION = 0.75
_CUE_BACKGROUND_SATURATION = 0.9
_CUE_BACKGROUND_VALUE = 0.5
_CUE_PLACE = 0.9  # to either side, as a share of the available range
_CUE_CONTRAST = 0.35  # of the grating, relative to the background colour
_CUE_PERIOD_RANGE = (12.0, 5.0)  # of the grating; pixels


@dataclasses.dataclass(frozen=True)
class Track:
  """Pose of the object in each frame.

  Attributes:
    x, y: float64 `[12]`, position in pixels relative to the centre of the frame.
    radius: float64 `[12]`, nominal radius in pixels.
    angle: float64 `[12]`, radians.
    opacity: float64 `[12]`, 0..1.
  """

  x: np.ndarray
  y: np.ndarray
  radius: np.ndarray
  angle: np.ndarray
  opacity: np.ndarray


def render(scene: planar_scene.Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  """Renders the frames of `scene`.

  Args:
    scene: properties shared with the audio.
    rng: source of all other randomness (colours, position, background, noise).

  Returns:
    frames: uint8 `[12, 40, 40, 3]`, RGB.
    boxes: float32 `[12, 4]`, ymin, xmin, ymax, xmax in 0..1, tight around the visible part of the
      object. An unlit blinking object keeps the box that it would have if lit.
  """
  time_sec = np.arange(NUM_FRAMES) / FRAME_RATE_HZ
  track = _draw_track(scene, time_sec, rng)
  coverage = _coverage(planar_scene.SHAPES[scene.shape], track)
  image = _background(scene.cues, time_sec, rng)
  for _ in range(_NUM_DISTRACTORS):
    _paint(image, _distractor(time_sec, rng), _bright_colour(rng) * rng.uniform(0.4, 0.9))
  colour = _object_colour(scene.cues, _bright_colour(rng))
  _paint(image, coverage * track.opacity[:, None, None], colour)
  image += _NOISE_STD * objects.noise(image.shape, rng)
  pixels = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
  return np.ascontiguousarray(pixels.transpose(1, 2, 3, 0)), _boxes(coverage)


def _draw_track(
  scene: planar_scene.Scene, time_sec: np.ndarray, rng: np.random.Generator
) -> Track:
  """Moves the object according to `scene`, around a random position that keeps it visible."""
  radius = np.full_like(time_sec, np.interp(scene.size, (0.0, 1.0), _RADIUS_RANGE))
  motion = objects.Motion.draw(scene, _OSCILLATION_AMPLITUDE, _ORBIT_RADIUS, rng)
  pose = motion.pose(time_sec)
  reach = radius[0] + motion.amplitude
  room = max(FRAME_SIZE / 2 - reach, 2.0)
  start_x, start_y, end_x, end_y = rng.uniform(-room, room, size=4)
  cues, place = scene.cues, _CUE_PLACE * room * (2 * scene.cues.place - 1)
  start_x, end_x = _blend(start_x, place, cues.strength), _blend(end_x, place, cues.strength)
  # A drift of at most a quarter of the way between two positions in the range.
  progress = 0.25 * time_sec / planar_scene.CLIP_DURATION_SEC
  spin = rng.uniform(-1.0, 1.0)
  return Track(
    x=start_x + progress * (end_x - start_x) + pose.x,
    y=start_y + progress * (end_y - start_y) + pose.y,
    radius=radius * pose.scale,
    angle=rng.uniform(0.0, 2 * np.pi) + spin * time_sec,
    opacity=pose.opacity,
  )


def _pixel_grid() -> np.ndarray:
  """Pixel centres along one axis, relative to the centre of the frame; float64 `[40]`."""
  return np.arange(FRAME_SIZE) - (FRAME_SIZE - 1) / 2


def _coverage(shape: str, track: Track) -> np.ndarray:
  """Fraction of each pixel that the object covers, float64 `[12, 40, 40]` in 0..1."""
  grid = _pixel_grid()
  x = grid[None, None, :] - track.x[:, None, None]
  y = grid[None, :, None] - track.y[:, None, None]
  radius, angle = track.radius[:, None, None], track.angle[:, None, None]
  distance = objects.signed_distance(shape, x, y, radius, angle)
  return np.clip(0.5 - distance, 0.0, 1.0)


def _background(
  cues: planar_scene.Cues, time_sec: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
  """A dark colour with two drifting gratings and that of the cue; float64 `[3, 12, 40, 40]`."""
  colour = rng.uniform(0.02, 0.45, size=(3, 1, 1, 1))
  cue_colour = _cue_colour(cues.background, _CUE_BACKGROUND_SATURATION, _CUE_BACKGROUND_VALUE)
  colour = _blend(colour, cue_colour, cues.strength)
  texture = np.zeros((NUM_FRAMES, FRAME_SIZE, FRAME_SIZE))
  for _ in range(2):
    period = rng.uniform(4.0, 16.0)
    angle, phase = rng.uniform(0.0, 2 * np.pi, size=2)
    drift = rng.uniform(-6.0, 6.0)  # rad/s
    moving_phase = drift * time_sec + phase
    texture += _grating(rng.uniform(0.0, 0.2), period, angle, moving_phase)
  tint = rng.uniform(0.2, 1.0, size=(3, 1, 1, 1))
  if cues.strength:
    # It moves with the phase of the last grating, so that it draws no further random numbers.
    period = np.interp(cues.texture, (0.0, 1.0), _CUE_PERIOD_RANGE)
    contrast = cues.strength * _CUE_CONTRAST
    cue_texture = _grating(contrast, period, np.pi * cues.texture, moving_phase)
    return colour * (1.0 + cue_texture + texture * tint)
  return colour + texture * (tint * colour)


def _grating(contrast: float, period: float, angle: float, phase: np.ndarray) -> np.ndarray:
  """A plane wave with the phases `[12]` at the centre of the frames, float64 `[12, 40, 40]`."""
  grid = _pixel_grid()
  across = (2 * np.pi / period * np.cos(angle) * grid)[None, None, :]
  along = 2 * np.pi / period * np.sin(angle) * grid + phase[:, None]
  along = contrast * np.exp(1j * along)[:, :, None]
  # The sine of a sum, from far fewer sines than pixels.
  return along.imag * np.cos(across) + along.real * np.sin(across)


def _distractor(time_sec: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Coverage of a small silent rectangle that drifts slowly, float64 `[12, 40, 40]`."""
  grid = _pixel_grid()
  half_width, half_height = rng.uniform(0.8, 1.8, size=2)
  x, y = rng.uniform(-0.5 * FRAME_SIZE, 0.5 * FRAME_SIZE, size=2)
  speed_x, speed_y = rng.uniform(-3.0, 3.0, size=2)  # pixels per second
  columns = half_width + 0.5 - np.abs(grid - (x + speed_x * time_sec)[:, None])
  rows = half_height + 0.5 - np.abs(grid - (y + speed_y * time_sec)[:, None])
  return np.clip(rows, 0.0, 1.0)[:, :, None] * np.clip(columns, 0.0, 1.0)[:, None, :]


def _bright_colour(rng: np.random.Generator) -> np.ndarray:
  """A random colour of any hue and full value, float64 `[3, 1, 1, 1]` in 0..1."""
  return objects.bright_colour(rng).reshape(3, 1, 1, 1)


def _cue_colour(cue: float, saturation: float, value: float) -> np.ndarray:
  """The colour whose hue encodes `cue`, float64 `[3, 1, 1, 1]` in 0..1."""
  hue = np.interp(cue, (0.0, 1.0), _CUE_HUES)
  return np.array(colorsys.hsv_to_rgb(hue, saturation, value)).reshape(3, 1, 1, 1)


def _object_colour(cues: planar_scene.Cues, own: np.ndarray) -> np.ndarray:
  """Blends the object's own colour with that of the cue, at full value."""
  colour = _blend(own, _cue_colour(cues.colour, _CUE_OBJECT_SATURATION, 1.0), cues.strength)
  return colour / colour.max()


def _blend(own, cue, strength):
  """Interpolates between `own` at strength 0 (exactly) and `cue` at strength 1."""
  return own + strength * (cue - own)


def _paint(image: np.ndarray, opacity: np.ndarray, colour: np.ndarray) -> None:
  """Blends `colour` into `image` `[3, 12, 40, 40]`, in place, by `opacity` `[12, 40, 40]`."""
  image += opacity * (colour - image)


def _boxes(coverage: np.ndarray) -> np.ndarray:
  """Boxes of the pixels that are at least half covered, float32 `[12, 4]` in 0..1."""
  covered = coverage >= 0.5
  boxes = []
  for axis in (2, 1):  # rows, then columns
    hit = covered.any(axis=axis)
    boxes.append((hit.argmax(axis=1), FRAME_SIZE - hit[:, ::-1].argmax(axis=1)))
  (ymin, ymax), (xmin, xmax) = boxes
  return (np.stack([ymin, xmin, ymax, xmax], axis=1) / FRAME_SIZE).astype(np.float32)
