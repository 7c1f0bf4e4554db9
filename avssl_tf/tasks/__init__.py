"""Training tasks: Keras models that combine a network and an objective in a train step."""

from avssl_tf import lazy

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {
    "classification": ["Classification"],
    "instance_discrimination": ["InstanceDiscrimination"],
    "spatial_alignment": ["SpatialAlignment"],
    "spatial_audio": ["SpatialAudio"],
    "task": ["Task"],
  },
)
