"""Inference with trained networks: encoders, generators, feature extraction, SavedModels."""

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
