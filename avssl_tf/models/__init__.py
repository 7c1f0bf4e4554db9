"""Encoders, projection heads and in-graph front ends, as Keras layers."""

from avssl_tf import lazy

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {
    "alignment_model": ["AlignmentModel"],
    "audio_net": ["AudioNet"],
    "spatialization.audio_unet": ["AudioUNet"],
    "av_model": ["AudioVisualModel"],
    "spatialization.direct_unet": ["DirectUNet"],
    "factory": ["audio_visual"],
    "fpn": ["FeaturePyramid"],
    "front_end": ["AmbisonicFrontEnd", "AudioFrontEnd", "VideoFrontEnd"],
    "spatialization.localizers": ["AttentionLocalizer", "DenseLocalizer"],
    "network": ["Network"],
    "spatialization.panorama_encoder": ["PanoramaEncoder"],
    "spatialization.panorama_net": ["PanoramaNet"],
    "projection": ["MLPHead"],
    "r2plus1d": ["R2Plus1D"],
    "spatialization.spatial_unet": ["SpatialUNet"],
    "translation": ["FeatureTranslation", "Transformer"],
  },
)
