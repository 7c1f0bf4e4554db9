"""Runs that generate sound fields, at a tiny size."""

import os

from avssl_tf.models import front_end
from avssl_tf.models.spatialization import audio_unet, localizers, panorama_net, spatial_unet
from avssl_tf.training import strategies, trainer
from avssl_tf.training.configurations import configuration
from tests import source_tree

# After gin/spatial_audio.gin.
GIN_PARAMS = (
  "batch_size = 8", "num_epochs = 1", "schedules.cosine.warmup_steps = 1",
  "ClipSpec.frame_size = 16", "ClipSpec.num_frames = 2", "ClipSpec.audio_sec = 0.25",
  "PanoramaNet.widths = (4, 4)", "PanoramaNet.strides = (2, 2)", "AudioUNet.widths = (4, 4)",
  "AudioUNet.time_strides = (1, 2)", "SpatialUNet.num_tracks = 2", "train.probe = None",
  "train.batch_pictures = 0",
)  # fmt: skip


def train(data_dir: str, model_dir: str, *gin_params: str) -> trainer.Result:
  """Trains on 360° records; `gin_params` override the settings above."""
  path = str(source_tree.ROOT / "gin/spatial_audio.gin")
  configuration.parse([path], [*GIN_PARAMS, f'data_dir = "{data_dir}"', *gin_params])
  os.makedirs(model_dir, exist_ok=True)
  return trainer.train(model_dir=model_dir, strategy=strategies.create())


def network() -> spatial_unet.SpatialUNet:
  """A network for frames of 16 x 32 pixels and audio at 8 kHz; its variables are not built."""
  return spatial_unet.SpatialUNet(
    front_end.VideoFrontEnd(),
    panorama_net.PanoramaNet((8, 8), (2, 1)),
    localizers.AttentionLocalizer,
    8000,
    lambda num_tracks: audio_unet.AudioUNet(num_tracks, (4, 8), (1, 2)),
    num_tracks=2,
    frame_length=64,
    hop_length=32,
  )
