"""Draws an equirectangular frame with an overlaid energy map."""

from typing import Optional

import numpy as np
from matplotlib.axes import Axes

_ENERGY_OPACITY = 0.75


def draw(
  axis: Axes,
  frame: np.ndarray,
  energy: np.ndarray,
  objects_rad: Optional[np.ndarray] = None,
  is_sounding: Optional[np.ndarray] = None,
) -> None:
  """Draws into axes, with azimuth and elevation in degrees as coordinates.

  Args:
    axis: the axes.
    frame: uint8 `[H, 2 H, 3]`.
    energy: float `[h, 2 h]`, sound energy from each direction, scaled to its minimum and maximum.
    objects_rad: float `[objects, 2]`, azimuth and elevation of the objects; None if unknown.
    is_sounding: bool `[objects]`; sounding objects are circles, silent ones crosses.
  """
  extent = (180.0, -180.0, -90.0, 90.0)
  axis.imshow(frame, extent=extent, interpolation="nearest")
  level = energy - energy.min()
  level = level / max(level.max(), 1e-12)
  axis.imshow(
    level, extent=extent, cmap="inferno", alpha=_ENERGY_OPACITY * level, interpolation="bilinear"
  )
  if objects_rad is not None and len(objects_rad):
    places = np.rad2deg(objects_rad)
    for sounding, marker in ((True, "o"), (False, "x")):
      found = places[is_sounding == sounding]
      face = {"facecolors": "none"} if marker == "o" else {}
      colour = {"edgecolors": "white"} if marker == "o" else {"color": "white"}
      axis.scatter(found[:, 0], found[:, 1], s=60, marker=marker, **face, **colour)
  axis.set_xlim(180, -180)
  axis.set_ylim(-90, 90)
  axis.set_xticks([180, 90, 0, -90, -180])
  axis.set_yticks([-90, 0, 90])
  axis.tick_params(labelsize=7)
