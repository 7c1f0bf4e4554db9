"""Feature keys of the records and their parsing specification.

A record is a MediaSequence `tf.train.SequenceExample` with one whole clip (about 10 s). DMVR and
Scenic use the same keys, so they read data sets that are built here, and the other way round. A
record of one modality has no features of the other.
"""

from collections.abc import Sequence
from typing import Union

import tensorflow as tf

from avssl_tf import keys

# Feature lists.
IMAGE_ENCODED = "image/encoded"  # JPEG bytes, one step per frame
IMAGE_TIMESTAMP = "image/timestamp"  # int64 microseconds, one step per frame
WAVEFORM = "WAVEFORM/feature/floats"  # the whole signal in ONE step, channels interleaved
BBOX_YMIN = "region/bbox/ymin"  # float, 0..1, one step per frame
BBOX_XMIN = "region/bbox/xmin"
BBOX_YMAX = "region/bbox/ymax"
BBOX_XMAX = "region/bbox/xmax"
OBJECT_AZIMUTH = "avssl/object/azimuth"  # float, radians, one value per object per step
OBJECT_ELEVATION = "avssl/object/elevation"
MASK_ENCODED = "CLASS_SEGMENTATION/image/encoded"  # PNG of 8-bit classes, one step per frame
FLOW_ENCODED = "FORWARD_FLOW/image/encoded"  # JPEG of `optical_flow` images, one step per frame
BBOX_KEYS = (BBOX_YMIN, BBOX_XMIN, BBOX_YMAX, BBOX_XMAX)

# Context.
IMAGE_FORMAT = "image/format"  # b"JPEG"
IMAGE_HEIGHT = "image/height"
IMAGE_WIDTH = "image/width"
IMAGE_FRAME_RATE = "image/frame_rate"  # float, Hz
SAMPLE_RATE = "WAVEFORM/feature/sample_rate"  # float, Hz
NUM_CHANNELS = "WAVEFORM/feature/num_channels"
NUM_SAMPLES = "WAVEFORM/feature/num_samples"  # per channel
LABEL_INDEX = "clip/label/index"  # int64 list, empty where unknown
LABEL_STRING = "clip/label/string"  # label text, key of MediaSequence
LABEL_TEXT = "clip/label/text"  # the same text, key of DMVR
CLIP_START = "clip/start/timestamp"  # microseconds in the source file
CLIP_END = "clip/end/timestamp"
CLIP_DATA_PATH = "clip/data_path"
CLIP_MEDIA_ID = "clip/media_id"
EXAMPLE_ID = "example/id"
DATASET_NAME = "example/dataset_name"
SOUND_REPLACED = "avssl/sound_replaced"  # 1: audio of another clip, 0: its own; absent: unknown
PROJECTION = "avssl/projection"  # b"equirectangular" for 360° video; otherwise absent
AMBISONICS = "avssl/ambisonics"  # b"ACN/SN3D" if the audio is ambisonics
MASK_FORMAT = "CLASS_SEGMENTATION/image/format"  # b"PNG"
FLOW_FORMAT = "FORWARD_FLOW/image/format"  # b"JPEG"
OBJECT_LABEL = "avssl/object/label/index"  # int64, one per object
OBJECT_IS_SOUNDING = "avssl/object/is_sounding"  # 0 or 1, one per object
CLIP_INDEX = "clip/index"  # int64, row in the memory banks: dense 0..N-1 over the split


def context_spec(
  modalities: Sequence[str] = keys.MODALITIES,
  spherical: bool = False,
) -> dict[str, Union[tf.io.FixedLenFeature, tf.io.VarLenFeature]]:
  """Context features that the pipeline reads.

  Args:
    modalities: modalities of the record.
    spherical: whether it is a 360° clip.
  """
  of_modality = {
    keys.VIDEO: {IMAGE_FRAME_RATE: tf.io.FixedLenFeature([], tf.float32)},
    keys.AUDIO: {
      SAMPLE_RATE: tf.io.FixedLenFeature([], tf.float32),
      NUM_CHANNELS: tf.io.FixedLenFeature([], tf.int64),
    },
  }
  return {
    **{key: value for name in modalities for key, value in of_modality[name].items()},
    LABEL_INDEX: tf.io.VarLenFeature(tf.int64),
    EXAMPLE_ID: tf.io.FixedLenFeature([], tf.string),
    CLIP_INDEX: tf.io.FixedLenFeature([], tf.int64),
    **(
      {key: tf.io.VarLenFeature(tf.int64) for key in (OBJECT_LABEL, OBJECT_IS_SOUNDING)}
      if spherical else {}
    ),
  }


def sequence_spec(
  modalities: Sequence[str] = keys.MODALITIES,
  spherical: bool = False,
  flow: bool = False,
  boxes: bool = False,
) -> dict[str, Union[tf.io.FixedLenSequenceFeature, tf.io.VarLenFeature]]:
  """Feature lists that the pipeline reads.

  Args:
    modalities: modalities of the record.
    spherical: whether it is a 360° clip.
    flow: whether it contains optical flow.
    boxes: whether to read the bounding boxes of sound sources, one per frame; empty if unknown.
  """
  of_modality = {
    keys.VIDEO: {IMAGE_ENCODED: tf.io.FixedLenSequenceFeature([], tf.string)},
    keys.AUDIO: {WAVEFORM: tf.io.VarLenFeature(tf.float32)},
  }
  spec = {key: value for name in modalities for key, value in of_modality[name].items()}
  if spherical:
    # Ground truth, where available.
    spec[OBJECT_AZIMUTH] = tf.io.VarLenFeature(tf.float32)
    spec[OBJECT_ELEVATION] = tf.io.VarLenFeature(tf.float32)
    spec[MASK_ENCODED] = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
  if flow:
    spec[FLOW_ENCODED] = tf.io.FixedLenSequenceFeature([], tf.string)
  if boxes:
    for key in BBOX_KEYS:
      spec[key] = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
  return spec
