"""A picture of clips with the maps of where a network takes their sound to come from."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from avssl_tf.evaluation.localization import LocalizedClip

_INCHES = 1.7
_BOX_COLOUR = "#00e676"
_OPACITY = 0.55


def draw(clips: Sequence[LocalizedClip], path: str) -> None:
  """Draws a row for each clip: its middle frame, the map over it, and what of it is positive.

  The box of what sounds is drawn over all three; under the row stands the consensus IoU.

  Args:
    clips: at least one.
    path: the picture, with an ending that matplotlib knows.
  """
  titles = ("frame", "similarity to the sound", "taken for the source")
  size = (_INCHES * len(titles) + 0.2, _INCHES * len(clips) + 0.3)
  figure = Figure(figsize=size, layout="constrained")
  FigureCanvasAgg(figure)
  rows = figure.subplots(len(clips), len(titles), squeeze=False)
  for clip, row in zip(clips, rows):
    _draw_frame(row[0], clip)
    for axis, values in zip(row[1:], (clip.heat, clip.positive.astype(np.float32))):
      _draw_frame(axis, clip)
      axis.imshow(values, cmap="turbo", vmin=0, vmax=1, alpha=_OPACITY, extent=(0, 1, 1, 0))
    row[0].set_ylabel(clip.name.rpartition("/")[2].partition("@")[0], fontsize=7)
    row[-1].set_xlabel(f"IoU {clip.ciou:.2f}", fontsize=7)
  for axis, title in zip(rows[0], titles):
    axis.set_title(title, fontsize=8)
  figure.savefig(path, dpi=110)


def _draw_frame(axis: Axes, clip: LocalizedClip) -> None:
  axis.imshow(clip.frame, extent=(0, 1, 1, 0), interpolation="nearest")
  for ymin, xmin, ymax, xmax in clip.boxes:
    axis.add_patch(
      Rectangle(
        (xmin, ymin), xmax - xmin, ymax - ymin, fill=False, edgecolor=_BOX_COLOUR, linewidth=1.5
      )
    )
  axis.set_xticks([])
  axis.set_yticks([])
