"""A figure of clips with the sound-source heat maps of a network."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from avssl_tf.evaluation.localization.localized_clip import LocalizedClip
from avssl_tf.foreign_text import printable

_INCHES = 1.7
_BOX_COLOUR = "#00e676"
_OPACITY = 0.55


def draw(clips: Sequence[LocalizedClip], num_columns: int = 1) -> Figure:
  """Draws for each clip its middle frame, the heat map, and the predicted source region.

  All three show the boxes of the sound source; the consensus IoU is below them.

  Args:
    clips: at least one clip.
    num_columns: number of clips side by side.

  Returns:
    A matplotlib figure.
  """
  titles = ("frame", "similarity to audio", "predicted source")
  num_columns = min(num_columns, len(clips))
  num_rows = math.ceil(len(clips) / num_columns)
  size = ((_INCHES * len(titles) + 0.2) * num_columns, _INCHES * num_rows + 0.3)
  figure = Figure(figsize=size, dpi=110, layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.subplots(num_rows, num_columns * len(titles), squeeze=False)
  rows = axes.reshape(-1, len(titles))
  for clip, row in zip(clips, rows):
    _draw_frame(row[0], clip)
    for axis, values in zip(row[1:], (clip.heat, clip.positive.astype(np.float32))):
      _draw_frame(axis, clip)
      axis.imshow(values, cmap="turbo", vmin=0, vmax=1, alpha=_OPACITY, extent=(0, 1, 1, 0))
    name = clip.name.rpartition("/")[2].partition("@")[0]
    row[0].set_ylabel(printable(name), fontsize=7, parse_math=False)
    if clip.ciou is not None:
      row[-1].set_xlabel(f"IoU {clip.ciou:.2f}", fontsize=7)
  for row in rows[len(clips) :]:
    for axis in row:
      axis.axis("off")
  for axis, title in zip(axes[0], titles * num_columns):
    axis.set_title(title, fontsize=8)
  return figure


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
