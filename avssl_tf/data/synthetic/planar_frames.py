"""Draws the picture of a planar clip: an object on a drifting, cluttered background.

Coordinates are in pixels, x to the right and y downwards, the origin in the
middle of the frame. Shapes are signed distances (negative inside), turned into
pixel coverage by a ramp one pixel wide, which is what smooths their edges.
Everything is computed in float64 for all frames at once, channels first (long
rows are quicker than rows of three), and rounded to uint8 at the end.
"""

import colorsys
import dataclasses

import numpy as np

from avssl_tf.data.synthetic import planar_scene

FRAME_RATE_HZ = 8.0
NUM_FRAMES = 12
FRAME_SIZE = 40

_RADIUS_RANGE = (5.5, 10.0)
_OSCILLATION_AMPLITUDE = (5.0, 7.5)
_ORBIT_RADIUS = (4.5, 6.5)
_MAX_TILT_RAD = np.deg2rad(50.0)  # of the oscillation's axis against the vertical
_MIN_PULSE = 0.45  # smallest extent of a pulsating object, as a share of the largest
_UNLIT_OPACITY = 0.1
_NUM_DISTRACTORS = 2
_NOISE_STD = 0.03

# What the cues show at full strength. Hues end before they come round to the first.
_CUE_HUES = (0.0, 0.8)
_CUE_OBJECT_SATURATION = 0.75
_CUE_BACKGROUND_SATURATION = 0.9
_CUE_BACKGROUND_VALUE = 0.5
_CUE_PLACE = 0.9  # reached to either side, as a share of the room there is
_CUE_CONTRAST = 0.35  # of the grating against the background's colour
_CUE_PERIOD_RANGE = (12.0, 5.0)  # of the grating; pixels

_SHAPE_SCALE = {"disc": 0.95, "triangle": 1.2, "cross": 1.1, "ring": 1.0}


@dataclasses.dataclass(frozen=True)
class Track:
  """Pose of the object in each frame.

  Attributes:
    x, y: float64 `[12]`, centre in pixels from the middle of the frame.
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
  """Draws the frames of `scene`.

  Args:
    scene: what is shared with the sound.
    rng: source of everything else (colours, position, background, noise).

  Returns:
    frames: uint8 `[12, 40, 40, 3]`, RGB.
    boxes: float32 `[12, 4]`, ymin, xmin, ymax, xmax in 0..1, tight around the
      visible part of the object. An unlit blinking object keeps its box: it is
      where the object would be if it were lit.
  """
  time_sec = np.arange(NUM_FRAMES) / FRAME_RATE_HZ
  track = _draw_track(scene, time_sec, rng)
  coverage = _coverage(planar_scene.SHAPES[scene.shape], track)
  image = _background(scene.cues, time_sec, rng)
  for _ in range(_NUM_DISTRACTORS):
    _paint(image, _distractor(time_sec, rng), _bright_colour(rng) * rng.uniform(0.4, 0.9))
  colour = _object_colour(scene.cues, _bright_colour(rng))
  _paint(image, coverage * track.opacity[:, None, None], colour)
  image += _NOISE_STD * _noise(image.shape, rng)
  pixels = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
  return np.ascontiguousarray(pixels.transpose(1, 2, 3, 0)), _boxes(coverage)


def _draw_track(
  scene: planar_scene.Scene, time_sec: np.ndarray, rng: np.random.Generator
) -> Track:
  """Moves the object as `scene` says, around a place drawn so that it stays in view."""
  motion = planar_scene.MOTIONS[scene.motion]
  cycles = scene.cycles(time_sec)
  radius = np.full_like(time_sec, np.interp(scene.size, (0.0, 1.0), _RADIUS_RANGE))
  dx, dy, opacity = np.zeros_like(radius), np.zeros_like(radius), np.ones_like(radius)
  reach = radius[0]
  if motion == "oscillate":
    # The object is up when the pitch is: the axis never comes near the horizontal.
    tilt = rng.uniform(-_MAX_TILT_RAD, _MAX_TILT_RAD)
    amplitude = rng.uniform(*_OSCILLATION_AMPLITUDE)
    displacement = amplitude * np.sin(2 * np.pi * cycles)
    dx, dy = np.sin(tilt) * displacement, -np.cos(tilt) * displacement
    reach += amplitude
  elif motion == "orbit":
    # The glide starts anew when the object passes the top, whichever way round.
    amplitude = rng.uniform(*_ORBIT_RADIUS)
    direction = 1.0 if rng.random() < 0.5 else -1.0
    dx = direction * amplitude * np.sin(2 * np.pi * cycles)
    dy = -amplitude * np.cos(2 * np.pi * cycles)
    reach += amplitude
  elif motion == "pulse":
    radius = radius * (_MIN_PULSE + (1 - _MIN_PULSE) * (0.5 + 0.5 * np.sin(2 * np.pi * cycles)))
  else:
    opacity = np.where(cycles % 1.0 < planar_scene.BLINK_DUTY, 1.0, _UNLIT_OPACITY)
  room = max(FRAME_SIZE / 2 - reach, 2.0)
  start_x, start_y, end_x, end_y = rng.uniform(-room, room, size=4)
  cues, place = scene.cues, _CUE_PLACE * room * (2 * scene.cues.place - 1)
  start_x, end_x = _blend(start_x, place, cues.strength), _blend(end_x, place, cues.strength)
  # A drift of at most a quarter of the way between two places in the room.
  progress = 0.25 * time_sec / planar_scene.CLIP_DURATION_SEC
  spin = rng.uniform(-1.0, 1.0)
  return Track(
    x=start_x + progress * (end_x - start_x) + dx,
    y=start_y + progress * (end_y - start_y) + dy,
    radius=radius,
    angle=rng.uniform(0.0, 2 * np.pi) + spin * time_sec,
    opacity=opacity,
  )


def _pixel_grid() -> np.ndarray:
  """Centres of the pixels along one axis, from the middle of the frame; float64 `[40]`."""
  return np.arange(FRAME_SIZE) - (FRAME_SIZE - 1) / 2


def _coverage(shape: str, track: Track) -> np.ndarray:
  """Share of each pixel that the object covers, float64 `[12, 40, 40]` in 0..1."""
  grid = _pixel_grid()
  x = grid[None, None, :] - track.x[:, None, None]
  y = grid[None, :, None] - track.y[:, None, None]
  radius = track.radius[:, None, None] * _SHAPE_SCALE[shape]
  cos, sin = np.cos(track.angle)[:, None, None], np.sin(track.angle)[:, None, None]
  if shape == "disc":
    distance = np.sqrt(x * x + y * y) - radius
  elif shape == "ring":
    distance = np.abs(np.sqrt(x * x + y * y) - 0.77 * radius) - 0.23 * radius
  else:
    u, v = cos * x + sin * y, cos * y - sin * x
    if shape == "triangle":
      # Equilateral, `radius` from the centre to a corner: three half-planes.
      side = 0.5 * np.sqrt(3.0) * np.abs(u) + 0.5 * v
      distance = np.maximum(side, -v) - 0.5 * radius
    else:
      u, v = np.abs(u), np.abs(v)
      distance = np.maximum(np.maximum(u, v) - radius, np.minimum(u, v) - 0.34 * radius)
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
    # It moves as the last one does: that is random, and shifts no other random number.
    period = np.interp(cues.texture, (0.0, 1.0), _CUE_PERIOD_RANGE)
    contrast = cues.strength * _CUE_CONTRAST
    cue_texture = _grating(contrast, period, np.pi * cues.texture, moving_phase)
    return colour * (1.0 + cue_texture + texture * tint)
  return colour + texture * (tint * colour)


def _grating(contrast: float, period: float, angle: float, phase: np.ndarray) -> np.ndarray:
  """A plane wave at the phases `[12]` in the middle of the frames, float64 `[12, 40, 40]`."""
  grid = _pixel_grid()
  across = (2 * np.pi / period * np.cos(angle) * grid)[None, None, :]
  along = 2 * np.pi / period * np.sin(angle) * grid + phase[:, None]
  along = contrast * np.exp(1j * along)[:, :, None]
  # The sine of a sum, with far fewer sines than pixels.
  return along.imag * np.cos(across) + along.real * np.sin(across)


def _distractor(time_sec: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Coverage of a small silent rectangle that drifts slowly, float64 `[12, 40, 40]`."""
  grid = _pixel_grid()
  half_width, half_height = rng.uniform(0.8, 1.8, size=2)
  x, y = rng.uniform(-0.5 * FRAME_SIZE, 0.5 * FRAME_SIZE, size=2)
  speed_x, speed_y = rng.uniform(-3.0, 3.0, size=2)  # pixels a second
  columns = half_width + 0.5 - np.abs(grid - (x + speed_x * time_sec)[:, None])
  rows = half_height + 0.5 - np.abs(grid - (y + speed_y * time_sec)[:, None])
  return np.clip(rows, 0.0, 1.0)[:, :, None] * np.clip(columns, 0.0, 1.0)[:, None, :]


