"""Layers that estimate the direction of each separated track from a 360° frame."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, VIDEO, Tensor
from avssl_tf.spatial import ambisonics, directions


@gin.register
class AttentionLocalizer(tf.keras.layers.Layer):
  """Localises each track by attention: each track attends to its source direction.

  For track n, time t and direction d of the visual map, with q the query from the audio features, k
  the key of the map, D = `key_dim`, u_d the unit vector of direction d and e_d its elevation:

      p(d | n, t) = softmax over d of (<q_nt, k_td> / sqrt(D) + log cos(e_d))
      vector(n, t) = gain_nt * sum_d p(d | n, t) u_d

  The term log cos(e_d) weights each pixel by its area on the sphere. The length of the expected
  unit vector expresses confidence. Only the correspondence of audio and visual features is learned;
  directions follow from the geometry of the map.

  Source:
    This project.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> localizer = models.AttentionLocalizer(num_tracks=2)
    >>> localizer({"audio": tf.zeros([1, 5, 16]), "video": tf.zeros([1, 5, 4, 8, 32])}).shape
    TensorShape([1, 5, 2, 3])
  """

  def __init__(self, num_tracks: int, key_dim: int = 32, name: str = "attention_localizer"):
    """Creates the layer.

    Args:
      num_tracks: number of tracks.
      key_dim: dimension D of queries and keys.
      name: name of the layer.
    """
    super().__init__(name=name, dtype="float32")
    self._num_tracks = num_tracks
    self._key_dim = key_dim
    self.query = tf.keras.layers.Dense(num_tracks * key_dim, dtype="float32", name="query")
    self.key = tf.keras.layers.Dense(key_dim, dtype="float32", name="key")
    self.gain = tf.keras.layers.Dense(num_tracks, dtype="float32", name="gain")

  def call(self, features: dict[str, Tensor]) -> Tensor:
    """Localises the tracks.

    Args:
      features: `"audio"`: float32 `[B, T, C]`, audio features at T times; `"video"`: float32
        `[B, T, h, 2h, C]`, equirectangular visual maps at the same times.

    Returns:
      float32 `[B, T, num_tracks, 3]`: vectors (y, z, x), in the order of the first-order channels.
      The sound field of a track is its signal times its vector.
    """
    attention = self.attention(features)
    azimuth_rad, elevation_rad = ambisonics.pixel_directions(*attention.shape[-2:])
    vectors = directions.unit_vectors(azimuth_rad, elevation_rad)
    expected = tf.einsum("btnhw,hwd->btnd", attention, vectors)
    gain = tf.nn.softplus(self.gain(features[AUDIO]))[..., tf.newaxis]
    return gain * tf.gather(expected, [1, 2, 0], axis=-1)

  def attention(self, features: dict[str, Tensor]) -> Tensor:
    """Attention of each track over the directions.

    Args:
      features: as in `call`.

    Returns:
      float32 `[B, T, num_tracks, h, 2h]`; sums to 1 over the directions.

    Raises:
      UserError: there is no visual map.
    """
    if VIDEO not in features:
      raise UserError(
        "AttentionLocalizer requires visual maps, and there is neither SpatialUNet.frame_net nor "
        "flow_net: set one of them, or bind SpatialUNet.localizer = @DenseLocalizer."
      )
    sound, picture = features[AUDIO], features[VIDEO]
    _, steps, height, width, _ = picture.shape
    query = tf.reshape(self.query(sound), [-1, steps, self._num_tracks, self._key_dim])
    logits = tf.einsum("btnk,bthwk->btnhw", query, self.key(picture)) / self._key_dim**0.5
    # Weights each pixel by the area that it covers on the sphere.
    _, elevation_rad = ambisonics.pixel_directions(height, width)
    logits += tf.math.log(tf.cos(elevation_rad))
    flat = tf.nn.softmax(tf.reshape(logits, [-1, steps, self._num_tracks, height * width]))
    return tf.reshape(flat, [-1, steps, self._num_tracks, height, width])


@gin.register
class DenseLocalizer(tf.keras.layers.Layer):
  """Localises the tracks by fully connected layers over audio and visual features.

  As in the paper, the visual map is flattened, and fully connected layers predict the vectors of
  all tracks. Difference from the paper: no bias per output channel, which would add a constant to
  the samples.

  Source:
    Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360°
    Video", NeurIPS 2018, section 4.

  Examples:
    >>> import tensorflow as tf
    >>> from avssl_tf import models
    >>> localizer = models.DenseLocalizer(num_tracks=2)
    >>> localizer({"audio": tf.zeros([1, 5, 16])}).shape  # Audio only.
    TensorShape([1, 5, 2, 3])
  """

  def __init__(
    self,
    num_tracks: int,
    picture_dims: Sequence[int] = (128, 512),
    sound_dim: int = 1024,
    hidden_dims: Sequence[int] = (512, 512),
    name: str = "dense_localizer",
  ):
    """Creates the layer.

    Args:
      num_tracks: number of tracks.
      picture_dims: number of channels to which the map is reduced, and number of features of the
        flattened map.
      sound_dim: number of audio features.
      hidden_dims: widths of the layers over the concatenated features.
      name: name of the layer.
    """
    super().__init__(name=name, dtype="float32")
    self._num_tracks = num_tracks

    def dense(units: int, name: str) -> tf.keras.layers.Dense:
      return tf.keras.layers.Dense(units, activation="relu", dtype="float32", name=name)

    reduced, flat = picture_dims
    self.reduce = dense(reduced, "reduce")
    self.picture = dense(flat, "picture")
    self.sound = dense(sound_dim, "sound")
    self.hidden = [dense(units, f"hidden_{i}") for i, units in enumerate(hidden_dims)]
    self.vectors = tf.keras.layers.Dense(
      num_tracks * 3,
      kernel_initializer=tf.keras.initializers.TruncatedNormal(stddev=1e-3),
      dtype="float32",
      name="vectors",
    )

  def call(self, features: dict[str, Tensor]) -> Tensor:
    """Localises the tracks.

    Args:
      features: as in `AttentionLocalizer.call`; without `"video"`, the tracks are localised from
        audio alone.

    Returns:
      float32 `[B, T, num_tracks, 3]`: vectors (y, z, x), as in `AttentionLocalizer.call`.
    """
    x = self.sound(features[AUDIO])
    if VIDEO in features:
      x = tf.concat([x, self.picture(flattened(self.reduce(features[VIDEO])))], axis=-1)
    for layer in self.hidden:
      x = layer(x)
    return tf.reshape(self.vectors(x), [tf.shape(x)[0], -1, self._num_tracks, 3])


def flattened(maps: Tensor) -> Tensor:
  """Flattens maps `[B, T, h, 2h, C]` to features of each time step, `[B, T, h * 2h * C]`."""
  _, steps, height, width, channels = maps.shape
  return tf.reshape(maps, [-1, steps, height * width * channels])
