"""Loading trained networks from runs, converted checkpoints and SavedModels."""

import dataclasses
import os
from typing import Callable, Optional

import gin
import tensorflow as tf

from avssl_tf.data.pipeline import clip_kinds
from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.inference import exported
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.generator import Generator
from avssl_tf.inference.trained import Trained, weights_of
from avssl_tf.models.network import Network
from avssl_tf.training import checkpoints, run_folder
from avssl_tf.training.configurations import configuration
from avssl_tf.training.configurations.settings import ConfigurationError


def load(model_dir: str) -> Trained:
  """Loads a trained network from a run, a converted checkpoint or a SavedModel.

  The current gin configuration is not changed. Loading a run or a converted checkpoint sets the
  global Keras precision policy to that of the run.

  Args:
    model_dir: path of the folder of a run (`avssl_tf.train`), of a converted checkpoint
      (`tools/convert_checkpoint.py`) or of a SavedModel (`avssl_tf.export`).

  Returns:
    The network with its encoder or generator and the description of its input.

  Raises:
    UserError: `model_dir` is none of these, or this version does not support it.
    MissingFileError: the run has no checkpoint yet.
    CheckpointError: the checkpoint does not match the configuration; a `UserError`.
    DamagedError: all checkpoints are damaged; a `UserError`.
  """
  _check(model_dir)
  if exported.is_saved_model(model_dir):
    return exported.load(model_dir)
  run = _Run.read(model_dir)
  tf.keras.mixed_precision.set_global_policy(run.precision)
  network = run.network()
  network(run.zero_batch(network))
  checkpoints.restore_network(network, run.checkpoint)
  return _trained(run, network)


def of_memory(model_dir: str, network: Network) -> Trained:
  """Same as `load`, for a run with its network still in memory.

  Args:
    model_dir: folder of the run.
    network: its network, in the state of the last checkpoint.

  Returns:
    The network with its encoder or generator and the description of its input.
  """
  return _trained(_Run.read(model_dir), network)


@dataclasses.dataclass(frozen=True)
class _Run:
  """The network of a run, or of a converted checkpoint, as its folder describes it.

  Attributes:
    model_dir: the folder.
    configuration: its gin configuration.
    make: creates the network, under this configuration.
    clip: the part of a record that the network receives.
    precision: Keras precision policy.
    data_dir: folder of the training records.
    checkpoint: path of the checkpoint with the weights.
  """

  model_dir: str
  configuration: str
  make: Callable[[], Network]
  clip: ClipSpec
  precision: str
  data_dir: str
  checkpoint: str

  @classmethod
  def read(cls, model_dir: str) -> "_Run":
    """Reads the configuration of a folder without building the network."""
    with configuration.present_kept():
      configuration.parse_operative(model_dir)
      checkpoint = checkpoints.latest_of(model_dir)
      bound = gin.get_bindings("train")
      text = gin.config_str()
    missing = [name for name in ("network", "clip", "data_dir") if name not in bound]
    if missing:
      raise ConfigurationError(
        f"--model_dir={model_dir}: its configuration does not set train.{missing[0]}."
      )
    return cls(
      model_dir=model_dir,
      configuration=text,
      make=bound["network"],
      clip=bound["clip"],
      precision=bound.get("precision", "float32"),
      data_dir=os.fspath(bound["data_dir"]),
      checkpoint=checkpoint,
    )

  def network(self) -> Network:
    """Creates the network; its variables are not built."""
    with configuration.present_kept():
      gin.parse_config(self.configuration)
      return self.make()

  def num_channels(self, network: Network) -> int:
    """Number of channels of the network's input waveforms."""
    found = network.input_channels(checkpoints.network_shapes(self.checkpoint))
    if found is None:
      raise checkpoints.CheckpointError(
        f"The checkpoint {self.checkpoint} has no audio network of a {type(network).__name__}."
      )
    return found

  def zero_batch(self, network: Network):
    """Clips of zeros, to build the variables of a network."""
    kind = clip_kinds.kind_of(self.clip)
    return kind.zero_batch(network.sample_rate_hz, self.num_channels(network))


def _trained(run: _Run, network: Network) -> Trained:
  num_channels = run.num_channels(network)
  encoder: Optional[Encoder] = None
  generator: Optional[Generator] = None
  if network.generates:
    generator = Generator(run.clip, network.sample_rate_hz, tf.function(network.generate))
  else:
    # Audio of any sample rate must be resampled to that of the network.
    clip = dataclasses.replace(run.clip, sample_rate_hz=network.sample_rate_hz)
    encoder = Encoder.of_model(
      network, clip, network.sample_rate_hz, num_channels, _copies(run, network)
    )
  return Trained(
    run.model_dir,
    run.clip,
    network.sample_rate_hz,
    num_channels,
    weights_of(run.checkpoint),
    run.data_dir or None,
    network,
    encoder,
    generator,
  )


def _copies(run: _Run, network: Network) -> Callable[..., Network]:
  """Creates copies of a trained network; see `Encoder.make_model`."""

  def make_model(trained: bool = True) -> Network:
    model = run.network()
    model(run.zero_batch(model))
    if trained:
      checkpoints.restore_network(model, run.checkpoint)
    else:
      statistics = network.audio_front_end
      model.audio_front_end.set_statistics(statistics.mean.numpy(), statistics.std.numpy())
    return model

  return make_model


def _check(model_dir: str) -> None:
  known = (run_folder.OPERATIVE_CONFIG, tf.saved_model.SAVED_MODEL_FILENAME_PB)
  if not any(os.path.exists(os.path.join(model_dir, name)) for name in known):
    raise ConfigurationError(
      f"--model_dir={model_dir} contains neither {known[0]} nor {known[1]}. Expected the folder of "
      "a run (avssl_tf.train), of a converted checkpoint (tools/convert_checkpoint.py) or of a "
      "SavedModel (avssl_tf.export)."
    )
