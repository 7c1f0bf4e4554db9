"""Loading encoders: of runs, of converted checkpoints and of SavedModels."""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from typing import Optional

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.inference import origin, serving
from avssl_tf.inference.encoder import Encoder
from avssl_tf.models import av_model
from avssl_tf.models.spatial_unet import SpatialUNet
from avssl_tf.training import checkpoints, run, run_folder, training_data
from avssl_tf.training.settings import ConfigurationError

# Of a checksum: enough to tell any two weights apart that ever meet.
_CHECKSUM_LENGTH = 12


@dataclasses.dataclass(frozen=True)
class LoadedEncoder:
  """An encoder and where it comes from.

  Attributes:
    encoder: the encoder.
    weights: name of what holds its weights, and a checksum of them.
    data_dir: records that it was trained on, as named then; None where that is not known.
  """

  encoder: Encoder
  weights: str
  data_dir: Optional[str]


def is_saved_model(path: str) -> bool:
  """Whether `path` is the folder of a SavedModel."""
  return os.path.exists(os.path.join(path, tf.saved_model.SAVED_MODEL_FILENAME_PB))


def load(model_dir: str) -> LoadedEncoder:
  """Loads the encoder of a run, of a converted checkpoint, or of a SavedModel.

  The present gin configuration stays as it is; the precision of Keras becomes that of the run.

  Args:
    model_dir: folder of one of these.

  Raises:
    UserError: `model_dir` is none of these, or one that this version does not understand.
    MissingFileError: the run has no checkpoint yet.
  """
  check_model_dir(model_dir)
  if is_saved_model(model_dir):
    return _load_saved_model(model_dir)
  return _load_run(model_dir)


def records_for(model_dir: str, trained_on: Optional[str], data_dir: Optional[str]) -> str:
  """The records to use with a network: those that are named, or those that it was trained on.

  Args:
    model_dir: where the network is from, for the message.
    trained_on: records that it was trained on; None where that is not known.
    data_dir: what --data_dir names, if anything.

  Raises:
    ConfigurationError: neither is known.
  """
  if not (data_dir or trained_on):
    raise ConfigurationError(
      f"--model_dir={model_dir} does not say which records it was trained on: name some with "
      "--data_dir."
    )
  return data_dir or trained_on


def check_model_dir(model_dir: str) -> None:
  """Checks that a folder holds something that can be loaded.

  Raises:
    ConfigurationError: it is the folder of no run, converted checkpoint or SavedModel.
  """
  known = (run_folder.OPERATIVE_CONFIG, tf.saved_model.SAVED_MODEL_FILENAME_PB)
  if not any(os.path.exists(os.path.join(model_dir, name)) for name in known):
    raise ConfigurationError(
      f"--model_dir={model_dir}: neither {known[0]} nor {known[1]} there. Expected the folder of a "
      "run (avssl_tf.train), of a converted checkpoint (tools/convert_checkpoint.py) or of a "
      "SavedModel (avssl_tf.export)."
    )


def _load_run(model_dir: str) -> LoadedEncoder:
  with present_configuration_kept():
    loaded = run.load(model_dir)
    if isinstance(loaded.model, SpatialUNet):
      raise _not_an_encoder(model_dir)
    network = gin.get_bindings("train")["network"]
    configuration = gin.config_str()

  def make_model(trained: bool = True) -> av_model.AudioVisualModel:
    with present_configuration_kept():
      gin.parse_config(configuration)
      model = network()
    model(training_data.zero_batch(loaded.clip, loaded.sample_rate_hz, loaded.num_channels))
    if trained:
      checkpoints.restore_network(model, loaded.checkpoint)
    else:
      statistics = loaded.model.audio_front_end
      model.audio_front_end.set_statistics(statistics.mean.numpy(), statistics.std.numpy())
    return model

  # Sound of any rate has to be brought to that of the network.
  clip = dataclasses.replace(loaded.clip, sample_rate_hz=loaded.sample_rate_hz)
  encoder = Encoder.of_model(
    loaded.model, clip, loaded.sample_rate_hz, loaded.num_channels, make_model
  )
  return LoadedEncoder(encoder, identity(loaded.checkpoint), loaded.data_dir or None)


def _load_saved_model(path: str) -> LoadedEncoder:
  spec = serving.InputSpec.load(path)
  if spec.panorama:
    raise _not_an_encoder(path)
  module = origin.load(path)

  def signature(name: str, modality: str):
    def call(value):
      if name not in module.signatures:
        raise UserError(
          f"The SavedModel {path!r} has no signature {name!r}; it has {sorted(module.signatures)}. "
          "Export it again with this version (avssl_tf.export)."
        )
      return module.signatures[name](**{modality: value})

    return call

  def embedding(modality: str):
    embed = signature(f"embed_{modality}", modality)

    def call(value):
      outputs = embed(value)
      return {name: outputs[f"{modality}_{name}"] for name in ("features", "embedding")}

    return call

  embed_positions = signature("embed_video_positions", "video")

  def translate(features):
    outputs = module.signatures["translate"](
      **{f"{modality}_features": value for modality, value in features.items()}
    )
    found: dict[str, dict[str, tf.Tensor]] = {}
    for name, value in outputs.items():
      modality, _, kind = name.partition("_")
      found.setdefault(kind, {})[modality] = value
    return found

  encoder = Encoder(
    clip=spec.clip(),
    sample_rate_hz=spec.sample_rate_hz,
    num_channels=spec.num_channels,
    embed_video=embedding("video"),
    embed_audio=embedding("audio"),
    video_maps=signature("video_maps", "video"),
    audio_maps=signature("audio_maps", "audio"),
    embed_video_positions=lambda frames: embed_positions(frames)["video_position_embeddings"],
    translate=translate if "translate" in module.signatures else None,
    make_model=None,
  )
  return LoadedEncoder(encoder, identity_of_saved_model(path), data_dir=None)


def _not_an_encoder(model_dir: str) -> ConfigurationError:
  return ConfigurationError(
    f"--model_dir={model_dir} holds a network that generates sound fields; expected one that "
    "embeds pictures and sound."
  )


def identity_of_saved_model(path: str) -> str:
  """Name and checksum of the weights of a SavedModel."""
  variables = os.path.join(path, tf.saved_model.VARIABLES_DIRECTORY)
  return identity(os.path.join(variables, tf.saved_model.VARIABLES_FILENAME))


def identity(checkpoint: str) -> str:
  """Name and checksum of the weights in a checkpoint."""
  # The index holds a checksum of each tensor.
  with open(f"{checkpoint}.index", "rb") as f:
    checksum = hashlib.sha256(f.read()).hexdigest()
  return f"{os.path.basename(checkpoint)} {checksum[:_CHECKSUM_LENGTH]}"


@contextlib.contextmanager
def present_configuration_kept() -> Iterator[None]:
  """Lets other gin configurations be read, from an empty one on; restores the present one."""
  present = gin.config_str()
  gin.clear_config()
  try:
    yield
  finally:
    gin.clear_config()
    gin.parse_config(present)
