"""A figure of an ambisonic recording: energy maps over time."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avssl_tf.errors import UserError
from avssl_tf.foreign_text import printable
from avssl_tf.spatial import ambisonics

# Directions in the table: name, azimuth and elevation in degrees.
DIRECTIONS = (
  ("front", 0.0, 0.0), ("left", 90.0, 0.0), ("back", 180.0, 0.0), ("right", -90.0, 0.0),
  ("up", 0.0, 90.0), ("down", 0.0, -90.0),
)  # fmt: skip
# Levels below this are silence.
SILENT_DB = -120.0
_MAP_HEIGHT = 90
_COLUMNS = 3
_RANGE_DB = 12.0


@dataclasses.dataclass(frozen=True)
class Part:
  """A part of a recording.

  Attributes:
    start_sec: start time.
    end_sec: end time.
    level_db: RMS level of W in dB re 1.
    azimuth_deg: azimuth of the direction with the highest energy.
    elevation_deg: elevation of that direction.
    prominence_db: energy from that direction relative to the mean over all directions: 4.8 dB for a
      single source in the first order, 0 dB for a diffuse field.
    decoded_db: RMS levels in dB re 1 of virtual microphones towards `DIRECTIONS`.
    energy: float32 `[h, 2 h]`, RMS amplitude from each direction, equirectangular.
  """

  start_sec: float
  end_sec: float
  level_db: float
  azimuth_deg: float
  elevation_deg: float
  prominence_db: float
  decoded_db: tuple[float, ...]
  energy: np.ndarray


def measure(field: np.ndarray, sample_rate_hz: float, num_parts: int) -> list[Part]:
  """Divides a recording into equal parts and measures their energy by direction.

  Args:
    field: float32 `[samples, channels]`, ambisonics, ACN/SN3D.
    sample_rate_hz: sample rate of the field.
    num_parts: number of parts, at most one per sample.

  Raises:
    UserError: `num_parts` is less than 1 or more than the number of samples.
  """
  if not 1 <= num_parts <= len(field):
    raise UserError(f"{num_parts} parts of {len(field)} samples; expected 1..{len(field)}.")
  edges = np.linspace(0, len(field), num_parts + 1).astype(int)
  azimuth_rad, elevation_rad = ambisonics.pixel_directions(_MAP_HEIGHT, 2 * _MAP_HEIGHT)
  area = np.cos(elevation_rad.numpy())
  towards = np.deg2rad([[a, e] for _, a, e in DIRECTIONS]).astype(np.float32)
  parts = []
  for start, end in zip(edges, edges[1:]):
    part = tf.constant(field[start:end])
    energy = ambisonics.energy_map(part, _MAP_HEIGHT, 2 * _MAP_HEIGHT).numpy()
    peak = np.unravel_index(np.argmax(energy), energy.shape)
    mean_power = np.average(energy**2, weights=area)
    decoded = ambisonics.decode(part, *towards.T).numpy()
    parts.append(
      Part(
        start_sec=start / sample_rate_hz,
        end_sec=end / sample_rate_hz,
        level_db=_decibels(np.mean(np.square(part[:, 0]))),
        azimuth_deg=float(np.rad2deg(azimuth_rad[peak])),
        elevation_deg=float(np.rad2deg(elevation_rad[peak])),
        prominence_db=_decibels(energy[peak] ** 2) - _decibels(mean_power),
        decoded_db=tuple(map(_decibels, np.mean(np.square(decoded), axis=0))),
        energy=energy,
      )
    )
  return parts


def _decibels(power: float) -> float:
  return float(10.0 * np.log10(max(power, 10.0 ** (SILENT_DB / 10.0))))


def table(parts: Sequence[Part]) -> str:
  """A text table with one line per part."""
  names = "".join(f"{name:>7}" for name, _, _ in DIRECTIONS)
  heading = f"{'sec':>13} {'W, dB':>7} {'azimuth':>8} {'elevation':>10} {'above mean':>11}   "
  lines = [heading + names]
  for part in parts:
    times = f"{part.start_sec:6.2f}-{part.end_sec:6.2f}"
    if part.level_db <= SILENT_DB:
      lines.append(f"{times}  silent")
      continue
    lines.append(
      f"{times} {part.level_db:7.1f} {part.azimuth_deg:7.0f}° {part.elevation_deg:9.0f}° "
      f"{part.prominence_db:8.1f} dB   " + "".join(f"{level:7.1f}" for level in part.decoded_db)
    )
  return "\n".join(lines)


def draw(parts: Sequence[Part], title: str, path: str) -> None:
  """Draws the energy map of each part, with a cross at the direction with the highest energy.

  Colours show the level in dB relative to that direction. The level of W and the direction are in
  the title of the part.

  Args:
    parts: at least one part.
    title: title of the figure.
    path: output file; its extension determines the format.
  """
  columns = min(_COLUMNS, len(parts))
  rows = -(-len(parts) // columns)
  figure = Figure(figsize=(0.9 + 4.0 * columns, 0.6 + 2.3 * rows), layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.subplots(rows, columns, squeeze=False)
  shown = None
  for axis, part in zip(axes.flat, parts):
    # Equirectangular, viewed from inside the sphere: left is left.
    level = 20.0 * np.log10(np.maximum(part.energy / max(part.energy.max(), 1e-12), 1e-12))
    shown = axis.imshow(
      level, extent=(180, -180, -90, 90), cmap="inferno", vmin=-_RANGE_DB, vmax=0.0
    )
    heading = f"{part.start_sec:.2f}-{part.end_sec:.2f} s: "
    if part.level_db <= SILENT_DB:
      heading += "silent"
    else:
      axis.plot(part.azimuth_deg, part.elevation_deg, "x", color="tab:cyan", markersize=9, mew=2)
      heading += f"{part.level_db:.0f} dB, from {part.azimuth_deg:.0f}°, {part.elevation_deg:.0f}°"
    axis.set_title(heading, fontsize=9)
    axis.set_xticks([180, 90, 0, -90, -180])
    axis.set_yticks([-90, 0, 90])
    axis.tick_params(labelsize=7)
  for axis in axes.flat[len(parts) :]:
    axis.set_axis_off()
  figure.colorbar(shown, ax=axes, label="dB relative to the loudest direction", shrink=0.8)
  figure.suptitle(printable(title), fontsize=10, parse_math=False)
  figure.savefig(path, dpi=100)
