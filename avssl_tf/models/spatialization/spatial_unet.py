"""Spatial audio for a mono recording and the 360° picture that belongs to it.

After Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
Video", NeurIPS 2018, section 4: the recording is taken apart by masks, and each part is placed
where the picture shows its source.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable, Optional

import gin
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.errors import UserError
from avssl_tf.keys import Tensor
from avssl_tf.models.network import Network, Signature, SoundMap, Statistics
from avssl_tf.models.spatialization import time_steps
from avssl_tf.models.spatialization.audio_unet import AudioUNet
from avssl_tf.models.spatialization.panorama_encoder import PanoramaEncoder
from avssl_tf.spatial import short_time
from avssl_tf.spectrograms import Spectrogram

# Magnitudes, absolute and against the mean of a clip, that are as good as none.
_SILENT = 1e-5
_FAINT = 1e-3
# Logarithms of magnitudes against their mean, as they are drawn.
_LOG_RANGE = (-6.0, 3.0)
_VIDEO_NET = "video_net/"


@gin.register
class SpatialUNet(Network):
  """Y, Z and X of a first-order sound field, from W and equirectangular frames.

  Attributes:
    sample_rate_hz: rate of the sound.
    frame_length: samples in a window of the Fourier transform.
    hop_length: samples from one window to the next.
  """

  generates = True
  takes_any_size = False

  def __init__(
    self,
    frame_front_end: tf.keras.layers.Layer,
    frame_net: Optional[tf.keras.layers.Layer],
    localizer: Callable[..., tf.keras.layers.Layer],
    sample_rate_hz: int,
    audio_net: Callable[..., AudioUNet] = AudioUNet,
    flow_net: Optional[tf.keras.layers.Layer] = None,
    num_tracks: int = 8,
    masks: bool = True,
    localize_by_sound: bool = True,
    frame_length: int = 256,
    hop_length: int = 128,
    name: str = "spatial_unet",
  ):
    """Creates the network.

    Args:
      frame_front_end: normalises frames, and pictures of their flow.
      frame_net: makes maps of frames; None: they are not looked at.
      localizer: makes the layer that places the tracks; called with `num_tracks`.
      sample_rate_hz: rate of the sound, which the lengths below belong to.
      audio_net: makes the network that takes the recording apart; called with `num_tracks`.
      flow_net: makes maps of the same size of the optical flow; None: it is not looked at.
      num_tracks: parts that the recording is taken into.
      masks: whether it is taken apart; if not, all of it comes from one direction at a time.
      localize_by_sound: whether tracks are looked for by how they sound; if not, by the picture
        alone.
      frame_length: samples in a window of the Fourier transform, even.
      hop_length: samples from one window to the next, at most half of that.
      name: name of the model.

    Raises:
      UserError: windows that do not overlap by half or more, or neither sound nor picture to find
        sources by.
    """
    if frame_length % 2 or not 0 < hop_length <= frame_length // 2:
      raise UserError(
        f"SpatialUNet.frame_length is {frame_length} and hop_length {hop_length}; expected an even "
        "length, and at most half of it."
      )
    if not localize_by_sound and frame_net is None and flow_net is None:
      raise UserError(
        "SpatialUNet.localize_by_sound is False, and there is neither frame_net nor flow_net: "
        "nothing is left to find sources by."
      )
    super().__init__(name=name)
    self.sample_rate_hz = sample_rate_hz
    self.frame_length = frame_length
    self.hop_length = hop_length
    self._masks = masks
    self._localize_by_sound = localize_by_sound
    self.frame_front_end = frame_front_end
    self.frame_net = frame_net
    self.flow_net = flow_net
    self.audio_net = audio_net(num_tracks=num_tracks)
    self.localizer = localizer(num_tracks=num_tracks if masks else 1)

  def call(self, batch: keys.Batch, training: bool = False) -> Tensor:
    """What the spectra of W have to be multiplied by to give those of the other channels.

    Args:
      batch: `AUDIO`: float32 `[B, samples, channels]`, of which the first, W, is looked at;
        `VIDEO`: uint8 `[B, T, H, 2H, 3]`, frames in the middles of even parts of the time of the
        sound; with `flow_net`, `FLOW` of the same shape.
      training: whether batch normalisation uses, and learns from, the batch.

    Returns:
      complex64 `[B, 3, frames, bins]`: of Y, Z and X; real but for networks that say otherwise.
    """
    mixture = self.spectra(batch[keys.AUDIO][..., :1])[:, 0]
    maps = self.maps(batch, training=training)
    # What is seen, wherever it is, helps to take apart what is heard.
    seen = None if maps is None else tf.reduce_max(maps, axis=[2, 3])
    found = self.audio_net(sound_level(mixture), seen, training=training)
    vectors = self.localizer(self._cues(found["features"], maps))
    # Tracks move between the times of the frames.
    vectors = time_steps.resample(vectors, tf.shape(mixture)[1])
    if self._masks:
      weights = tf.einsum("btfn,btnc->bctf", found["masks"], vectors)
    else:
      weights = tf.transpose(vectors[:, :, 0], [0, 2, 1])[..., tf.newaxis]
      weights = tf.repeat(weights, tf.shape(mixture)[2], axis=-1)
    # A cast would do, but for the warnings of its gradient.
    return tf.complex(weights, tf.zeros_like(weights))

  def maps(self, batch: keys.Batch, training: bool = False) -> Optional[Tensor]:
    """Maps of what is seen: float32 `[B, T, h, 2h, C]`; None where nothing is looked at."""
    pictures = ((keys.VIDEO, self.frame_net), (keys.FLOW, self.flow_net))
    found = [
      net(self.frame_front_end(batch[key]), training=training)
      for key, net in pictures
      if net is not None
    ]
    if len(found) == 2 and found[0].shape[1:4] != found[1].shape[1:4]:
      raise UserError(
        f"SpatialUNet.frame_net makes maps of {tuple(found[0].shape[1:4])} (T, h, 2h) and flow_net "
        f"of {tuple(found[1].shape[1:4])}; expected the same: give both the same strides."
      )
    return tf.concat(found, axis=-1) if found else None

  def _cues(self, sound: Tensor, maps: Optional[Tensor]) -> dict[str, Tensor]:
    """What sources are found by, in the same steps of time."""
    if maps is None:
      return {keys.AUDIO: sound}
    sound = time_steps.resample(sound, maps.shape[1])
    if not self._localize_by_sound:
      sound = tf.ones_like(sound[..., :1])
    return {keys.AUDIO: sound, keys.VIDEO: maps}

  def placed(self, batch: keys.Batch, training: bool = False) -> Tensor:
    """Spectra of Y, Z and X: complex64 `[B, 3, frames, bins]`; arguments as of `call`."""
    return self(batch, training=training) * self.spectra(batch[keys.AUDIO][..., :1])

  def generate(self, batch: keys.Batch) -> Tensor:
    """The sound field: float32 `[B, samples, 4]`, W Y Z X; arguments as of `call`."""
    pressure = batch[keys.AUDIO][..., :1]
    velocity = short_time.inverse_stft(
      self.placed(batch), tf.shape(pressure)[1], self.frame_length, self.hop_length
    )
    return tf.concat([pressure, tf.linalg.matrix_transpose(velocity)], axis=-1)

  def spectra(self, waveform: Tensor) -> Tensor:
    """Short-time spectra of float32 `[B, samples, C]`: complex64 `[B, C, frames, bins]`."""
    signals = tf.linalg.matrix_transpose(waveform)
    return short_time.stft(signals, self.frame_length, self.hop_length)

  def input_channels(self, shapes: Mapping[str, Sequence[int]]) -> int:
    """W alone, whatever else the sound of a clip has."""
    del shapes
    return 1

  def prepare(
    self, sample_rate_hz: int, statistics: Callable[[Spectrogram], Statistics]
  ) -> None:
    """As of `Network`; spectra are compared with their own mean and need no statistics."""
    del statistics
    if sample_rate_hz != self.sample_rate_hz:
      raise UserError(
        f"The sound of the clips has {sample_rate_hz} Hz, the network expects "
        f"{self.sample_rate_hz} Hz. Set ClipSpec.sample_rate_hz={self.sample_rate_hz} to convert "
        f"the sound, or {type(self).__name__}.sample_rate_hz (and its lengths)."
      )

  def sound_maps(self, waveforms: Tensor) -> list[SoundMap]:
    """The level of W, all that the network hears."""
    level = sound_level(self.spectra(waveforms[..., :1])[:, 0])
    return [SoundMap(level.numpy(), *_LOG_RANGE)]

  def restorable(self, names: Collection[str]) -> Any:
    """As of `Network`: of a run of another kind, its video network where frames go through one."""
    if isinstance(self.frame_net, PanoramaEncoder) and any(n.startswith(_VIDEO_NET) for n in names):
      return tf.train.Checkpoint(video_net=self.frame_net.encoder)
    return self

  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """The function that a SavedModel offers.

    Returns:
      `serving_default`: `video` (uint8 [B, T, H, 2H, 3]), `audio` (W), and `flow` where it is
      among the inputs -> `field`, float32 [B, samples, 4], W Y Z X.
    """

    # The names of arguments are those of the inputs.
    def generate(video, audio):
      return {"field": self.generate({keys.VIDEO: video, keys.AUDIO: audio})}

    def generate_with_flow(video, audio, flow):
      batch = {keys.VIDEO: video, keys.AUDIO: audio, keys.FLOW: flow}
      return {"field": self.generate(batch)}

    signature = Signature(generate, [specs[keys.VIDEO], specs[keys.AUDIO]])
    if keys.FLOW in specs:
      signature = Signature(generate_with_flow, [*signature.inputs, specs[keys.FLOW]])
    return {tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature}


def sound_level(spectra: Tensor) -> Tensor:
  """Logarithms of magnitudes against the mean of a clip: what is heard, not how loud it was.

  Args:
    spectra: complex64 `[B, frames, bins]`.

  Returns:
    float32 of the same shape.
  """
  power = tf.reduce_mean(tf.square(tf.abs(spectra)), axis=[1, 2], keepdims=True)
  return tf.math.log(tf.abs(spectra) / tf.sqrt(power + _SILENT**2) + _FAINT)
