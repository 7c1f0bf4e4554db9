"""Makes custom channel layouts safe to decode with PyAV.

A custom layout in FFmpeg names its channels individually, in a separately allocated list. PyAV
(15.1 and 18.1) copies the pointer to the list instead of the list, and frees it with each copy.
Reading the layout of such a track or of one of its frames, or converting a frame, therefore
corrupts memory and sooner or later aborts the process. Valid files use custom layouts for
ambisonics in an uncommon channel order (`SA3D`) and for rare loudspeaker layouts (`chan`).
"""

import ctypes

import av

_INCREASE_REFERENCES = ctypes.pythonapi.Py_IncRef
_INCREASE_REFERENCES.argtypes = [ctypes.py_object]
_INCREASE_REFERENCES.restype = None


def make_safe(track: av.AudioStream) -> None:
  """Replaces the custom layout of a track by one that only states the number of channels.

  It must be called before anything else accesses the layout or the channels of the track. The order
  of the channels does not change.

  Args:
    track: track of a file that has just been opened.
  """
  context = track.codec_context
  if context is None:
    return
  layout = context.layout
  if not is_custom(layout):
    return
  # FFmpeg frees the list: this copy must never be freed.
  _INCREASE_REFERENCES(layout)
  context.layout = av.AudioLayout(f"{layout.nb_channels}C")


def is_custom(layout: av.AudioLayout) -> bool:
  """Whether a layout names its channels individually."""
  # FFmpeg's names: "2 channels (FR+FL)", or "ambisonic 1+FL" if the first channels are ambisonics.
  name = layout.name
  return "channels (" in name or (name.startswith("ambisonic") and "+" in name)
