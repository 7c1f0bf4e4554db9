"""The audio-visual model of 360° clips: two towers, and translation between what they see."""

from collections.abc import Mapping
from typing import Optional

import gin
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.keys import AUDIO, MODALITIES, VIDEO
from avssl_tf.models import av_model
from avssl_tf.models.network import Signature
from avssl_tf.models.translation import FeatureTranslation


@gin.register
class AlignmentModel(av_model.AudioVisualModel):
  """Two towers that look and listen from K viewpoints of a clip, and a translation of features.

  Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
  2020, section 3. Each tower takes one view at a time; the embedding of a view is what the other
  modality's views are translated into.

  Attributes:
    translation: predicts features of sound from those of pictures, and the other way round.
  """

  def __init__(
    self,
    video_front_end: tf.keras.layers.Layer,
    video_net: tf.keras.layers.Layer,
    audio_front_end: tf.keras.layers.Layer,
    audio_net: tf.keras.layers.Layer,
    translation: FeatureTranslation,
    name: str = "alignment_model",
  ):
    super().__init__(
      video_front_end,
      video_net,
      translation.heads[VIDEO],
      audio_front_end,
      audio_net,
      translation.heads[AUDIO],
      name=name,
    )
    self.translation = translation

  def view_features(
    self, batch: keys.Batch, training: bool = False
  ) -> dict[str, tf.Tensor]:
    """Pooled features of each view.

    Args:
      batch: `VIDEO`, uint8 `[B, K, T, H, W, 3]`, and `AUDIO`, float32 `[B, K, samples, C]`.
      training: whether to use the statistics of the batch.

    Returns:
      `VIDEO` and `AUDIO`: float32 `[B, K, D]`.
    """
    towers = {
      VIDEO: (self.video_front_end, self.video_net),
      AUDIO: (self.audio_front_end, self.audio_net),
    }
    result = {}
    for modality in MODALITIES:
      front_end, net = towers[modality]
      shape = tf.shape(batch[modality])
      views = tf.reshape(batch[modality], tf.concat([[-1], shape[2:]], axis=0))
      features = tf.cast(net(front_end(views), training=training)["pooled"], tf.float32)
      count = batch[modality].shape[1] or shape[1]
      result[modality] = tf.reshape(features, [-1, count, features.shape[-1]])
    return result

  def call(
    self,
    batch: keys.Batch,
    training: bool = False,
    pool: bool = False,
    seed: Optional[tf.Tensor] = None,
  ) -> dict[str, dict[str, tf.Tensor]]:
    """Targets, and predictions of them from the other modality.

    Args:
      batch: as of `view_features`.
      training: whether to use the statistics of the batch, and to drop out.
      pool: whether to take the maximum over the viewpoints before the heads; K is 1 then.
      seed: int `[2]`, of what is dropped out; needed in training, unless nothing is.

    Returns:
      `"target"` and `"prediction"`: `VIDEO` and `AUDIO`, float32 `[B, K, E]` of unit length.
    """
    features = self.view_features(batch, training)
    return self.translation(features, training=training, pool=pool, seed=seed)

  def translate(self, features: dict[str, tf.Tensor]) -> dict[str, dict[str, tf.Tensor]]:
    """All that the trained network makes of the features of the views of clips.

    Args:
      features: `VIDEO` and `AUDIO`: float32 `[B, K, D]`, pooled features of K views.

    Returns:
      By modality: `"translated"`, the features as they follow from the other modality, float32
      `[B, K, D]`; `"target"` and `"prediction"`, what the heads make of the features and of the
      translated ones, float32 `[B, K, E]` of unit length.
    """
    translated = self.translation.translate(features)
    return {
      "translated": {m: tf.cast(value, tf.float32) for m, value in translated.items()},
      **self.translation.project(features, translated),
    }

  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """Those of `AudioVisualModel`, and `translate`.

    Returns:
      `translate`: `video_features` and `audio_features` [B, K, D] of K views ->
      `video_translated` and `audio_translated` [B, K, D], `video_target` and so on, `[B, K, E]`,
      as `translate` of this class returns them.
    """

    def translate(video_features, audio_features):
      outputs = self.translate({VIDEO: video_features, AUDIO: audio_features})
      return {
        f"{modality}_{kind}": value
        for kind, found in outputs.items()
        for modality, value in found.items()
      }

    inputs = [
      tf.TensorSpec([None, None, dim], tf.float32, f"{modality}_features")
      for modality, dim in sorted(self.translation.feature_dims.items(), reverse=True)
    ]
    return {**super().signatures(specs), "translate": Signature(translate, inputs)}
