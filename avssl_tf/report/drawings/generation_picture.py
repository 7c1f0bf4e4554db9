"""A picture of generated sound fields: where sound comes from in truth, and as it was generated."""

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avssl_tf.foreign_text import printable
from avssl_tf.report.drawings import panorama_axes

_FRAME_INCHES = (4.2, 2.3)


@dataclasses.dataclass(frozen=True)
class GeneratedClip:
  """A clip as it is drawn.

  Attributes:
    title: name of the clip, and how near the fields are.
    frames: uint8 `[T, H, 2 H, 3]`, equirectangular, some moments of it.
    true_energy: float `[T, h, 2 h]`, of the sound from each direction at these moments.
    generated_energy: likewise, of the generated field.
    sources_rad: float `[T, sources, 2]`, azimuth and elevation of what is known to sound; None
      where nothing is known.
  """

  title: str
  frames: np.ndarray
  true_energy: np.ndarray
  generated_energy: np.ndarray
  sources_rad: Optional[np.ndarray] = None


def draw(clips: Sequence[GeneratedClip]) -> Figure:
  """Draws two rows for each clip, its moments side by side: the true field, the generated one.

  Frames are brighter where sound comes from; circles are where sources are in truth, in both.

  Args:
    clips: at least one, all with as many moments.

  Returns:
    A matplotlib figure; `figure.savefig(path)` saves it.
  """
  count = len(clips[0].frames)
  width, height = _FRAME_INCHES
  size = width * count, 0.3 + 2 * height * len(clips)
  figure = Figure(size, dpi=80, layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.subplots(2 * len(clips), count, squeeze=False)
  for number, clip in enumerate(clips):
    for row, (name, energy) in enumerate(
      (("true", clip.true_energy), ("generated", clip.generated_energy))
    ):
      for moment, axis in enumerate(axes[2 * number + row]):
        known = clip.sources_rad is not None
        places = clip.sources_rad[moment] if known else None
        heard = np.ones(len(places), bool) if known else None
        panorama_axes.draw(axis, clip.frames[moment], energy[moment], places, heard)
        if moment == 0:
          axis.set_ylabel(name, fontsize=9)
          if row == 0:
            axis.set_title(printable(clip.title), fontsize=8, loc="left", parse_math=False)
  return figure
