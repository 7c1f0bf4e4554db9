"""Directions, ambisonics and 360° pictures.

Conventions of the whole package, stated once:

- Axes: x to the front, y to the left, z up. Azimuth is counter-clockwise from the front, so that
  +pi/2 is left; elevation is up. Both in radians.
- Rotations: `yaw` turns the front to the left, `pitch` then raises it, `roll` then lifts the left
  side. A rotation matrix maps where something is to where it will be.
- Sound fields: channels come last, in ACN order with SN3D weights, for the first order W Y Z X; a
  field of order n has (n + 1)^2 channels.
- 360° pictures: equirectangular, twice as wide as high. The left edge is azimuth +pi, the centre
  the front, the top edge elevation +pi/2; pixel centres lie half a pixel inside.
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
