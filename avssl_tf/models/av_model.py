"""The audio-visual model: two towers from raw input to unit-length embeddings."""

from collections.abc import Mapping, Sequence
from typing import Callable, Optional

import gin
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.errors import UserError
from avssl_tf.models.network import Network, Signature, SoundMap, Statistics
from avssl_tf.spectrograms import Spectrogram

# Stage that is pooled.
LAST_STAGE = "conv5x"
# Kernel of the first audio layer; its second-to-last axis is the number of input maps.
_AUDIO_STEM = "audio_net/conv1/kernel"
# Normalised levels are within a few standard deviations.
_LEVEL_RANGE = (-3.0, 3.0)
# Components of the intensity vector.
_DIRECTION_RANGE = (-1.0, 1.0)


@gin.register
class AudioVisualModel(Network):
  """Two-tower model: a front end, a network and a projection head for video and for audio.

  With f_v, f_a the networks (`video_net`, `audio_net`) and g_v, g_a the heads (`video_head`,
  `audio_head`), the embeddings of sample i are

      v_i = normalise(g_v(f_v(frames_i)))
      a_i = normalise(g_a(f_a(spectrogram_i)))

  A network is a layer that returns a dict with `"pooled"`, float32 `[B, D]`. A head maps `[B, D]`
  to `[B, E]` and has the attribute `embedding_dim`, E. `audio_visual` creates such a model by name.

  Source:
    Morgado, Vasconcelos, Misra, "Audio-Visual Instance Discrimination with Cross-Modal Agreement",
    CVPR 2021, section 3.
  """

  def __init__(
    self,
    video_front_end: tf.keras.layers.Layer,
    video_net: tf.keras.layers.Layer,
    video_head: tf.keras.layers.Layer,
    audio_front_end: tf.keras.layers.Layer,
    audio_net: tf.keras.layers.Layer,
    audio_head: tf.keras.layers.Layer,
    name: str = "audio_visual_model",
  ):
    """Creates the model.

    Args:
      video_front_end: layer from uint8 frames to the input of `video_net`, such as `VideoFrontEnd`.
      video_net: layer that returns a dict with `"pooled"`, float32 `[B, D]`, such as `R2Plus1D`.
      video_head: projection head of the video features, such as `MLPHead`.
      audio_front_end: layer from waveforms to the input of `audio_net`, such as `AudioFrontEnd`.
      audio_net: layer that returns a dict with `"pooled"`, float32 `[B, D]`, such as `AudioNet`.
      audio_head: projection head of the audio features, such as `MLPHead`.
      name: name of the model.

    Raises:
      UserError: the heads differ in `embedding_dim`.
    """
    if video_head.embedding_dim != audio_head.embedding_dim:
      raise UserError(
        f"The video head has {video_head.embedding_dim} output dimensions, the audio head "
        f"{audio_head.embedding_dim}; expected the same number, because the two are compared."
      )
    super().__init__(name=name)
    self.video_front_end = video_front_end
    self.video_net = video_net
    self.video_head = video_head
    self.audio_front_end = audio_front_end
    self.audio_net = audio_net
    self.audio_head = audio_head

  @property
  def embedding_dim(self) -> int:
    """Dimension E of the embeddings of both modalities."""
    return self.video_head.embedding_dim

  @property
  def sample_rate_hz(self) -> int:
    """Sample rate of the waveforms, in Hz."""
    return self.audio_front_end.spectrogram.sample_rate_hz

  def input_channels(self, shapes: Mapping[str, Sequence[int]]) -> Optional[int]:
    """See `Network`; derived from the number of input maps of the audio network."""
    if _AUDIO_STEM not in shapes:
      return None
    return self.audio_front_end.num_waveform_channels(shapes[_AUDIO_STEM][-2])

  def prepare(
    self, sample_rate_hz: int, statistics: Callable[[Spectrogram], Statistics]
  ) -> None:
    """See `Network`; sets the statistics of the audio front end."""
    expected_hz = self.sample_rate_hz
    if sample_rate_hz != expected_hz:
      raise UserError(
        f"The audio of the clips is sampled at {sample_rate_hz} Hz, the spectrogram expects "
        f"{expected_hz} Hz. Set ClipSpec.sample_rate_hz={expected_hz} to resample the audio, or "
        "change Spectrogram.sample_rate_hz (and its lengths)."
      )
    found = statistics(self.audio_front_end.spectrogram)
    self.audio_front_end.set_statistics(found["mean"], found["std"])

  def backbones(self) -> dict[str, tf.keras.layers.Layer]:
    """The video network, the audio network, and their front ends."""
    names = ("video_net", "audio_net", "video_front_end", "audio_front_end")
    return {name: getattr(self, name) for name in names}

  def embed_video(self, frames: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Embeds video clips.

    Args:
      frames: uint8 `[B, T, H, W, 3]`, RGB.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `"features"`: float32 `[B, D]`, pooled; `"embedding"`: float32 `[B, E]`, unit length.
    """
    features = self.video_net(self.video_front_end(frames), training=training)["pooled"]
    return _outputs(features, self.video_head(features, training=training))

  def embed_audio(self, waveform: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Embeds audio clips.

    Args:
      waveform: float32 `[B, samples, C]`, in -1..1.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `"features"`: float32 `[B, D]`, pooled; `"embedding"`: float32 `[B, E]`, unit length.
    """
    features = self.audio_net(self.audio_front_end(waveform), training=training)["pooled"]
    return _outputs(features, self.audio_head(features, training=training))

  def video_maps(self, frames: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Feature maps of each stage of the video network.

    Args:
      frames: uint8 `[B, T, H, W, 3]`, RGB.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `"conv1"`, `"conv2x"` ... `"conv5x"`: map of each stage, float32 `[B, t, h, w, c]`;
      `"pooled"`: float32 `[B, D]`.
    """
    return _as_float32(self.video_net(self.video_front_end(frames), training=training))

  def embed_video_positions(self, frames: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Embeds every position of the last map of the video network with the video head.

    The network max-pools each feature over the positions. The embedding of the clip therefore
    depends on the positions with the highest activations. Positions without these features are far
    from the embedding of the clip, and thus from the embedding of its audio.

    Args:
      frames: uint8 `[B, T, H, W, 3]`, RGB.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      float32 `[B, t, h, w, E]`, unit length; t, h, w as in `"conv5x"` of `video_maps`.
    """
    # Cast first: under mixed precision, the head also receives the pooled features in float32.
    features = self.video_maps(frames, training=training)[LAST_STAGE]
    rows = tf.reshape(features, [-1, features.shape[-1]])
    embedding = tf.cast(self.video_head(rows, training=training), tf.float32)
    embedding = tf.reshape(embedding, tf.concat([tf.shape(features)[:-1], [-1]], axis=0))
    embedding = tf.ensure_shape(embedding, [*features.shape[:-1], self.embedding_dim])
    return tf.math.l2_normalize(embedding, axis=-1)

  def audio_maps(self, waveform: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Feature maps of each stage of the audio network.

    Args:
      waveform: float32 `[B, samples, C]`, in -1..1.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `"conv1"`, `"conv2x"` ... `"conv5x"`: map of each stage, float32 `[B, t, f, c]`;
      `"pooled"`: float32 `[B, D]`.
    """
    return _as_float32(self.audio_net(self.audio_front_end(waveform), training=training))

  def call(self, batch: keys.Batch, training: bool = False) -> dict[str, dict[str, tf.Tensor]]:
    """Embeds both modalities of a batch.

    Args:
      batch: `"video"`, uint8 `[B, T, H, W, 3]`, and `"audio"`, float32 `[B, samples, C]`.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `{"video": embed_video(...), "audio": embed_audio(...)}`.
    """
    return {
      keys.VIDEO: self.embed_video(batch[keys.VIDEO], training=training),
      keys.AUDIO: self.embed_audio(batch[keys.AUDIO], training=training),
    }

  def sound_maps(self, waveforms: tf.Tensor) -> list[SoundMap]:
    """Normalised levels of each channel, and intensity vectors if the front end computes them."""
    maps = self.audio_front_end(waveforms).numpy()
    num_levels = waveforms.shape[-1]
    return [
      SoundMap(maps[..., index], *_LEVEL_RANGE)
      if index < num_levels
      else SoundMap(maps[..., index], *_DIRECTION_RANGE, signed=True)
      for index in range(maps.shape[-1])
    ]

  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """The signatures of an exported SavedModel; for 360° clips they take single viewpoints.

    Returns:
      `embed_video`: `video` -> `video_features`, float32 `[B, D]`, and `video_embedding`, float32
      `[B, E]`, unit length. `embed_audio`: the same for `audio`. `serving_default`: both inputs ->
      all four outputs. `video_maps`: `video` -> maps of the stages of the video network, `conv1`,
      `conv2x` ... `conv5x`, float32 `[B, t, h, w, c]`, and `pooled`, float32 `[B, D]`.
      `audio_maps`: the same for `audio`, with maps `[B, t, f, c]`. `embed_video_positions`:
      `video` -> `video_position_embeddings`, float32 `[B, t, h, w, E]`, unit length, of every
      position of `conv5x`.
    """

    def embed_video(video):
      outputs = self.embed_video(video, training=False)
      return {"video_features": outputs["features"], "video_embedding": outputs["embedding"]}

    def embed_audio(audio):
      outputs = self.embed_audio(audio, training=False)
      return {"audio_features": outputs["features"], "audio_embedding": outputs["embedding"]}

    def embed_both(video, audio):
      return {**embed_video(video), **embed_audio(audio)}

    def video_maps(video):
      return self.video_maps(video, training=False)

    def audio_maps(audio):
      return self.audio_maps(audio, training=False)

    def embed_video_positions(video):
      return {"video_position_embeddings": self.embed_video_positions(video, training=False)}

    video, audio = specs[keys.VIDEO], specs[keys.AUDIO]
    return {
      tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: Signature(embed_both, [video, audio]),
      "embed_video": Signature(embed_video, [video]),
      "embed_audio": Signature(embed_audio, [audio]),
      "video_maps": Signature(video_maps, [video]),
      "audio_maps": Signature(audio_maps, [audio]),
      "embed_video_positions": Signature(embed_video_positions, [video]),
    }


def _outputs(features: tf.Tensor, embedding: tf.Tensor) -> dict[str, tf.Tensor]:
  return {
    "features": tf.cast(features, tf.float32),
    "embedding": tf.math.l2_normalize(tf.cast(embedding, tf.float32), axis=-1),
  }


def _as_float32(maps: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  return {name: tf.cast(value, tf.float32) for name, value in maps.items()}
