"""Base class of all networks that a run trains."""

import abc
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable, ClassVar, Optional

import numpy as np
import tensorflow as tf

from avssl_tf.keys import Tensor
from avssl_tf.spectrograms import Spectrogram

# Mean and standard deviation of each bin of a spectrogram, as `"mean"` and `"std"`.
Statistics = Mapping[str, Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Signature:
  """A signature of an exported SavedModel.

  Attributes:
    function: maps tensors to a dict of tensors; not traced yet.
    inputs: specifications of its arguments, in order; their names are those of the arguments.
  """

  function: Callable[..., dict[str, Tensor]]
  inputs: Sequence[tf.TensorSpec]


@dataclasses.dataclass(frozen=True)
class SoundMap:
  """An input map of an audio network, for plotting.

  Attributes:
    values: float32 `[N, frames, bins]`.
    low: value of the darkest colour.
    high: value of the brightest colour.
    signed: whether the values are signed, such as components of a direction; False for levels.
  """

  values: np.ndarray
  low: float
  high: float
  signed: bool = False


class Network(tf.keras.Model, abc.ABC):
  """Base class of the networks that can be bound to `train.network`.

  A network maps a batch of clips (raw frames and waveforms) to embeddings of both modalities, or to
  a sound field. Preprocessing, such as the front ends, is part of the network, so training and
  serving cannot differ.

  Attributes:
    sample_rate_hz: sample rate of the waveforms, in Hz.
    generates: whether the network generates sound fields (`generate`). Otherwise it embeds video
      and audio (`embed_video`, `embed_audio`).
    takes_any_size: whether it accepts clips of other sizes and lengths than in training.
    translate: predicts features of one modality from the other, see `AlignmentModel.translate`;
      None for networks without feature translation.

  Source:
    This project.
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
    # Otherwise mixed precision would round the waveforms before the first layer.
    super().__init__(name=name, autocast=False)

  @abc.abstractmethod
  def input_channels(self, shapes: Mapping[str, Sequence[int]]) -> Optional[int]:
    """Number of waveform channels that a trained network requires.

    Args:
      shapes: shapes of the trained variables, by path in the network, such as
        `"audio_net/conv1/kernel"`.

    Returns:
      The number of channels; None if the variables do not belong to a network of this class.
    """

  @abc.abstractmethod
  def prepare(
    self, sample_rate_hz: int, statistics: Callable[[Spectrogram], Statistics]
  ) -> None:
    """Sets the properties of the training data that the network depends on.

    Args:
      sample_rate_hz: sample rate of the waveforms, in Hz.
      statistics: computes the statistics of a spectrogram over the training data; called only if
        the network normalises a spectrogram.

    Raises:
      UserError: the network requires another sample rate.
    """

  @abc.abstractmethod
  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """The signatures of an exported SavedModel of the network.

    Args:
      specs: specifications of the inputs: `video` (uint8 `[B, T, H, W, 3]`), `audio` (float32
        `[B, samples, channels]`, in -1..1), and, if the network uses it, `flow` (same shape and
        type as `video`).

    Returns:
      The signatures by name.
    """

  @abc.abstractmethod
  def sound_maps(self, waveforms: Tensor) -> list[SoundMap]:
    """Input maps of the audio network, for plotting.

    Args:
      waveforms: float32 `[N, samples, C]`, in -1..1.

    Returns:
      One `SoundMap` per input channel of the audio network.
    """

  def backbones(self) -> dict[str, tf.keras.layers.Layer]:
    """Parts of the network that another run can restore separately.

    Returns:
      Layers by name; empty if the network has no such parts.
    """
    return {}

  def restorable(self, names: Collection[str]) -> Any:
    """The part of this network that can be restored from a checkpoint of any network.

    Args:
      names: paths of the variables in the network of the checkpoint.

    Returns:
      An object to pass to `tf.train.Checkpoint`.
    """
    del names
    return self