def _bright_colour(rng: np.random.Generator) -> np.ndarray:
  """A colour of full value and any hue, float64 `[3, 1, 1, 1]` in 0..1."""
  colour = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.0, 0.75), 1.0)
  return np.array(colour).reshape(3, 1, 1, 1)


def _cue_colour(cue: float, saturation: float, value: float) -> np.ndarray:
  """The colour whose hue shows `cue`, float64 `[3, 1, 1, 1]` in 0..1."""
  hue = np.interp(cue, (0.0, 1.0), _CUE_HUES)
  return np.array(colorsys.hsv_to_rgb(hue, saturation, value)).reshape(3, 1, 1, 1)


def _object_colour(cues: planar_scene.Cues, own: np.ndarray) -> np.ndarray:
  """Moves the object's own colour towards the cue's, at full value all the way."""
  colour = _blend(own, _cue_colour(cues.colour, _CUE_OBJECT_SATURATION, 1.0), cues.strength)
  return colour / colour.max()


def _blend(own, cue, strength):
  """`own` at strength 0 (to the last bit), `cue` at 1."""
  return own + strength * (cue - own)


def _paint(image: np.ndarray, opacity: np.ndarray, colour: np.ndarray) -> None:
  """Blends `colour` into `image` `[3, 12, 40, 40]`, in place, by `opacity` `[12, 40, 40]`."""
  image += opacity * (colour - image)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
  """Nearly normal noise of unit variance from sums of four bytes.

  Whole numbers, unlike a normal sampler's logarithms, are the same everywhere.
  """
  size = int(np.prod(shape))
  total = np.frombuffer(rng.bytes(4 * size), np.uint8).reshape(4, size).sum(axis=0, dtype=np.int16)
  return ((total - 510) / np.sqrt(4 * (256**2 - 1) / 12)).reshape(shape)


def _boxes(coverage: np.ndarray) -> np.ndarray:
  """Boxes of the pixels that are at least half covered, float32 `[12, 4]` in 0..1."""
  covered = coverage >= 0.5
  boxes = []
  for axis in (2, 1):  # rows, then columns
    hit = covered.any(axis=axis)
    boxes.append((hit.argmax(axis=1), FRAME_SIZE - hit[:, ::-1].argmax(axis=1)))
  (ymin, ymax), (xmin, xmax) = boxes
  return (np.stack([ymin, xmin, ymax, xmax], axis=1) / FRAME_SIZE).astype(np.float32)
