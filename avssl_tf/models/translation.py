"""Translation of features between modalities, viewpoint by viewpoint.

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, section 3.3: a transformer per direction turns the features of all viewpoints of a clip in one
modality into predictions of their features in the other.
"""

from typing import Callable, Optional

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, VIDEO, Tensor

fold_in = tf.random.experimental.stateless_fold_in

NORMALIZATIONS = ("post", "pre")
_EPSILON = 1e-5


class TransformerLayer(tf.keras.layers.Layer):
  """Self-attention and a two-layer perceptron, each with a shortcut around it.

  With `normalization="post"` the layer of the published system: the sums are normalised, and ReLU
  ends the layer. With `"pre"` what enters attention and perceptron is normalised instead, nothing
  ends the layer, and it begins as the identity, since what joins the shortcuts starts at 0.

  What is dropped out follows from a seed, so that a run that was stopped goes on as if it had not
  been. The attention itself is never dropped out: with one head, it is not in the published system
  either.
  """

  def __init__(
    self,
    dim: int,
    expansion: int = 4,
    num_heads: int = 1,
    dropout: float = 0.1,
    normalization: str = "post",
    name=None,
  ):
    super().__init__(name=name)
    if normalization not in NORMALIZATIONS:
      raise UserError(
        f"TransformerLayer.normalization is {normalization!r}; expected one of "
        f"{', '.join(NORMALIZATIONS)}."
      )
    if dim % num_heads:
      raise UserError(f"{dim} dimensions cannot be shared by {num_heads} attention heads.")
    self._pre = normalization == "pre"
    last = "zeros" if self._pre else "glorot_uniform"
    self.attention = tf.keras.layers.MultiHeadAttention(
      num_heads, dim // num_heads, name="attention"
    )
    # Keras has a single initialiser for all of its projections.
    self._attention_gain = (
      self.add_weight("attention_gain", [dim], initializer="zeros") if self._pre else None
    )
    self.attention_norm = tf.keras.layers.LayerNormalization(
      epsilon=_EPSILON, name="attention_norm"
    )
    self.hidden = tf.keras.layers.Dense(expansion * dim, activation="relu", name="hidden")
    self.output_dense = tf.keras.layers.Dense(dim, kernel_initializer=last, name="output")
    self.dense_norm = tf.keras.layers.LayerNormalization(epsilon=_EPSILON, name="dense_norm")
    self._dropout = dropout

  def call(self, x: Tensor, training: bool = False, seed: Optional[Tensor] = None) -> Tensor:
    """Maps `[B, K, dim]` to the same shape; each of the K sees all of its clip.

    Args:
      x: the features.
      training: whether to drop out.
      seed: int `[2]`, of what is dropped out; needed in training, unless nothing is.
    """

    def drop(value: Tensor, place: int) -> Tensor:
      if not (training and self._dropout):
        return value
      if seed is None:
        raise UserError("A transformer that drops out needs a seed in training.")
      return tf.nn.experimental.stateless_dropout(value, self._dropout, fold_in(seed, place))

    def perceptron(value: Tensor) -> Tensor:
      return drop(self.output_dense(self.hidden(value)), 1)

    if self._pre:
      normalized = self.attention_norm(x)
      gain = tf.cast(self._attention_gain, x.dtype)
      x = x + drop(self.attention(normalized, normalized) * gain, 0)
      return x + perceptron(self.dense_norm(x))
    x = self.attention_norm(x + drop(self.attention(x, x), 0))
    return tf.nn.relu(self.dense_norm(x + perceptron(x)))


@gin.register
class Transformer(tf.keras.layers.Layer):
  """Transformer over the viewpoints of a clip; the defaults are those of the paper."""

  def __init__(
    self,
    depth: int = 2,
    expansion: int = 4,
    num_heads: int = 1,
    dropout: float = 0.1,
    normalization: str = "post",
    name: str = "transformer",
  ):
    """Creates the transformer; its width is that of its input.

    Args:
      depth: number of layers.
      expansion: width of the perceptrons' hidden layer, as a multiple of the input's.
      num_heads: attention heads; 1 is the published configuration, which has a variant of 8.
      dropout: share of activations dropped in training.
      normalization: `"post"`, as published, or `"pre"`, which starts as the identity.
      name: name of the layer.

    Raises:
      UserError: not a layer, or an unknown normalisation.
    """
    super().__init__(name=name)
    if depth < 1:
      raise UserError(f"Transformer.depth is {depth}; expected 1 or more.")
    if normalization not in NORMALIZATIONS:
      raise UserError(
        f"Transformer.normalization is {normalization!r}; expected one of "
        f"{', '.join(NORMALIZATIONS)}."
      )
    self._depth = depth
    self._settings = dict(
      expansion=expansion, num_heads=num_heads, dropout=dropout, normalization=normalization
    )
    self.blocks = []

  def build(self, input_shape):
    self.blocks = [
      TransformerLayer(input_shape[-1], name=f"layer_{i}", **self._settings)
      for i in range(self._depth)
    ]
    super().build(input_shape)

  def call(self, x: Tensor, training: bool = False, seed: Optional[Tensor] = None) -> Tensor:
    """Maps `[B, K, dim]` to the same shape; arguments as of `TransformerLayer.call`."""
    for i, block in enumerate(self.blocks):
      x = block(x, training=training, seed=None if seed is None else fold_in(seed, i))
    return x


