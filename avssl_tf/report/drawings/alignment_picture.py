"""A picture of 360° clips: where is looked, where it sounds, and what a model takes for a pair."""

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avssl_tf.foreign_text import printable
from avssl_tf.report.drawings import panorama_axes
from avssl_tf.spatial import directions, equirect

_COLOURS = colormaps["tab10"].colors
# Points along each side of a view's outline.
_OUTLINE_POINTS = 25
_ROW_INCHES = 2.4
_FRAME_INCHES = 5.0


@dataclasses.dataclass(frozen=True)
class AlignedClip:
  """A clip as it is drawn.

  Attributes:
    title: name of the clip.
    frame: uint8 `[H, 2 H, 3]`, equirectangular.
    energy: float `[h, 2 h]`, of the sound from each direction.
    views: uint8 `[K, h, w, 3]`, cut out of the frame.
    direction_rad: float `[K, 2]`, azimuth and elevation of the views.
    field_of_view_rad: float `[K, 2]`, horizontal and vertical.
    similarity: float `[K, K]`, of each view (row), translated into sound, to the sounds that are
      heard from the views (columns).
    objects_rad: float `[objects, 2]`, azimuth and elevation of what is known to be there.
    is_sounding: bool `[objects]`.
  """

  title: str
  frame: np.ndarray
  energy: np.ndarray
  views: np.ndarray
  direction_rad: np.ndarray
  field_of_view_rad: np.ndarray
  similarity: np.ndarray
  objects_rad: Optional[np.ndarray] = None
  is_sounding: Optional[np.ndarray] = None

  @property
  def matches(self) -> np.ndarray:
    """Number of the sound that is nearest to each view, int `[K]`."""
    return np.argmax(self.similarity, axis=1)


def outline_deg(
  direction_rad: np.ndarray, field_of_view_rad: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The edge of a view on the sphere.

  Args:
    direction_rad: float `[2]`, azimuth and elevation.
    field_of_view_rad: float `[2]`, horizontal and vertical.

  Returns:
    Azimuths and elevations in degrees along the edge, back to where it began; NaN where the line
    leaves the picture on one side and comes back on the other.
  """
  count = 2 * _OUTLINE_POINTS
  rays = equirect.viewport_directions(
    *(tf.constant(value, tf.float32) for value in (*direction_rad, *field_of_view_rad)),
    height=count,
    width=count,
  ).numpy()
  edge = np.concatenate([rays[0], rays[1:, -1], rays[-1, -2::-1], rays[-2::-1, 0]])
  azimuth, elevation = (np.rad2deg(part.numpy()) for part in directions.angles(tf.constant(edge)))
  jumps = np.flatnonzero(np.abs(np.diff(azimuth)) > 180.0) + 1
  return np.insert(azimuth, jumps, np.nan), np.insert(elevation, jumps, np.nan)


def draw(clips: Sequence[AlignedClip]) -> Figure:
  """Draws a row for each clip.

  On the left the frame, brighter where sound comes from, with the outlines of the views; objects
  that sound are circles, silent ones crosses. Then each view in its colour, under it the sound that
  the model takes for its own, in the colour of the view that it belongs to; on the right how
  similar views and sounds are.

  Args:
    clips: at least one, all with the same number of views.

  Returns:
    A matplotlib figure; `figure.savefig(path)` saves it.
  """
  count = len(clips[0].views)
  width = _FRAME_INCHES + _ROW_INCHES * (count + 1) * 0.75
  size = width, 0.5 + _ROW_INCHES * len(clips)
  figure = Figure(figsize=size, dpi=110, layout="constrained")
  FigureCanvasAgg(figure)
  ratios = [_FRAME_INCHES, *[_ROW_INCHES * 0.75] * (count + 1)]
  axes = figure.subplots(len(clips), count + 2, width_ratios=ratios, squeeze=False)
  for clip, row in zip(clips, axes):
    _draw_frame(row[0], clip)
    for k, axis in enumerate(row[1:-1]):
      _draw_view(axis, clip, k)
    _draw_similarity(row[-1], clip)
  return figure


def _draw_frame(axis: Axes, clip: AlignedClip) -> None:
  panorama_axes.draw(axis, clip.frame, clip.energy, clip.objects_rad, clip.is_sounding)
  for k, (direction, fov) in enumerate(zip(clip.direction_rad, clip.field_of_view_rad)):
    axis.plot(*outline_deg(direction, fov), color=_COLOURS[k % len(_COLOURS)], linewidth=2)
  axis.set_title(printable(clip.title), fontsize=8, parse_math=False)


def _draw_view(axis: Axes, clip: AlignedClip, k: int) -> None:
  axis.imshow(clip.views[k], interpolation="nearest")
  axis.set_xticks([])
  axis.set_yticks([])
  for spine in axis.spines.values():
    spine.set(color=_COLOURS[k % len(_COLOURS)], linewidth=3)
  match = int(clip.matches[k])
  axis.set_title(f"view {k + 1}", fontsize=8, color=_COLOURS[k % len(_COLOURS)])
  axis.set_xlabel(
    f"sound {match + 1} {'✓' if match == k else '✗'}",
    fontsize=9,
    color=_COLOURS[match % len(_COLOURS)],
    weight="bold",
  )


def _draw_similarity(axis: Axes, clip: AlignedClip) -> None:
  count = len(clip.similarity)
  axis.imshow(clip.similarity, cmap="viridis")
  for (row, column), value in np.ndenumerate(clip.similarity):
    axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color="white")
  ticks = range(count)
  axis.set_xticks(ticks, [str(i + 1) for i in ticks], fontsize=7)
  axis.set_yticks(ticks, [str(i + 1) for i in ticks], fontsize=7)
  axis.set_xlabel("sound", fontsize=8)
  axis.set_ylabel("view", fontsize=8)
