"""From raw frames and waveforms to the networks' inputs, in graph.

Normalisation and spectrograms are part of the model, so that training and serving cannot
differ: an exported model takes uint8 frames and waveforms. Front ends compute in float32
under every mixed-precision policy; the networks cast what they get.
"""

from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import spectrograms
from avssl_tf.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# A bin that spreads less than this tells nothing; dividing by less would amplify rounding.
_MIN_STD_DB = 0.1


@gin.register
class VideoFrontEnd(tf.keras.layers.Layer):
  """Scales uint8 frames to 0..1 and normalises each channel."""

  def __init__(
    self,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    name: str = "video_front_end",
  ):
    """Creates the layer.

    Args:
      mean: mean of each channel, of values in 0..1.
      std: standard deviation of each channel, of values in 0..1.
      name: name of the layer.
    """
    super().__init__(name=name, dtype="float32")
    self._scale = np.float32(1 / 255) / np.asarray(std, np.float32)
    self._offset = -np.asarray(mean, np.float32) / np.asarray(std, np.float32)

  def call(self, frames: tf.Tensor) -> tf.Tensor:
    """Maps uint8 `[B, T, H, W, 3]` to float32 of the same shape.

    Raises:
      UserError: the frames are not uint8.
    """
    if frames.dtype != tf.uint8:
      raise UserError(f"The frames are {frames.dtype.name}; expected uint8 in 0..255.")
    return tf.cast(frames, tf.float32) * self._scale + self._offset


@gin.register
class AudioFrontEnd(tf.keras.layers.Layer):
  """Log spectrogram of a waveform, normalised per bin.

  The statistics are non-trainable variables, so that they travel with a checkpoint and with
  an export. They are 0 and 1 until `set_statistics` or a checkpoint brings others.

  Attributes:
    spectrogram: the spectrogram that the layer computes.
    mean: variable float32 `[num_bins]`, dB.
    std: variable float32 `[num_bins]`, dB.
  """

  def __init__(self, spectrogram: spectrograms.Spectrogram, name: str = "audio_front_end"):
    super().__init__(name=name, dtype="float32")
    self.spectrogram = spectrogram
    shape = [spectrogram.num_bins]
    self.mean = self.add_weight("mean", shape, initializer="zeros", trainable=False)
    self.std = self.add_weight("std", shape, initializer="ones", trainable=False)

  def set_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
    """Sets mean and standard deviation (dB) of each bin, measured over the training data.

    Raises:
      UserError: not one finite number a bin, or a negative standard deviation.
    """
    mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    expected = (self.spectrogram.num_bins,)
    if mean.shape != expected or std.shape != expected:
      raise UserError(
        f"The statistics have shapes {mean.shape} and {std.shape}; expected {expected} for the "
        f"spectrogram {self.spectrogram.id!r}."
      )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
      raise UserError("The spectrogram statistics hold negative spreads or non-finite numbers.")
    self.mean.assign(mean)
    self.std.assign(std)

  @staticmethod
  def num_waveform_channels(num_maps: int) -> int:
    """Channels of the waveform that the layer makes `num_maps` maps of: as many."""
    return num_maps

  def call(self, waveform: tf.Tensor) -> tf.Tensor:
    """Maps float32 `[B, samples, C]` in -1..1 to float32 `[B, frames, num_bins, C]`."""
    return self._normalized(self.spectrogram(waveform))

  def _normalized(self, level: tf.Tensor) -> tf.Tensor:
    mean, std = self.mean[:, tf.newaxis], self.std[:, tf.newaxis]
    return (level - mean) / tf.maximum(std, _MIN_STD_DB)


@gin.register
class AmbisonicFrontEnd(AudioFrontEnd):
  """Log spectrograms of a first-order sound field, and where the energy of each bin comes from.

  Beside the magnitudes of W Y Z X, which are the published feature of AVSA (Morgado, Li,
  Vasconcelos, NeurIPS 2020, section 4) and what `AudioFrontEnd` gives, the signed intensity, which
  magnitudes lack.
  """

  @staticmethod
  def num_waveform_channels(num_maps: int) -> int:
    """Channels of the waveform, of first order: W, Y, Z and X."""
    del num_maps
    return 4

  def call(self, waveform: tf.Tensor) -> tf.Tensor:
    """Maps float32 `[B, samples, 4]` (W Y Z X) in -1..1 to float32 `[B, frames, num_bins, 7]`."""
    maps = self.spectrogram.with_intensity(waveform)
    return tf.concat([self._normalized(maps[..., :-3]), maps[..., -3:]], axis=-1)
