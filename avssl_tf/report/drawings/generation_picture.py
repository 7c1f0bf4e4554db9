"""A figure of true and generated sound fields as energy maps."""

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
  """A clip to draw.

  Attributes:
    title: name of the clip, and the error of the generated field.
    frames: uint8 `[T, H, 2 H, 3]`, equirectangular frames at T times.
    true_energy: float `[T, h, 2 h]`, energy from each direction of the true field.
    generated_energy: same shape, for the generated field.
    sources_rad: float `[T, sources, 2]`, azimuth and elevation of the sound sources; None if
      unknown.
  """

  title: str
  frames: np.ndarray
  true_energy: np.ndarray
  generated_energy: np.ndarray
  sources_rad: Optional[np.ndarray] = None


def draw(clips: Sequence[GeneratedClip]) -> Figure:
  """Draws two rows per clip: frames with the energy of the true field and of the generated one.

  Circles mark the true directions of the sound sources in both rows.

  Args:
    clips: at least one clip; all must have the same number of frames.

  Returns:
    A matplotlib figure.
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
