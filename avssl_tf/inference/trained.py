"""A trained network and what is known of it, whatever folder it was loaded from."""

import hashlib
import os
from typing import Optional

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.errors import UserError
from avssl_tf.inference.encoder import Encoder
from avssl_tf.inference.generator import Generator
from avssl_tf.inference.serving import InputSpec
from avssl_tf.models.network import Network

# Of a checksum: enough to tell any two weights apart that ever meet.
_CHECKSUM_LENGTH = 12


class Trained:
  """A trained network, of a run, a converted checkpoint or a SavedModel.

  Attributes:
    model_dir: the folder that it was loaded from.
    clip: what of a record the network was trained on.
    sample_rate_hz: rate of the waveforms.
    num_channels: channels of the waveforms; of a network that generates sound fields, W alone.
    weights: name of the file that holds the weights, and a checksum of them.
    data_dir: records that the network was trained on, as named then; None where that is not known.
      They need not be there.
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
    """Joins what was loaded; arguments as the attributes and properties of these names.

    One of `encoder` and `generator` is given. `network` is None for a SavedModel.
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
      UserError: it was loaded from a SavedModel, which holds no layers.
    """
    if self._network is None:
      raise UserError(
        f"--model_dir={self.model_dir} is a SavedModel, which holds no layers; expected the folder "
        "of a run (avssl_tf.train) or of a converted checkpoint (tools/convert_checkpoint.py)."
      )
    return self._network

  @property
  def encoder(self) -> Encoder:
    """The frozen network as functions that embed frames and sound.

    Raises:
      UserError: the network generates sound fields.
    """
    if self._encoder is None:
      raise UserError(
        f"--model_dir={self.model_dir} holds a network that generates sound fields; expected one "
        "that embeds pictures and sound."
      )
    return self._encoder

  @property
  def generator(self) -> Generator:
    """The frozen network as a function that generates sound fields.

    Raises:
      UserError: the network embeds frames and sound.
    """
    if self._generator is None:
      raise UserError(
        f"--model_dir={self.model_dir} holds no network that generates sound fields; expected one "
        "that was trained with gin/spatial_audio.gin."
      )
    return self._generator

  @property
  def input_spec(self) -> InputSpec:
    """The input that the network takes."""
    return InputSpec.create(self.clip, self.sample_rate_hz, self.num_channels)

  def records(self, data_dir: Optional[str]) -> str:
    """The records to use with the network: those that are named, or those of its training.

    Args:
      data_dir: what --data_dir names, if anything.

    Raises:
      UserError: neither is known.
    """
    if not (data_dir or self.data_dir):
      raise UserError(
        f"--model_dir={self.model_dir} does not say which records it was trained on: name some "
        "with --data_dir."
      )
    return data_dir or self.data_dir


def weights_of(checkpoint: str) -> str:
  """Name and checksum of the weights in a checkpoint, for `Trained.weights`."""
  # The index holds a checksum of each tensor.
  with open(f"{checkpoint}.index", "rb") as f:
    checksum = hashlib.sha256(f.read()).hexdigest()
  return f"{os.path.basename(checkpoint)} {checksum[:_CHECKSUM_LENGTH]}"
