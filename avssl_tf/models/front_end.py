"""Front ends: in-graph preprocessing of raw frames and waveforms.

Normalisation and spectrograms are part of the model: an exported model takes uint8 frames and
waveforms, and training and serving cannot differ. Front ends compute in float32 under every
mixed-precision policy; the networks cast their inputs.
"""

from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf

from avssl_tf import spectrograms
from avssl_tf.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# A bin with a smaller standard deviation carries no information, and division by it would amplify
# rounding errors.
_MIN_STD_DB = 0.1


@gin.register
class VideoFrontEnd(tf.keras.layers.Layer):
  """Scales uint8 frames to 0..1 and normalises each channel.

      y = (x / 255 - mean) / std

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021 (ImageNet mean and standard deviation).

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> front_end = models.VideoFrontEnd(mean=[0.5] * 3, std=[0.5] * 3)
    >>> front_end(tf.zeros([1, 8, 112, 112, 3], tf.uint8))[0, 0, 0, 0].numpy()
    array([-1., -1., -1.], dtype=float32)
  """

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
    """Normalises frames.

    Args:
      frames: uint8 `[B, T, H, W, 3]`, RGB.

    Returns:
      float32, same shape as `frames`.

    Raises:
      UserError: the frames are not uint8.
    """
    if frames.dtype != tf.uint8:
      raise UserError(f"The frames are {frames.dtype.name}; expected uint8 in 0..255.")
    return tf.cast(frames, tf.float32) * self._scale + self._offset


@gin.register
class AudioFrontEnd(tf.keras.layers.Layer):
  """Log spectrogram of a waveform, normalised per bin.

      y = (spectrogram(x) - mean) / max(std, 0.1 dB)

  Mean and standard deviation are non-trainable variables, so checkpoints and exports contain them.
  They are 0 and 1 until `set_statistics` is called or a checkpoint is restored.

  Attributes:
    spectrogram: the `Spectrogram` that the layer computes.
    mean: float32 variable `[num_bins]`, dB.
    std: float32 variable `[num_bins]`, dB.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 3 and appendix.

  Examples:
    >>> import tensorflow as tf
    >>> import avssl_tf
    >>> front_end = avssl_tf.models.AudioFrontEnd(avssl_tf.Spectrogram())
    >>> front_end(tf.zeros([1, 48000, 1])).shape  # 2 s at 24 kHz, 100 frames per second.
    TensorShape([1, 200, 257, 1])
  """

  def __init__(self, spectrogram: spectrograms.Spectrogram, name: str = "audio_front_end"):
    """Creates the layer.

    Args:
      spectrogram: the spectrogram to compute.
      name: name of the layer.
    """
    super().__init__(name=name, dtype="float32")
    self.spectrogram = spectrogram
    shape = [spectrogram.num_bins]
    self.mean = self.add_weight("mean", shape, initializer="zeros", trainable=False)
    self.std = self.add_weight("std", shape, initializer="ones", trainable=False)

  def set_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
    """Sets the statistics of the bins, measured over the training data.

    Args:
      mean: `[num_bins]`, mean of each bin, in dB.
      std: `[num_bins]`, standard deviation of each bin, in dB.

    Raises:
      UserError: there is not one finite number per bin, or a standard deviation is negative.
    """
    mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
    expected = (self.spectrogram.num_bins,)
    if mean.shape != expected or std.shape != expected:
      raise UserError(
        f"The statistics have shapes {mean.shape} and {std.shape}; expected {expected} for the "
        f"spectrogram {self.spectrogram.id!r}."
      )
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
      raise UserError(
        "The spectrogram statistics contain negative standard deviations or non-finite numbers."
      )
    self.mean.assign(mean)
    self.std.assign(std)

  @staticmethod
  def num_waveform_channels(num_maps: int) -> int:
    """Number of waveform channels for a number of output maps.

    Args:
      num_maps: number of output maps C.

    Returns:
      The number of channels of the waveform; here the same number.
    """
    return num_maps

  def call(self, waveform: tf.Tensor) -> tf.Tensor:
    """Computes normalised log spectrograms.

    Args:
      waveform: float32 `[B, samples, C]`, in -1..1.

    Returns:
      float32 `[B, frames, num_bins, C]`.
    """
    return self._normalized(self.spectrogram(waveform))

  def _normalized(self, level: tf.Tensor) -> tf.Tensor:
    mean, std = self.mean[:, tf.newaxis], self.std[:, tf.newaxis]
    return (level - mean) / tf.maximum(std, _MIN_STD_DB)


@gin.register
class AmbisonicFrontEnd(AudioFrontEnd):
  """Log spectrograms and intensity vectors of a first-order sound field.

  The output has seven maps: the normalised log spectrograms of W, Y, Z and X, which are the
  published input of AVSA and the output of `AudioFrontEnd`, and the three components of the signed
  intensity vector of each bin. The intensity contains the direction of the sound, which magnitudes
  do not.

  Source:
    Log spectrograms: Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial
    Alignment", NeurIPS 2020, section 4. Intensity vectors: this project.
  """

  @staticmethod
  def num_waveform_channels(num_maps: int) -> int:
    """Number of waveform channels: 4 (W, Y, Z and X)."""
    del num_maps
    return 4

  def call(self, waveform: tf.Tensor) -> tf.Tensor:
    """Maps float32 `[B, samples, 4]` (W Y Z X), in -1..1, to float32 `[B, frames, num_bins, 7]`."""
    maps = self.spectrogram.with_intensity(waveform)
    return tf.concat([self._normalized(maps[..., :-3]), maps[..., -3:]], axis=-1)
