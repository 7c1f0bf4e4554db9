"""Spatial audio for a mono recording and the 360° picture that belongs to it.

After Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
Video", NeurIPS 2018, section 4: the recording is taken apart by masks, and each part is placed
where the picture shows its source.
"""

from typing import Callable

import gin
import tensorflow as tf

from avssl_tf import types
from avssl_tf.models.audio_unet import AudioUNet
from avssl_tf.spatial import short_time
from avssl_tf.types import Tensor

# Magnitudes, absolute and against the mean of a clip, that are as good as none.
_SILENT = 1e-5
_FAINT = 1e-3


@gin.register
class SpatialUNet(tf.keras.Model):
  """Y, Z and X of a first-order sound field, from W and equirectangular frames.

  Attributes:
    sample_rate_hz: rate of the sound.
    frame_length: samples in a window of the Fourier transform.
    hop_length: samples from one window to the next.
  """

  def __init__(
    self,
    frame_front_end: tf.keras.layers.Layer,
    frame_net: tf.keras.layers.Layer,
    localizer: Callable[..., tf.keras.layers.Layer],
    sample_rate_hz: int,
    audio_net: Callable[..., AudioUNet] = AudioUNet,
    num_tracks: int = 8,
    masks: bool = True,
    frame_length: int = 256,
    hop_length: int = 128,
    name: str = "spatial_unet",
  ):
    """Creates the network.

    Args:
      frame_front_end: normalises frames.
      frame_net: makes maps of them.
      localizer: makes the layer that places the tracks; called with `num_tracks`.
      sample_rate_hz: rate of the sound, which the lengths below belong to.
      audio_net: makes the network that takes the recording apart; called with `num_tracks`.
      num_tracks: parts that the recording is taken into.
      masks: whether it is taken apart; if not, all of it comes from one direction at a time.
      frame_length: samples in a window of the Fourier transform, even.
      hop_length: samples from one window to the next, at most half of that.
      name: name of the model.

    Raises:
      ValueError: windows that do not overlap by half or more.
    """
    if frame_length % 2 or not 0 < hop_length <= frame_length // 2:
      raise ValueError(
        f"SpatialUNet.frame_length is {frame_length} and hop_length {hop_length}; expected an even "
        "length, and at most half of it."
      )
    # Mixed precision would round the waveforms.
    super().__init__(name=name, autocast=False)
    self.sample_rate_hz = sample_rate_hz
    self.frame_length = frame_length
    self.hop_length = hop_length
    self._masks = masks
    self.frame_front_end = frame_front_end
    self.frame_net = frame_net
    num_placed = num_tracks if masks else 1
    self.audio_net = audio_net(num_tracks=num_tracks)
    self.localizer = localizer(num_tracks=num_placed)

  def call(self, batch: types.Batch, training: bool = False) -> Tensor:
    """What the spectra of W have to be multiplied by to give those of the other channels.

    Args:
      batch: `AUDIO`: float32 `[B, samples, channels]`, of which the first, W, is looked at;
        `VIDEO`: uint8 `[B, T, H, 2H, 3]`, frames spread evenly over the time of the sound.
      training: whether batch normalisation uses, and learns from, the batch.

    Returns:
      float32 `[B, 3, frames, bins]`: of Y, Z and X.
    """
    mixture = self.spectra(batch[types.AUDIO][..., :1])[:, 0]
    # What is heard, not how loud it was recorded.
    power = tf.reduce_mean(tf.square(tf.abs(mixture)), axis=[1, 2], keepdims=True)
    level = tf.math.log(tf.abs(mixture) / tf.sqrt(power + _SILENT**2) + _FAINT)
    found = self.audio_net(level, training=training)
    maps = self.frame_net(self.frame_front_end(batch[types.VIDEO]), training=training)
    sound = resample_time(found["features"], maps.shape[1])
    vectors = self.localizer({types.AUDIO: sound, types.VIDEO: maps})
    # Tracks move between the times of the frames.
    vectors = resample_time(vectors, tf.shape(mixture)[1])
    if self._masks:
      return tf.einsum("btfn,btnc->bctf", found["masks"], vectors)
    weights = tf.transpose(vectors[:, :, 0], [0, 2, 1])[..., tf.newaxis]
    return tf.repeat(weights, tf.shape(mixture)[2], axis=-1)

  def placed(self, batch: types.Batch, training: bool = False) -> Tensor:
    """Spectra of Y, Z and X: complex64 `[B, 3, frames, bins]`; arguments as of `call`."""
    weights = self(batch, training=training)
    # A cast would do, but for the warnings of its gradient.
    weights = tf.complex(weights, tf.zeros_like(weights))
    return weights * self.spectra(batch[types.AUDIO][..., :1])

  def generate(self, batch: types.Batch) -> Tensor:
    """The sound field: float32 `[B, samples, 4]`, W Y Z X; arguments as of `call`."""
    pressure = batch[types.AUDIO][..., :1]
    velocity = short_time.inverse_stft(
      self.placed(batch), tf.shape(pressure)[1], self.frame_length, self.hop_length
    )
    return tf.concat([pressure, tf.linalg.matrix_transpose(velocity)], axis=-1)

  def spectra(self, waveform: Tensor) -> Tensor:
    """Short-time spectra of float32 `[B, samples, C]`: complex64 `[B, C, frames, bins]`."""
    signals = tf.linalg.matrix_transpose(waveform)
    return short_time.stft(signals, self.frame_length, self.hop_length)


def resample_time(values: Tensor, steps: Tensor) -> Tensor:
  """Values at other times, by linear interpolation between the middles of equal spans of time.

  Args:
    values: float32 `[B, T, ...]`, each of the T-th part of the time.
    steps: number of parts wanted.

  Returns:
    float32 `[B, steps, ...]`; before the first middle and after the last one they stay.
  """
  count = tf.shape(values)[1]
  place = (tf.range(steps, dtype=tf.float32) + 0.5) * tf.cast(count, tf.float32)
  place = place / tf.cast(steps, tf.float32) - 0.5
  place = tf.clip_by_value(place, 0.0, tf.cast(count - 1, tf.float32))
  before = tf.cast(tf.floor(place), tf.int32)
  after = tf.minimum(before + 1, count - 1)
  share = tf.reshape(
    place - tf.floor(place), tf.concat([[-1], tf.ones([tf.rank(values) - 2], tf.int32)], axis=0)
  )
  first, second = tf.gather(values, before, axis=1), tf.gather(values, after, axis=1)
  return first + share * (second - first)
