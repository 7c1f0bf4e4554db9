"""Properties that the video and the audio of a planar clip share."""

import dataclasses

import numpy as np

# Order matters: class = shape * len(MOTIONS) + motion. `planar_frames` renders
# them as video, `planar_sound` as audio.
SHAPES = ("disc", "triangle", "cross", "ring")
MOTIONS = ("oscillate", "orbit", "pulse", "blink")
NUM_CLASSES = len(SHAPES) * len(MOTIONS)
# Class names in the order of their labels, such as "disc_orbit".
CLASS_NAMES = tuple(f"{shape}_{motion}" for shape in SHAPES for motion in MOTIONS)

CLIP_DURATION_SEC = 1.5
# Share of a cycle during which a blinking object is lit.
BLINK_DUTY = 0.45

_RATE_RANGE_CYCLES = (1.0, 3.2)  # per clip


@dataclasses.dataclass(frozen=True)
class Cues:
  """Cues of one clip that both modalities share and that are independent of its class.

  Each cue is a number in 0..1 with a visible and an audible form. The cues are independent of each
  other and of the scene. At strength 0 there are none.

  Attributes:
    strength: 0..1. The visible form moves linearly from the clip's own value to that of the cue;
      the amplitude of the audible form is proportional to the square of the strength.
    background: hue of the background; audible as the pitch of a steady hum.
    colour: hue of the object; audible as the centre frequency of a steady band of noise.
    place: mean horizontal position of the object, within the range that its motion permits; audible
      as the level of a steady hiss, in dB.
    texture: direction and period of a grating in the background; audible as the centre frequency of
      a second, lower band of noise.
  """

  strength: float = 0.0
  background: float = 0.0
  colour: float = 0.0
  place: float = 0.0
  texture: float = 0.0


def draw_cues(strength: float, rng: np.random.Generator) -> Cues:
  """Draws the cues of a clip, uniformly; they are the same at every `strength`."""
  background, colour, place, texture = rng.random(4).tolist()
  return Cues(strength, background, colour, place, texture)


@dataclasses.dataclass(frozen=True)
class Scene:
  """Properties of one clip that both modalities share.

  The class (shape and motion) is what a probe classifies. Rate, phase and size distinguish the
  instances of a class in either modality.

  Attributes:
    shape: index into `SHAPES`; audible as the timbre.
    motion: index into `MOTIONS`; audible as the temporal pattern.
    rate_hz: cycles per second of the motion and of the audio pattern.
    phase: position in the cycle at time 0, in 0..1.
    size: 0..1, from the smallest object (highest pitch) to the largest (lowest pitch).
    cues: further shared properties.
  """

  shape: int
  motion: int
  rate_hz: float
  phase: float
  size: float
  cues: Cues = Cues()

  def cycles(self, time_sec: np.ndarray) -> np.ndarray:
    """Number of completed motion cycles at `time_sec`, plus the phase; same shape."""
    return self.rate_hz * time_sec + self.phase


def draw_scene(label: int, cues: Cues, rng: np.random.Generator) -> Scene:
  """Draws rate, phase and size of an instance of class `label` with `cues`."""
  shape, motion = divmod(label, len(MOTIONS))
  return Scene(
    shape=shape,
    motion=motion,
    rate_hz=rng.uniform(*_RATE_RANGE_CYCLES) / CLIP_DURATION_SEC,
    phase=rng.random(),
    size=rng.random(),
    cues=cues,
  )
