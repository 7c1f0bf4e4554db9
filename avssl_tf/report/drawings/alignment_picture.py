"""A figure of 360° clips: views, sound energy, and the similarities of views and audio."""

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
  """A clip to draw.

  Attributes:
    title: name of the clip.
    frame: uint8 `[H, 2 H, 3]`, equirectangular.
    energy: float `[h, 2 h]`, sound energy from each direction.
    views: uint8 `[K, h, w, 3]`, cropped from the frame.
    direction_rad: float `[K, 2]`, azimuth and elevation of the views.
    field_of_view_rad: float `[K, 2]`, horizontal and vertical.
    similarity: float `[K, K]`, similarity of the audio embedding predicted from each view (rows)
      and the audio embedding of each view (columns).
    objects_rad: float `[objects, 2]`, azimuth and elevation of the objects; None if unknown.
    is_sounding: bool `[objects]`, whether an object emits sound; None if unknown.
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
    """Index of the audio most similar to each view, int `[K]`."""
    return np.argmax(self.similarity, axis=1)


def outline_deg(
  direction_rad: np.ndarray, field_of_view_rad: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The edge of a view on the sphere.

  Args:
    direction_rad: float `[2]`, azimuth and elevation.
    field_of_view_rad: float `[2]`, horizontal and vertical.

  Returns:
    Azimuths and elevations in degrees along the closed edge; NaN where the line crosses the left or
    right border of the image.
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
  """Draws one row per clip.

  From left to right, a row shows the frame, the views and the similarity matrix. The sound energy
  is overlaid on the frame, with the outlines of the views; circles are sounding objects, crosses
  silent ones. Below each view is the number of the most similar audio, in the colour of its view.

  Args:
    clips: at least one clip; all must have the same number of views.

  Returns:
    A matplotlib figure.
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
    f"audio {match + 1} {'✓' if match == k else '✗'}",
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
  axis.set_xlabel("audio", fontsize=8)
  axis.set_ylabel("view", fontsize=8)
