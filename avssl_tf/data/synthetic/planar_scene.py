"""What the picture and the sound of one planar clip have in common."""

import dataclasses

import numpy as np

# Order matters: class = shape * len(MOTIONS) + motion. `planar_frames` draws
# each of them, `planar_sound` sounds it.
SHAPES = ("disc", "triangle", "cross", "ring")
MOTIONS = ("oscillate", "orbit", "pulse", "blink")
NUM_CLASSES = len(SHAPES) * len(MOTIONS)

CLIP_DURATION_SEC = 1.5
# Part of a cycle for which a blinking object is lit.
BLINK_DUTY = 0.45

_RATE_RANGE_CYCLES = (1.0, 3.2)  # in a clip


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
  """

  shape: int
  motion: int
  rate_hz: float
  phase: float
  size: float

  def cycles(self, time_sec: np.ndarray) -> np.ndarray:
    """Number of cycles of the motion completed at `time_sec`, plus the phase; same shape."""
    return self.rate_hz * time_sec + self.phase


def draw_scene(label: int, rng: np.random.Generator) -> Scene:
  """Draws rate, phase and size of an instance of class `label`."""
  shape, motion = divmod(label, len(MOTIONS))
  return Scene(
    shape=shape,
    motion=motion,
    rate_hz=rng.uniform(*_RATE_RANGE_CYCLES) / CLIP_DURATION_SEC,
    phase=rng.random(),
    size=rng.random(),
  )
