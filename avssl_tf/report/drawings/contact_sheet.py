"""A contact sheet of clips: frames above spectrograms, or one of the two."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avssl_tf.data.records import jpeg
from avssl_tf.data.records.record import Record
from avssl_tf.foreign_text import printable
from avssl_tf.report.drawings import sound_levels

_PANEL_INCHES = (4.8, 1.85)
_STRIP_ASPECT = 5.5  # Aspect ratio of a strip of frames.
_FRAME_HEIGHT = 96  # In pixels.
_BOX_COLOUR = (255, 255, 0)


def draw(clips: Sequence[Record], title: str, num_columns: int = 3) -> Figure:
  """Draws clips.

  Args:
    clips: at least one clip.
    title: title of the figure.
    num_columns: number of clips side by side.

  Returns:
    A matplotlib figure.
  """
  num_columns = min(num_columns, len(clips))
  num_rows = math.ceil(len(clips) / num_columns)
  width, height = _PANEL_INCHES
  figure = Figure((width * num_columns, height * num_rows + 0.4), dpi=110, layout="constrained")
  FigureCanvasAgg(figure)  # Needs no display.
  # Dollar signs in names do not start formulas.
  figure.suptitle(printable(title), fontsize=10, parse_math=False)
  panels = figure.subfigures(num_rows, num_columns, squeeze=False, hspace=0.02, wspace=0.02)
  for clip, panel in zip(clips, panels.flat):
    heights = [1.1] * bool(clip.frames) + [1] * (clip.waveform is not None)
    axes = panel.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    label = ", ".join(clip.labels) or "no label"
    name = f"{label}   {clip.example_id[-48:]}"
    axes[0].set_title(printable(name), fontsize=7, pad=2, parse_math=False)
    if clip.frames:
      axes[0].imshow(filmstrip(clip))
      axes[0].axis("off")
    if clip.waveform is not None:
      _draw_sound(axes[-1], clip)
  return figure


def filmstrip(clip: Record) -> np.ndarray:
  """As many evenly spaced frames as fit, side by side with their boxes: uint8 `[96, W, 3]`."""
  num_frames = max(1, round(_STRIP_ASPECT * clip.height / clip.width))
  positions = np.unique(np.linspace(0, len(clip.frames) - 1, num_frames).round().astype(int))
  strip = []
  for position in positions:
    frame = jpeg.decode(clip.frames[position])
    width = max(1, round(frame.shape[1] * _FRAME_HEIGHT / frame.shape[0]))
    interpolation = cv2.INTER_AREA if frame.shape[0] > _FRAME_HEIGHT else cv2.INTER_NEAREST
    frame = cv2.resize(frame, (width, _FRAME_HEIGHT), interpolation=interpolation)
    if clip.boxes is not None:
      ymin, xmin, ymax, xmax = clip.boxes[position] * np.tile(frame.shape[:2], 2)
      cv2.rectangle(frame, (int(xmin), int(ymin)), (int(xmax), int(ymax)), _BOX_COLOUR, 1)
    strip.append(np.pad(frame, ((0, 0), (1, 1), (0, 0)), constant_values=255))
  return np.concatenate(strip, axis=1)


def _draw_sound(axes, clip: Record) -> None:
  rate = int(clip.sample_rate_hz)
  levels = sound_levels.of(clip.waveform[np.newaxis], rate)[0]
  duration_sec = len(clip.waveform) / rate
  axes.imshow(
    levels,
    origin="lower",
    aspect="auto",
    cmap=colormaps["magma"],
    vmin=levels.max() - sound_levels.RANGE_DB,
    extent=(0, duration_sec, 0, levels.shape[0]),
  )
  axes.tick_params(labelsize=6, length=2, pad=1)
  axes.set_yticks([])
  peak = float(np.max(np.abs(clip.waveform)))
  rms = float(np.sqrt(np.mean(np.square(clip.waveform))))
  frames = f", {len(clip.frames)} frames" if clip.frames else ""
  axes.set_xlabel(f"s     peak {peak:.3f}, RMS {rms:.3f}{frames}", fontsize=6, labelpad=1)