@gin.register
class FeatureTranslation(tf.keras.layers.Layer):
  """Predicts features of sound from those of pictures, and the other way round.

  Attributes:
    embedding_dim: dimension of targets and predictions.
    feature_dims: dimension of the features of either modality, once the layer is built.
  """

  def __init__(
    self,
    head: Callable[..., tf.keras.layers.Layer],
    transformer: Optional[Callable[..., tf.keras.layers.Layer]] = None,
    shared_heads: bool = False,
    name: str = "feature_translation",
  ):
    """Creates the transformers and heads.

    Args:
      head: makes a projection head; called with `name`, four times: for the features of either
        modality as they are and as they are predicted.
      transformer: makes a transformer; called with `name`, once for each direction; None predicts
        from the features of the same viewpoint alone.
      shared_heads: whether there is one head a modality, made twice: what is predicted from a
        modality is what its own head makes of its features, as in plain contrastive learning. Only
        without `transformer`.
      name: name of the layer.

    Raises:
      UserError: heads are to be shared with transformers in between.
    """
    super().__init__(name=name, autocast=False)
    if shared_heads and transformer is not None:
      raise UserError(
        "FeatureTranslation.shared_heads is True: a head of a modality takes its own features, and "
        "transformers give others. Set FeatureTranslation.transformer = None."
      )
    self._shared_heads = shared_heads
    names = {VIDEO: "video_to_audio", AUDIO: "audio_to_video"}
    self.transformers = {
      query: transformer(name=name) for query, name in names.items() if transformer is not None
    }
    own = (VIDEO, AUDIO)
    predicting = () if shared_heads else (f"{VIDEO}_prediction", f"{AUDIO}_prediction")
    self.heads = {name: head(name=f"{name}_head") for name in (*own, *predicting)}
    self.embedding_dim = self.heads[VIDEO].embedding_dim
    self.feature_dims: dict[str, int] = {}

  def build(self, input_shape):
    self.feature_dims = {modality: shape[-1] for modality, shape in input_shape.items()}
    super().build(input_shape)

  def translate(
    self, features: dict[str, Tensor], training: bool = False, seed: Optional[Tensor] = None
  ) -> dict[str, Tensor]:
    """Features translated into the other modality, before any projection.

    Args:
      features: `VIDEO` and `AUDIO`: float `[B, K, D]`.
      training: whether to drop out.
      seed: int `[2]`, of what is dropped out; needed in training, unless nothing is.

    Returns:
      `VIDEO`: predicted from the sound, `AUDIO`: predicted from the pictures, `[B, K, D]`.
    """
    result = {}
    for place, (query, other) in enumerate(((VIDEO, AUDIO), (AUDIO, VIDEO))):
      value = features[query]
      if self.transformers:
        own_seed = None if seed is None else fold_in(seed, place)
        value = self.transformers[query](value, training=training, seed=own_seed)
      result[other] = value
    return result

  def call(
    self,
    features: dict[str, Tensor],
    training: bool = False,
    pool: bool = False,
    seed: Optional[Tensor] = None,
  ) -> dict[str, dict[str, Tensor]]:
    """Targets, and predictions of them from the other modality.

    Args:
      features: `VIDEO` and `AUDIO`: float `[B, K, D]`, features of K viewpoints.
      training: whether to drop out.
      pool: whether to take the maximum over the viewpoints before the heads; K is 1 then.
      seed: as of `translate`.

    Returns:
      `"target"` and `"prediction"`: `VIDEO` and `AUDIO`, float32 `[B, K, E]` of unit length.
    """
    return self.project(features, self.translate(features, training, seed), training, pool)

  def project(
    self,
    features: dict[str, Tensor],
    translated: dict[str, Tensor],
    training: bool = False,
    pool: bool = False,
  ) -> dict[str, dict[str, Tensor]]:
    """The second half of `call`: projects features and what `translate` made of them."""
    result = {"target": {}, "prediction": {}}
    for modality, other in ((VIDEO, AUDIO), (AUDIO, VIDEO)):
      predicting = self.heads[other if self._shared_heads else f"{modality}_prediction"]
      for kind, value, head in (
        ("target", features[modality], self.heads[modality]),
        ("prediction", translated[modality], predicting),
      ):
        if pool:
          value = tf.reduce_max(value, axis=1, keepdims=True)
        # A head takes one view at a time, as where features of single views are embedded.
        views = tf.reshape(value, [-1, value.shape[-1]])
        projected = tf.cast(head(views, training=training), tf.float32)
        count = value.shape[1] or tf.shape(value)[1]
        projected = tf.reshape(projected, [-1, count, self.embedding_dim])
        result[kind][modality] = tf.math.l2_normalize(projected, axis=-1)
    return result
