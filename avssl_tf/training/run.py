"""The folder of a run: starting one, and loading the model of one."""

import dataclasses
import os
import shutil
from typing import Sequence

import gin
import tensorflow as tf

from avssl_tf.data import pipeline
from avssl_tf.models import av_model
from avssl_tf.training import configuration, trainer

_AUDIO_STEM = "task/network/audio_net/conv1/kernel/"


@dataclasses.dataclass
class LoadedRun:
  """A trained network and what it takes.

  Attributes:
    model: the network, with its trained weights.
    clip: what of a record it was trained on.
    sample_rate_hz: rate of the waveforms.
    num_channels: channels of the waveforms.
    data_dir: records that it was trained on, as named then.
  """

  model: av_model.AudioVisualModel
  clip: pipeline.ClipSpec
  sample_rate_hz: int
  num_channels: int
  data_dir: str


def prepare(model_dir: str, overwrite: bool) -> None:
  """Makes the folder of a run, empty if `overwrite`.

  Raises:
    FileExistsError: there is something else than a run in `model_dir`.
  """
  known = os.path.exists(os.path.join(model_dir, configuration.OPERATIVE_CONFIG))
  if os.path.isdir(model_dir) and os.listdir(model_dir) and not known:
    started = os.path.exists(os.path.join(model_dir, "tensorboard"))
    if not started:
      raise FileExistsError(
        f"--model_dir={model_dir} holds files, but no run: name an empty or a new folder."
      )
  if overwrite and os.path.isdir(model_dir):
    shutil.rmtree(model_dir)
  os.makedirs(model_dir, exist_ok=True)


def load(model_dir: str, gin_params: Sequence[str] = ()) -> LoadedRun:
  """Loads the network of a run, or of a converted checkpoint.

  Replaces the present gin configuration by the run's.

  Args:
    model_dir: folder of the run.
    gin_params: bindings that override those of the run.

  Returns:
    The network with what it takes.

  Raises:
    configuration.ConfigurationError: `model_dir` holds no run.
    FileNotFoundError: the run has no checkpoint yet.
    ValueError: checkpoint and configuration do not fit each other.
  """
  configuration.parse_operative(model_dir, gin_params)
  path = tf.train.latest_checkpoint(os.path.join(model_dir, trainer.CHECKPOINTS))
  if path is None:
    raise FileNotFoundError(
      f"--model_dir={model_dir}: no checkpoint there yet. Start the training again: it goes on "
      "where it stopped."
    )
  bound = gin.get_bindings("train")
  clip, data_dir = bound["clip"], bound["data_dir"]
  tf.keras.mixed_precision.set_global_policy(bound.get("precision", "float32"))
  model = bound["network"]()
  num_channels = _num_channels(path)
  sample_rate_hz = model.audio_front_end.spectrogram.sample_rate_hz
  model(trainer.zero_batch(clip, sample_rate_hz, num_channels))
  restore(model, path)
  return LoadedRun(model, clip, sample_rate_hz, num_channels, data_dir)


def _num_channels(path: str) -> int:
  """Sound channels that the network in a checkpoint takes."""
  for name, shape in tf.train.load_checkpoint(path).get_variable_to_shape_map().items():
    if name.startswith(_AUDIO_STEM):
      return shape[-2]
  raise ValueError(f"The checkpoint {path} holds no audio network ({_AUDIO_STEM}).")


def restore(model: av_model.AudioVisualModel, path: str) -> None:
  """Reads the network's weights, and nothing else, from the checkpoint of a run.

  Raises:
    ValueError: the checkpoint has other variables than `model`.
  """
  checkpoint = tf.train.Checkpoint(task=tf.train.Checkpoint(network=model))
  try:
    checkpoint.restore(path).assert_existing_objects_matched().expect_partial()
  except (AssertionError, ValueError) as error:
    raise ValueError(
      f"The checkpoint {path} does not fit the network of its configuration: {error}"
    ) from error
