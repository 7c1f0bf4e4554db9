"""Directions, ambisonics and 360° images.

Conventions of the whole package:

- Axes: x to the front, y to the left, z up. Azimuth is counter-clockwise from the front (+pi/2 is
  left), elevation is upwards. Both are in radians.
- Rotations: `yaw` turns the front to the left, `pitch` raises it, `roll` lifts the left side. A
  rotation matrix maps the old direction of an object to its new direction.
- Sound fields: the channel axis is last, in ACN order with SN3D normalisation: W Y Z X for the
  first order. A field of order n has (n + 1)^2 channels.
- 360° images: equirectangular, with an aspect ratio of 2:1. The left edge is azimuth +pi, the
  centre is the front, the top edge is elevation +pi/2. The centres of the outermost pixels are half
  a pixel inside the edges.
"""

from avssl_tf import lazy

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {},
  [
    "ambisonics", "cubemap", "directions", "equirect", "optical_flow", "rendering", "sampling",
    "short_time",
  ],
)
