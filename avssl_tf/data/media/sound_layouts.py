"""Makes sound whose channels are named one by one safe to decode with PyAV.

Such layouts, which FFmpeg calls custom, hold a list of names in memory of their own. PyAV (15.1 and
18.1) copies the place of the list and not the list, and frees it with each copy: to ask a track or
one of its frames for its layout, or to convert a frame, corrupts the memory of the process, which
ends by an abort now or later. Files have them lawfully: ambisonics in another order (`SA3D`), and
loudspeakers in a rare one (`chan`).
"""

import ctypes

import av

_INCREASE_REFERENCES = ctypes.pythonapi.Py_IncRef
_INCREASE_REFERENCES.argtypes = [ctypes.py_object]
_INCREASE_REFERENCES.restype = None


def make_safe(track: av.AudioStream) -> None:
  """Replaces a custom layout of a track by one that only counts channels.

  Comes before anything else asks for the layout or the channels of the track. Channels stay in
  their order.

  Args:
    track: of a file that has just been opened.
  """
  context = track.codec_context
  if context is None:
    return
  layout = context.layout
  if not is_custom(layout):
    return
  # The list is freed by FFmpeg: this copy must never be.
  _INCREASE_REFERENCES(layout)
  context.layout = av.AudioLayout(f"{layout.nb_channels}C")


def is_custom(layout: av.AudioLayout) -> bool:
  """Whether a layout names its channels one by one."""
  # FFmpeg calls them "2 channels (FR+FL)", or "ambisonic 1+FL" where ambisonics come first.
  name = layout.name
  return "channels (" in name or (name.startswith("ambisonic") and "+" in name)
