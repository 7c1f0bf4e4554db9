"""What every network of a run offers, whatever it learns: the base of all of them."""

import abc
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable, ClassVar, Optional

import numpy as np
import tensorflow as tf

from avssl_tf.keys import Tensor
from avssl_tf.spectrograms import Spectrogram

# Mean and spread of each bin of a spectrogram, as `"mean"` and `"std"`.
Statistics = Mapping[str, Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Signature:
  """A function that a SavedModel of a network offers.

  Attributes:
    function: maps tensors to a dict of tensors; not traced yet.
    inputs: specification of its arguments, in their order and by their names.
  """

  function: Callable[..., dict[str, Tensor]]
  inputs: Sequence[tf.TensorSpec]


@dataclasses.dataclass(frozen=True)
class SoundMap:
  """A map of sound as the first layer of a network computes it, to draw it.

  Attributes:
    values: float32 `[N, frames, bins]`.
    low: value of the darkest colour.
    high: value of the brightest colour.
    signed: whether values have a sign, as parts of a direction do; else they are levels.
  """

  values: np.ndarray
  low: float
  high: float
  signed: bool = False


class Network(tf.keras.Model, abc.ABC):
  """Base of the networks that `train.network` names.

  A network maps a batch of clips, raw frames and waveforms, to embeddings of both or to a sound
  field. Parts of it that are not trained on single clips, such as front ends, are layers of it, so
  that training and serving cannot differ.

  Attributes:
    sample_rate_hz: rate of the waveforms.
    generates: whether the network generates sound fields (`generate`); else it embeds frames and
      sound (`embed_video`, `embed_audio`).
    takes_any_size: whether it takes clips of other sizes and lengths than those of its training.
    translate: of a network of 360° clips, predicts features of one modality from the other, see
      `AlignmentModel.translate`; None for other networks.
  """

  generates: ClassVar[bool] = False
  takes_any_size: ClassVar[bool] = True
  sample_rate_hz: int
  translate: Optional[Callable[[dict[str, Tensor]], dict[str, dict[str, Tensor]]]] = None

  def __init__(self, name: Optional[str] = None):
    """Creates the model.

    Args:
      name: name of the model.
    """
    # Mixed precision would round the waveforms before they reach the first layer.
    super().__init__(name=name, autocast=False)

  @abc.abstractmethod
  def input_channels(self, shapes: Mapping[str, Sequence[int]]) -> Optional[int]:
    """Channels of the waveforms that a network with trained variables takes.

    Args:
      shapes: shapes of the trained variables by their paths in the network, such as
        `"audio_net/conv1/kernel"`.

    Returns:
      The number of channels; None where the variables are not those of such a network.
    """

  @abc.abstractmethod
  def prepare(
    self, sample_rate_hz: int, statistics: Callable[[Spectrogram], Statistics]
  ) -> None:
    """Sets what the network has to know of its data before it sees any.

    Args:
      sample_rate_hz: rate of the waveforms.
      statistics: returns the statistics of a spectrogram of the data; called if the network
        normalises one.

    Raises:
      UserError: the network expects waveforms of another rate.
    """

  @abc.abstractmethod
  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """The functions that a SavedModel of the network offers, by name.

    Args:
      specs: specification of the inputs: `video` (uint8 [B, T, H, W, 3]), `audio` (float32
        [B, samples, channels], -1..1), and `flow` (as `video`) where the network takes it.
    """

  @abc.abstractmethod
  def sound_maps(self, waveforms: Tensor) -> list[SoundMap]:
    """What the first layer for sound makes of waveforms, float32 `[N, samples, C]`."""

  def backbones(self) -> dict[str, tf.keras.layers.Layer]:
    """The parts that a run may take over alone, by name; empty if the network has none."""
    return {}

  def restorable(self, names: Collection[str]) -> Any:
    """What a checkpoint of some network holds of this one: an object for `tf.train.Checkpoint`.

    Args:
      names: paths of the variables in the network of the checkpoint.
    """
    del names
    return self
