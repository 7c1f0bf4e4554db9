"""The audio-visual model: two towers from raw input to unit-length embeddings."""


import gin
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.errors import UserError

# The stage whose map networks pool.
LAST_STAGE = "conv5x"


@gin.register
class AudioVisualModel(tf.keras.Model):
  """A video tower and an audio tower, each of front end, network and projection head.

  A network is a layer that returns a dict with `"pooled"`, float32 `[B, D]`; a head maps
  that to `[B, E]` and knows E as its `embedding_dim`.
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
    if video_head.embedding_dim != audio_head.embedding_dim:
      raise UserError(
        f"The video head gives {video_head.embedding_dim} dimensions, the audio head "
        f"{audio_head.embedding_dim}; expected the same, since the two are compared."
      )
    # Mixed precision would round the waveforms before they reach the front end.
    super().__init__(name=name, autocast=False)
    self.video_front_end = video_front_end
    self.video_net = video_net
    self.video_head = video_head
    self.audio_front_end = audio_front_end
    self.audio_net = audio_net
    self.audio_head = audio_head

  @property
  def embedding_dim(self) -> int:
    """Dimension E of the embeddings, the same for video and audio."""
    return self.video_head.embedding_dim

  def embed_video(self, frames: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Embeds uint8 frames `[B, T, H, W, 3]`.

    Returns:
      `"features"`: float32 `[B, D]`, pooled; `"embedding"`: float32 `[B, E]`, of unit length.
    """
    features = self.video_net(self.video_front_end(frames), training=training)["pooled"]
    return _outputs(features, self.video_head(features, training=training))

  def embed_audio(self, waveform: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Embeds waveforms, float32 `[B, samples, C]` in -1..1.

    Returns:
      `"features"`: float32 `[B, D]`, pooled; `"embedding"`: float32 `[B, E]`, of unit length.
    """
    features = self.audio_net(self.audio_front_end(waveform), training=training)["pooled"]
    return _outputs(features, self.audio_head(features, training=training))

  def video_maps(self, frames: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """What each stage of the video network makes of uint8 frames `[B, T, H, W, 3]`.

    Returns:
      By the name of the stage (`"conv1"`, `"conv2x"` ... `"conv5x"`), its map, float32
      `[B, t, h, w, c]`; `"pooled"`: float32 `[B, D]`.
    """
    return _as_float32(self.video_net(self.video_front_end(frames), training=training))

  def embed_video_positions(self, frames: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Embeds every position of the last map of the video network, by the model's own head.

    The network pools by the maximum of each feature, so that an embedding of the whole takes each
    feature from the position that has most of it: positions that hold none of those features are
    far from the embedding of the whole, and so from that of a sound that belongs to it.

    Args:
      frames: uint8 `[B, T, H, W, 3]`.
      training: whether batch normalisation uses, and learns from, the batch.

    Returns:
      float32 `[B, t, h, w, E]`, of unit length, with t, h, w those of `"conv5x"` in `video_maps`.
    """
    # Cast first: under mixed precision the pooled features reach the head in float32 too.
    features = self.video_maps(frames, training=training)[LAST_STAGE]
    rows = tf.reshape(features, [-1, features.shape[-1]])
    embedding = tf.cast(self.video_head(rows, training=training), tf.float32)
    embedding = tf.reshape(embedding, tf.concat([tf.shape(features)[:-1], [-1]], axis=0))
    embedding = tf.ensure_shape(embedding, [*features.shape[:-1], self.embedding_dim])
    return tf.math.l2_normalize(embedding, axis=-1)

  def audio_maps(self, waveform: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """What each stage of the audio network makes of waveforms, float32 `[B, samples, C]`.

    Returns:
      By the name of the stage (`"conv1"`, `"conv2x"` ... `"conv5x"`), its map, float32
      `[B, t, f, c]`; `"pooled"`: float32 `[B, D]`.
    """
    return _as_float32(self.audio_net(self.audio_front_end(waveform), training=training))

  def call(self, batch: keys.Batch, training: bool = False) -> dict[str, dict[str, tf.Tensor]]:
    """Embeds a batch that has `keys.VIDEO` and `keys.AUDIO`.

    Returns:
      `{"video": embed_video(...), "audio": embed_audio(...)}`.
    """
    return {
      keys.VIDEO: self.embed_video(batch[keys.VIDEO], training=training),
      keys.AUDIO: self.embed_audio(batch[keys.AUDIO], training=training),
    }


def _outputs(features: tf.Tensor, embedding: tf.Tensor) -> dict[str, tf.Tensor]:
  return {
    "features": tf.cast(features, tf.float32),
    "embedding": tf.math.l2_normalize(tf.cast(embedding, tf.float32), axis=-1),
  }


def _as_float32(maps: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  return {name: tf.cast(value, tf.float32) for name, value in maps.items()}
