"""Translation of features between modalities by one transformer per direction (AVSA)."""

from typing import Callable, Optional

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, VIDEO, Tensor

fold_in = tf.random.experimental.stateless_fold_in

NORMALIZATIONS = ("post", "pre")
_EPSILON = 1e-5


class TransformerLayer(tf.keras.layers.Layer):
  """Self-attention and a two-layer perceptron, each with a residual connection.

  `normalization="post"` is the layer of the published system: the sums are normalised, and a ReLU
  follows. `"pre"` normalises the inputs of attention and perceptron instead, without a final ReLU.
  Its residual branches are initialised to 0, so the layer is the identity at first.

  Dropout is a pure function of a seed, so an interrupted run resumes with identical results.
  Attention weights are not dropped out; with one head, the published system does not either.
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
      raise UserError(f"{dim} dimensions cannot be divided among {num_heads} attention heads.")
    self._pre = normalization == "pre"
    last = "zeros" if self._pre else "glorot_uniform"
    self.attention = tf.keras.layers.MultiHeadAttention(
      num_heads, dim // num_heads, name="attention"
    )
    # Keras has a single initialiser for all projections of the attention layer.
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
    """Maps `[B, K, dim]` to the same shape; each viewpoint attends to all K of its clip."""

    def drop(value: Tensor, place: int) -> Tensor:
      if not (training and self._dropout):
        return value
      if seed is None:
        raise UserError("A transformer with dropout requires a seed in training.")
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
  """Transformer over the viewpoints of a clip; the defaults are those of the paper.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, section 3.3. `normalization="pre"`: this project.
  """

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
      depth: number of layers, 1 or more.
      expansion: width of the hidden layer of the perceptrons, as a multiple of the input width.
      num_heads: number of attention heads; 1 in the published configuration, which has a variant
        with 8. It must divide the input width.
      dropout: dropout rate in training.
      normalization: `"post"`, as published, or `"pre"`, which is the identity at first.
      name: name of the layer.

    Raises:
      UserError: the depth is below 1, or the normalisation is unknown.
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
    """Transforms the features of the viewpoints of each clip.

    Args:
      x: float `[B, K, dim]`.
      training: whether dropout is active.
      seed: int `[2]`, seed of dropout; required in training if the dropout rate is above 0.

    Returns:
      float, same shape as `x`.
    """
    for i, block in enumerate(self.blocks):
      x = block(x, training=training, seed=None if seed is None else fold_in(seed, i))
    return x


@gin.register
class FeatureTranslation(tf.keras.layers.Layer):
  """Predicts audio features from video features and vice versa, viewpoint by viewpoint.

  With t_va and t_av the transformers and g the heads, the targets and predictions of a clip are

      target:     g_v(v),         g_a(a)
      prediction: g'_v(t_av(a)),  g'_a(t_va(v))

  scaled to unit length. Without transformers, t is the identity.

  Attributes:
    embedding_dim: dimension E of targets and predictions.
    feature_dims: dimension D of the features, by modality; set when the layer is built.

  Source:
    Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment",
    NeurIPS 2020, section 3.3.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> translation = models.FeatureTranslation(models.MLPHead, models.Transformer)
    >>> features = {"video": tf.zeros([2, 4, 32]), "audio": tf.zeros([2, 4, 32])}
    >>> translation(features)["prediction"]["audio"].shape
    TensorShape([2, 4, 128])
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
      head: creates a projection head; called with `name`, for targets and predictions of each
        modality.
      transformer: creates a transformer; called with `name`, once per direction. None predicts from
        the features of the same viewpoint alone.
      shared_heads: whether to use one head per modality, as in plain contrastive learning: the
        prediction from a modality is the projection of its features by its own head. Requires
        `transformer=None`.
      name: name of the layer.

    Raises:
      UserError: `shared_heads` is True and there is a transformer.
    """
    super().__init__(name=name, autocast=False)
    if shared_heads and transformer is not None:
      raise UserError(
        "FeatureTranslation.shared_heads is True, but shared heads cannot project the output of "
        "transformers. Set FeatureTranslation.transformer = None."
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
    """Translates features into the other modality, before any projection.

    Args:
      features: `"video"` and `"audio"`: float `[B, K, D]`.
      training: whether dropout is active.
      seed: int `[2]`, seed of dropout; required in training if the dropout rate is above 0.

    Returns:
      `"video"`: predicted from audio; `"audio"`: predicted from video; `[B, K, D]`.
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
    """Computes targets, and predictions of them from the other modality.

    Args:
      features: `"video"` and `"audio"`: float `[B, K, D]`, features of K viewpoints.
      training: whether dropout is active.
      pool: whether to max-pool over the viewpoints before the heads; K is 1 in the result.
      seed: as in `translate`.

    Returns:
      `"target"` and `"prediction"`, each a dict of `"video"` and `"audio"`, float32 `[B, K, E]`,
      unit length.
    """
    return self.project(features, self.translate(features, training, seed), training, pool)

  def project(
    self,
    features: dict[str, Tensor],
    translated: dict[str, Tensor],
    training: bool = False,
    pool: bool = False,
  ) -> dict[str, dict[str, Tensor]]:
    """Projects features and translated features; the second half of `call`.

    Args:
      features: as in `call`.
      translated: the result of `translate`.
      training: whether dropout is active in the heads.
      pool: as in `call`.

    Returns:
      As in `call`.
    """
    result = {"target": {}, "prediction": {}}
    for modality, other in ((VIDEO, AUDIO), (AUDIO, VIDEO)):
      predicting = self.heads[other if self._shared_heads else f"{modality}_prediction"]
      for kind, value, head in (
        ("target", features[modality], self.heads[modality]),
        ("prediction", translated[modality], predicting),
      ):
        if pool:
          value = tf.reduce_max(value, axis=1, keepdims=True)
        # Heads process one viewpoint at a time, as in the embedding of single views.
        views = tf.reshape(value, [-1, value.shape[-1]])
        projected = tf.cast(head(views, training=training), tf.float32)
        count = value.shape[1] or tf.shape(value)[1]
        projected = tf.reshape(projected, [-1, count, self.embedding_dim])
        result[kind][modality] = tf.math.l2_normalize(projected, axis=-1)
    return result
