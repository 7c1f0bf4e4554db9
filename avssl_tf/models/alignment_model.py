"""The audio-visual model of 360° clips: two towers, and translation between their features."""

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
  """Two-tower model of K viewpoints of a 360° clip, with feature translation (AVSA).

  Each tower encodes one viewpoint at a time. The translation predicts the features of all
  viewpoints in one modality from those in the other. The embedding of a viewpoint is the target of
  these predictions.

  Attributes:
    translation: the `FeatureTranslation` between video and audio features.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, section 3.
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
    """Creates the model.

    Args:
      video_front_end: layer from uint8 frames to the input of `video_net`, such as `VideoFrontEnd`.
      video_net: layer that returns a dict with `"pooled"`, float32 `[B, D]`, such as `R2Plus1D`.
      audio_front_end: layer from waveforms to the input of `audio_net`, such as
        `AmbisonicFrontEnd`.
      audio_net: layer that returns a dict with `"pooled"`, float32 `[B, D]`, such as `AudioNet`.
      translation: predicts features across modalities; also contains the projection heads.
      name: name of the model.

    Raises:
      UserError: the heads of video and audio differ in `embedding_dim`.
    """
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
    """Pooled features of each viewpoint.

    Args:
      batch: `"video"`, uint8 `[B, K, T, H, W, 3]`, and `"audio"`, float32 `[B, K, samples, C]`.
      training: whether batch normalisation uses, and updates, the statistics of the batch.

    Returns:
      `"video"` and `"audio"`: float32 `[B, K, D]`.
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
    """Computes targets, and predictions of them from the other modality.

    Args:
      batch: as in `view_features`.
      training: whether batch normalisation uses the statistics of the batch, and dropout is active.
      pool: whether to max-pool over the viewpoints before the heads; K is 1 in the result.
      seed: int `[2]`, seed of dropout; required in training if the dropout rate is above 0.

    Returns:
      `"target"` and `"prediction"`, each a dict of `"video"` and `"audio"`, float32 `[B, K, E]`,
      unit length.
    """
    features = self.view_features(batch, training)
    return self.translation(features, training=training, pool=pool, seed=seed)

  def translate(self, features: dict[str, tf.Tensor]) -> dict[str, dict[str, tf.Tensor]]:
    """Translates and projects the features of the viewpoints of clips, at inference.

    Args:
      features: `"video"` and `"audio"`: float32 `[B, K, D]`, pooled features of K viewpoints.

    Returns:
      `"translated"`, `"target"` and `"prediction"`, each a dict of `"video"` and `"audio"`.
      `"translated"`: features predicted from the other modality, float32 `[B, K, D]`. `"target"`
      and `"prediction"`: projections of the features and of the translated features, float32
      `[B, K, E]`, unit length.
    """
    translated = self.translation.translate(features)
    return {
      "translated": {m: tf.cast(value, tf.float32) for m, value in translated.items()},
      **self.translation.project(features, translated),
    }

  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """The signatures of `AudioVisualModel`, and `translate`.

    Returns:
      In addition, `translate`: `video_features` and `audio_features`, `[B, K, D]`, of K viewpoints
      -> `video_translated` and `audio_translated`, `[B, K, D]`, and `video_target`,
      `audio_target`, `video_prediction` and `audio_prediction`, `[B, K, E]`; see `translate`.
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
