"""Generation of spatial audio from a mono recording and 360° video.

After Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
Video", NeurIPS 2018, section 4: masks separate the recording into tracks, and each track is
localised from the video.
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

# Negligible magnitudes: absolute, and relative to the root mean square of a clip.
_SILENT = 1e-5
_FAINT = 1e-3
# Range of log magnitudes, relative to the root mean square, in plots.
_LOG_RANGE = (-6.0, 3.0)
_VIDEO_NET = "video_net/"


@gin.register
class SpatialUNet(Network):
  """Generates Y, Z and X of a first-order sound field from W and equirectangular frames.

  The STFT of W is separated into tracks by masks m_n (`audio_net`), and each track n is localised
  at each time as a vector u_n (`localizer`). For channel c in Y, Z, X, time t and frequency f:

      S_c(t, f) = sum_n m_n(t, f) u_nc(t) S_W(t, f)

  Attributes:
    sample_rate_hz: sample rate of the audio, in Hz.
    frame_length: window length of the STFT, in samples.
    hop_length: hop length of the STFT, in samples.

  Source:
    After Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for
    360° Video", NeurIPS 2018, section 4.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> network = models.SpatialUNet(
    ...     models.VideoFrontEnd(), models.PanoramaNet(), models.AttentionLocalizer, 4800)
    >>> batch = {"video": tf.zeros([1, 2, 16, 32, 3], tf.uint8), "audio": tf.zeros([1, 4800, 1])}
    >>> network.generate(batch).shape  # W, Y, Z, X.
    TensorShape([1, 4800, 4])
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
      frame_front_end: layer that normalises frames and optical-flow images, such as
        `VideoFrontEnd`.
      frame_net: layer that computes maps of frames, such as `PanoramaNet`; None disables it.
      localizer: creates the layer that localises the tracks, such as `AttentionLocalizer`; called
        with `num_tracks`.
      sample_rate_hz: sample rate of the audio, in Hz.
      audio_net: creates the separation network; called with `num_tracks`.
      flow_net: layer that computes maps of the optical flow, of the same size as those of
        `frame_net`; None disables it.
      num_tracks: number of tracks N.
      masks: whether to separate tracks; if False, the whole recording has one direction at a time.
      localize_by_sound: whether localisation uses audio features; if False, visual features only.
      frame_length: window length of the STFT, in samples, even.
      hop_length: hop length of the STFT, in samples, at most half of the window.
      name: name of the model.

    Raises:
      UserError: the windows overlap by less than half, or localisation has neither audio nor visual
        features.
    """
    if frame_length % 2 or not 0 < hop_length <= frame_length // 2:
      raise UserError(
        f"SpatialUNet.frame_length is {frame_length} and hop_length {hop_length}; expected an even "
        "frame_length, and a hop_length of at most half of it."
      )
    if not localize_by_sound and frame_net is None and flow_net is None:
      raise UserError(
        "SpatialUNet.localize_by_sound is False, and there is neither frame_net nor flow_net: "
        "there are no features for localisation."
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
    """Predicts the weights by which the spectrum of W is multiplied to obtain Y, Z and X.

    Args:
      batch: `"audio"`: float32 `[B, samples, channels]`, of which only the first channel, W, is
        used; `"video"`: uint8 `[B, T, H, 2H, 3]`, frames at the centres of T equal time spans of
        the audio; with `flow_net`, also `"flow"`, same shape and type as `"video"`.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      complex64 `[B, 3, frames, bins]`: weights of Y, Z and X. The imaginary part is 0 here; a
      subclass may predict complex weights.
    """
    mixture = self.spectra(batch[keys.AUDIO][..., :1])[:, 0]
    maps = self.maps(batch, training=training)
    # Visual features, pooled over all directions, support the separation.
    visual = None if maps is None else tf.reduce_max(maps, axis=[2, 3])
    found = self.audio_net(sound_level(mixture), visual, training=training)
    vectors = self.localizer(self._cues(found["features"], maps))
    # Directions are interpolated between the times of the frames.
    vectors = time_steps.resample(vectors, tf.shape(mixture)[1])
    if self._masks:
      weights = tf.einsum("btfn,btnc->bctf", found["masks"], vectors)
    else:
      weights = tf.transpose(vectors[:, :, 0], [0, 2, 1])[..., tf.newaxis]
      weights = tf.repeat(weights, tf.shape(mixture)[2], axis=-1)
    # A cast would be equivalent, but its gradient prints warnings.
    return tf.complex(weights, tf.zeros_like(weights))

  def maps(self, batch: keys.Batch, training: bool = False) -> Optional[Tensor]:
    """Visual feature maps.

    Args:
      batch: as in `call`.
      training: as in `call`.

    Returns:
      float32 `[B, T, h, 2h, C]`, maps of frames and optical flow; None without `frame_net` and
      `flow_net`.

    Raises:
      UserError: the maps of `frame_net` and `flow_net` differ in size.
    """
    pictures = ((keys.VIDEO, self.frame_net), (keys.FLOW, self.flow_net))
    found = [
      net(self.frame_front_end(batch[key]), training=training)
      for key, net in pictures
      if net is not None
    ]
    if len(found) == 2 and found[0].shape[1:4] != found[1].shape[1:4]:
      raise UserError(
        f"SpatialUNet.frame_net returns maps of {tuple(found[0].shape[1:4])} (T, h, 2h), flow_net "
        f"of {tuple(found[1].shape[1:4])}; expected the same size: use the same strides for both."
      )
    return tf.concat(found, axis=-1) if found else None

  def _cues(self, sound: Tensor, maps: Optional[Tensor]) -> dict[str, Tensor]:
    """Input features of the localiser, at the same time steps."""
    if maps is None:
      return {keys.AUDIO: sound}
    sound = time_steps.resample(sound, maps.shape[1])
    if not self._localize_by_sound:
      sound = tf.ones_like(sound[..., :1])
    return {keys.AUDIO: sound, keys.VIDEO: maps}

  def placed(self, batch: keys.Batch, training: bool = False) -> Tensor:
    """Spectra of Y, Z and X.

    Args:
      batch: as in `call`.
      training: as in `call`.

    Returns:
      complex64 `[B, 3, frames, bins]`.
    """
    return self(batch, training=training) * self.spectra(batch[keys.AUDIO][..., :1])

  def generate(self, batch: keys.Batch) -> Tensor:
    """Generates the sound field, at inference.

    Args:
      batch: as in `call`.

    Returns:
      float32 `[B, samples, 4]`: W, unchanged, and the generated Y, Z and X.
    """
    pressure = batch[keys.AUDIO][..., :1]
    velocity = short_time.inverse_stft(
      self.placed(batch), tf.shape(pressure)[1], self.frame_length, self.hop_length
    )
    return tf.concat([pressure, tf.linalg.matrix_transpose(velocity)], axis=-1)

  def spectra(self, waveform: Tensor) -> Tensor:
    """Short-time Fourier transform.

    Args:
      waveform: float32 `[B, samples, C]`.

    Returns:
      complex64 `[B, C, frames, bins]`.
    """
    signals = tf.linalg.matrix_transpose(waveform)
    return short_time.stft(signals, self.frame_length, self.hop_length)

  def input_channels(self, shapes: Mapping[str, Sequence[int]]) -> int:
    """1: the network reads W only, even if clips have more channels."""
    del shapes
    return 1

  def prepare(
    self, sample_rate_hz: int, statistics: Callable[[Spectrogram], Statistics]
  ) -> None:
    """See `Network`; spectra are normalised by their own level and require no statistics."""
    del statistics
    if sample_rate_hz != self.sample_rate_hz:
      raise UserError(
        f"The audio of the clips is sampled at {sample_rate_hz} Hz, the network expects "
        f"{self.sample_rate_hz} Hz. Set ClipSpec.sample_rate_hz={self.sample_rate_hz} to resample "
        f"the audio, or change {type(self).__name__}.sample_rate_hz (and its lengths)."
      )

  def sound_maps(self, waveforms: Tensor) -> list[SoundMap]:
    """The log magnitudes of W, the only audio input of the network."""
    level = sound_level(self.spectra(waveforms[..., :1])[:, 0])
    return [SoundMap(level.numpy(), *_LOG_RANGE)]

  def restorable(self, names: Collection[str]) -> Any:
    """See `Network`; from a run of another task, the video network in a `PanoramaEncoder`."""
    if isinstance(self.frame_net, PanoramaEncoder) and any(n.startswith(_VIDEO_NET) for n in names):
      return tf.train.Checkpoint(video_net=self.frame_net.encoder)
    return self

  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """The signature of an exported SavedModel.

    Returns:
      `serving_default`: `video` (uint8 `[B, T, H, 2H, 3]`), `audio` (W), and, if it is in `specs`,
      `flow` -> `field`, float32 `[B, samples, 4]`, W Y Z X.
    """

    # The names of the arguments become the names of the inputs.
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
  """Log magnitudes relative to the root mean square of a clip, independent of its loudness.

  Args:
    spectra: complex64 `[B, frames, bins]`.

  Returns:
    float32 of the same shape.
  """
  power = tf.reduce_mean(tf.square(tf.abs(spectra)), axis=[1, 2], keepdims=True)
  return tf.math.log(tf.abs(spectra) / tf.sqrt(power + _SILENT**2) + _FAINT)
