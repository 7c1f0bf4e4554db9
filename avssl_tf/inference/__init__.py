"""Trained networks, loaded and called: encoders, generators, features of data sets, SavedModels."""

from avssl_tf import lazy

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {
    "encoder": ["Encoder"],
    "features": ["Features", "extract"],
    "generator": ["Generator"],
    "sound_localizer": ["SoundLocalizer"],
  },
)
