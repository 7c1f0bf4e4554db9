"""What the picture and the sound of one planar clip have in common."""

import dataclasses

import numpy as np

# Order matters: class = shape * len(MOTIONS) + motion. `planar_frames` draws
# each of them, `planar_sound` sounds it.
SHAPES = ("disc", "triangle", "cross", "ring")
MOTIONS = ("oscillate", "orbit", "pulse", "blink")
NUM_CLASSES = len(SHAPES) * len(MOTIONS)
# Names of the classes in the order of their labels, for example "disc_orbit".
CLASS_NAMES = tuple(f"{shape}_{motion}" for shape in SHAPES for motion in MOTIONS)

CLIP_DURATION_SEC = 1.5
# Part of a cycle for which a blinking object is lit.
BLINK_DUTY = 0.45

_RATE_RANGE_CYCLES = (1.0, 3.2)  # in a clip


@dataclasses.dataclass(frozen=True)
class Cues:
  """Marks of one clip that both modalities show and that say nothing of its class.

  Each is a number in 0..1, seen as one thing and heard as another; they are
  independent of each other and of the scene. At strength 0 there are none.

  Attributes:
    strength: 0..1. What is seen moves linearly from the clip's own to the cue's;
      what is heard has an amplitude proportional to the square of the strength.
    background: the background's hue; heard as the pitch of a steady hum.
    colour: the object's hue; heard as the centre of a steady band of noise, its voice.
    place: mean place of the object from left to right, as far as its motion
      leaves room; heard as the level of a steady hiss, in dB.
    texture: direction and period of a grating in the background; heard as the
      centre of a second, lower band of noise.
  """

  strength: float = 0.0
  background: float = 0.0
  colour: float = 0.0
  place: float = 0.0
  texture: float = 0.0


def draw_cues(strength: float, rng: np.random.Generator) -> Cues:
  """Draws the cues of a clip, uniformly; the same ones at every `strength`."""
  background, colour, place, texture = rng.random(4).tolist()
  return Cues(strength, background, colour, place, texture)


@dataclasses.dataclass(frozen=True)
class Scene:
  """The facts of one clip that both modalities show.

  The class (shape and motion) is what a probe looks for; rate, phase and size
  tell apart the instances of a class in either modality.

  Attributes:
    shape: index into `SHAPES`; heard as the timbre.
    motion: index into `MOTIONS`; heard as the temporal pattern.
    rate_hz: cycles of the motion and of the sound's pattern a second.
    phase: position in the cycle at time 0, in 0..1.
    size: 0..1, from the smallest object (highest pitch) to the largest (lowest).
    cues: what else the modalities share.
  """

  shape: int
  motion: int
  rate_hz: float
  phase: float
  size: float
  cues: Cues = Cues()

  def cycles(self, time_sec: np.ndarray) -> np.ndarray:
    """Number of cycles of the motion completed at `time_sec`, plus the phase; same shape."""
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
