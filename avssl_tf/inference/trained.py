"""A trained network and its metadata, loaded from any kind of folder."""

import hashlib
import os
from typing import Optional

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.errors import UserError
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.generator import Generator
from avssl_tf.inference.serving import InputSpec
from avssl_tf.models.network import Network

# Characters of a checksum: enough to distinguish the weights that occur in practice.
_CHECKSUM_LENGTH = 12


class Trained:
  """A trained network from a run, a converted checkpoint or a SavedModel.

  Attributes:
    model_dir: the folder that it was loaded from.
    clip: specification of the clips that the network was trained on.
    sample_rate_hz: sample rate of the waveforms.
    num_channels: channels of the waveforms; only W for a network that generates sound fields.
    weights: name of the file with the weights, and their checksum.
    data_dir: folder of the training records, as named at training time; it need not exist. None if
      unknown.
  """

  def __init__(
    self,
    model_dir: str,
    clip: ClipSpec,
    sample_rate_hz: int,
    num_channels: int,
    weights: str,
    data_dir: Optional[str] = None,
    network: Optional[Network] = None,
    encoder: Optional[Encoder] = None,
    generator: Optional[Generator] = None,
  ):
    """Arguments correspond to the attributes and properties of the same names.

    Exactly one of `encoder` and `generator` is given. `network` is None for a SavedModel.
    """
    self.model_dir = model_dir
    self.clip = clip
    self.sample_rate_hz = sample_rate_hz
    self.num_channels = num_channels
    self.weights = weights
    self.data_dir = data_dir
    self._network = network
    self._encoder = encoder
    self._generator = generator

  @property
  def network(self) -> Network:
    """The network as a Keras model, with its trained weights.

    Raises:
      UserError: it was loaded from a SavedModel, which contains no layers.
    """
    if self._network is None:
      raise UserError(
        f"--model_dir={self.model_dir} is a SavedModel, which contains no layers; expected the "
        "folder of a run (avssl_tf.train) or of a converted checkpoint "
        "(tools/convert_checkpoint.py)."
      )
    return self._network

  @property
  def encoder(self) -> Encoder:
    """The frozen network as functions that embed frames and audio.

    Raises:
      UserError: the network generates sound fields.
    """
    if self._encoder is None:
      raise UserError(
        f"--model_dir={self.model_dir} contains a network that generates sound fields; expected a "
        "network that embeds video and audio."
      )
    return self._encoder

  @property
  def generator(self) -> Generator:
    """The frozen network as a function that generates sound fields.

    Raises:
      UserError: the network embeds frames and audio.
    """
    if self._generator is None:
      raise UserError(
        f"--model_dir={self.model_dir} contains no network that generates sound fields; expected "
        "one trained with gin/spatial_audio.gin."
      )
    return self._generator

  @property
  def input_spec(self) -> InputSpec:
    """The input that the network takes."""
    return InputSpec.create(self.clip, self.sample_rate_hz, self.num_channels)

  def records(self, data_dir: Optional[str]) -> str:
    """Folder of the records to use: `data_dir`, or by default the training records.

    Args:
      data_dir: value of --data_dir, or None.

    Raises:
      UserError: neither is known.
    """
    if not (data_dir or self.data_dir):
      raise UserError(
        f"--model_dir={self.model_dir} does not state which records it was trained on: pass "
        "--data_dir."
      )
    return data_dir or self.data_dir


def weights_of(checkpoint: str) -> str:
  """Name and checksum of the weights in a checkpoint, for `Trained.weights`."""
  # The index holds a checksum of each tensor.
  with open(f"{checkpoint}.index", "rb") as f:
    checksum = hashlib.sha256(f.read()).hexdigest()
  return f"{os.path.basename(checkpoint)} {checksum[:_CHECKSUM_LENGTH]}"
