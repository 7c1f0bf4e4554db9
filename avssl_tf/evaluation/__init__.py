"""Evaluation protocols of trained networks.

kNN, linear probes, cross-modal retrieval, fine-tuning, audio SVMs, alignment and segmentation of
360° video, sound source localisation, and generated sound fields.
"""

from avssl_tf import lazy

__getattr__, __dir__, __all__ = lazy.face(
  __name__,
  {
    "alignment.binary_alignment": ["AVCBin", "AVSABin"],
    "alignment.segmentation": ["Segmentation"],
    "alignment.viewpoint_retrieval": ["ViewpointRetrieval"],
    "audio_svm.audio_svm": ["AudioSVM"],
    "classifiers.finetune": ["Finetune"],
    "classifiers.kinetics_linear": ["KineticsLinear"],
    "frozen.knn": ["KNN"],
    "frozen.linear_probe": ["LinearProbe", "linear_probe"],
    "frozen.multi_label": ["d_prime", "mean_average_precision"],
    "frozen.probe": ["Probe"],
    "frozen.retrieval": ["Retrieval", "cross_modal", "recall_at_k"],
    "localization.localization": ["Localization"],
    "protocol": ["Protocol", "evaluate"],
    "sound_fields.generation": ["SpatialAudioEvaluation"],
    "sound_fields.sound_field_metrics": [
      "earth_movers_distances", "envelope_distance", "log_spectral_distance",
      "relative_error_db", "stft_distance",
    ],
  },
)
