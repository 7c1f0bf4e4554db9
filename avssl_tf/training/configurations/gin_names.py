"""Importing this module registers all configurables that a gin file may refer to.

`configuration` imports it, so modules that parse gin files need no list of imports.
"""

# ruff: noqa: F401
from avssl_tf import spectrograms
from avssl_tf.data.building import demo
from avssl_tf.data.pipeline import clip_spec, viewpoints
from avssl_tf.data.synthetic import planar, spherical
from avssl_tf.evaluation import protocol
from avssl_tf.evaluation.alignment import (
  alignment_probe,
  binary_alignment,
  segmentation,
  viewpoint_retrieval,
)
from avssl_tf.evaluation.audio_svm import audio_svm
from avssl_tf.evaluation.classifiers import finetune, kinetics_linear
from avssl_tf.evaluation.frozen import (
  knn,
  linear_probe,
  memory_probe,
  probe,
  raw_input,
  retrieval,
)
from avssl_tf.evaluation.localization import localization
from avssl_tf.evaluation.sound_fields import generation, generation_probe, sound_field_baselines
from avssl_tf.losses import avid, cma, robust_xid
from avssl_tf.models import (
  alignment_model,
  audio_net,
  av_model,
  fpn,
  front_end,
  projection,
  r2plus1d,
  translation,
)
from avssl_tf.models.spatialization import (
  audio_unet,
  direct_unet,
  localizers,
  panorama_encoder,
  panorama_net,
  spatial_unet,
)
from avssl_tf.tasks import (
  classification,
  instance_discrimination,
  spatial_alignment,
  spatial_audio,
)
from avssl_tf.training import trainer
from avssl_tf.training.optimization import optimizers, schedules
