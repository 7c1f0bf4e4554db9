"""Loading what a run has trained, or what was converted into the form of one."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Union

import gin
import tensorflow as tf

from avssl_tf import checkpoint_files
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.models import av_model
from avssl_tf.models.spatial_unet import SpatialUNet
from avssl_tf.training import checkpoints, configuration, training_data

_AUDIO_STEM = "task/network/audio_net/conv1/kernel/"


@dataclasses.dataclass
class LoadedRun:
  """A trained network and what it takes.

  Attributes:
    model: the network, with its trained weights.
    clip: what of a record it was trained on.
    sample_rate_hz: rate of the waveforms.
    num_channels: channels of the waveforms; of a network that generates sound fields, W alone.
    data_dir: records that it was trained on, as named then; they need not be there.
    checkpoint: path of the checkpoint that holds the weights.
  """

  model: Union[av_model.AudioVisualModel, SpatialUNet]
  clip: ClipSpec
  sample_rate_hz: int
  num_channels: int
  data_dir: str
  checkpoint: str


def load(model_dir: str, gin_params: Sequence[str] = ()) -> LoadedRun:
  """Loads the network of a run, or of a converted checkpoint.

  Replaces the present gin configuration by the run's, and the precision of Keras likewise.

  Args:
    model_dir: folder of the run.
    gin_params: bindings that override those of the run.

  Returns:
    The network with what it takes.

  Raises:
    configuration.ConfigurationError: `model_dir` holds no run, or one that this version does
      not understand.
    MissingFileError: the run has no checkpoint yet.
    checkpoints.CheckpointError: checkpoint and configuration do not fit each other.
  """
  configuration.parse_operative(model_dir, gin_params)
  path = checkpoints.latest_of(model_dir)
  bound = gin.get_bindings("train")
  missing = [name for name in ("network", "clip", "data_dir") if name not in bound]
  if missing:
    raise configuration.ConfigurationError(
      f"--model_dir={model_dir}: its configuration does not say train.{missing[0]}."
    )
  tf.keras.mixed_precision.set_global_policy(bound.get("precision", "float32"))
  model = bound["network"]()
  if isinstance(model, SpatialUNet):
    num_channels, sample_rate_hz = 1, model.sample_rate_hz
  else:
    num_channels = model.audio_front_end.num_waveform_channels(_num_maps(path))
    sample_rate_hz = model.audio_front_end.spectrogram.sample_rate_hz
  model(training_data.zero_batch(bound["clip"], sample_rate_hz, num_channels))
  checkpoints.restore_network(model, path)
  return LoadedRun(
    model, bound["clip"], sample_rate_hz, num_channels, os.fspath(bound["data_dir"]), path
  )


def _num_maps(path: str) -> int:
  """Maps of sound, a spectrogram each, that the network in a checkpoint takes."""
  for name, shape in checkpoint_files.load(path).get_variable_to_shape_map().items():
    if name.startswith(_AUDIO_STEM):
      return shape[-2]
  raise checkpoints.CheckpointError(
    f"The checkpoint {path} holds no audio network ({_AUDIO_STEM})."
  )
