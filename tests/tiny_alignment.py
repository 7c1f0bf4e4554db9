"""Spatial alignment at a tiny size: a few 360° clips and a narrow network."""

import functools

import tensorflow as tf

from avssl_tf.data.building import demo
from avssl_tf.data.pipeline import clip_kinds
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.pipeline.viewpoints import ViewpointSpec
from avssl_tf.data.synthetic.spherical import SphericalWorld
from avssl_tf.models import alignment_model, front_end, projection, r2plus1d, translation
from avssl_tf.models import audio_net as audio_net_lib
from avssl_tf.tasks import spatial_alignment
from tests import tiny_run

NUM_VIDEOS = 16
CLIP = ClipSpec(
  num_frames=2,
  frame_rate_hz=8.0,
  frame_size=16,
  audio_sec=0.3,
  max_offset_sec=0.1,
  viewpoints=ViewpointSpec(num_viewpoints=3, placement="even"),
)


def make_data(folder: str, num_train: int = NUM_VIDEOS, num_test: int = 8) -> str:
  """Builds a small 360° demo data set in a folder; returns the folder."""
  world = SphericalWorld(num_train=num_train, num_test=num_test)
  demo.DemoData(world, tiny_run.SPECTROGRAM, folder).build_if_missing(num_workers=0)
  return folder


class TinyNet(tf.keras.layers.Layer):
  """A substitute for a network: a linear layer on the mean over time and space."""

  def __init__(self):
    super().__init__()
    self.dense = tf.keras.layers.Dense(8)

  def call(self, x, training=False):
    del training
    return {"pooled": self.dense(tf.reduce_mean(x, axis=list(range(1, x.shape.rank - 1))))}


def tiny_network(dropout: float = 0.0) -> alignment_model.AlignmentModel:
  """A network without convolutions and batch normalisation."""
  return network(TinyNet, TinyNet, dropout)


def network(
  video_net=lambda: r2plus1d.R2Plus1D(depth=6, stem="avsa", stage_widths=(4, 4, 4, 8)),
  audio_net=lambda: audio_net_lib.AudioNet(stage_widths=(4, 4, 4, 8)),
  dropout=0.0,
) -> alignment_model.AlignmentModel:
  """A network for clips of `CLIP`, without its variables."""
  return alignment_model.AlignmentModel(
    front_end.VideoFrontEnd(),
    video_net(),
    front_end.AmbisonicFrontEnd(tiny_run.SPECTROGRAM),
    audio_net(),
    translation.FeatureTranslation(
      functools.partial(projection.MLPHead, (8, 4)),
      functools.partial(
        translation.Transformer, 1, num_heads=2, dropout=dropout, normalization="pre"
      ),
    ),
  )


def built_network() -> alignment_model.AlignmentModel:
  """A network with its variables."""
  model = network()
  model(clip_kinds.kind_of(CLIP).zero_batch(8000, 4))
  return model


def task(**arguments) -> spatial_alignment.SpatialAlignment:
  """The task, by default with a curriculum of one epoch and another."""
  arguments = {"warmup_epochs": 1, **arguments}
  return spatial_alignment.SpatialAlignment(**arguments)


def random_batch(rng, num_clips: int = 4) -> dict[str, tf.Tensor]:
  """Noise in the form of a batch."""
  return {
    "video": tf.constant(rng.integers(0, 256, (num_clips, 3, 2, 16, 16, 3)), tf.uint8),
    "audio": tf.constant(rng.normal(0, 0.1, (num_clips, 3, 2400, 4)), tf.float32),
  }
