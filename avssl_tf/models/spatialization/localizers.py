"""Where the tracks of a sound come from: layers that look for them in a 360° picture."""

from collections.abc import Sequence

import gin
import tensorflow as tf

from avssl_tf.errors import UserError
from avssl_tf.keys import AUDIO, VIDEO, Tensor
from avssl_tf.spatial import ambisonics, directions


@gin.register
class AttentionLocalizer(tf.keras.layers.Layer):
  """Each track looks for itself in the map of the picture, and comes from where it finds itself.

  A query of the sound for each track and time meets the map in every direction; a softmax over the
  directions gives the expected unit vector, whose length tells how sure it is, times a gain. What
  is learnt is what belongs together; where it lies is geometry.
  """

  def __init__(self, num_tracks: int, key_dim: int = 32, name: str = "attention_localizer"):
    """Creates the layer.

    Args:
      num_tracks: number of tracks.
      key_dim: dimension in which queries and map meet.
      name: name of the layer.
    """
    super().__init__(name=name, dtype="float32")
    self._num_tracks = num_tracks
    self._key_dim = key_dim
    self.query = tf.keras.layers.Dense(num_tracks * key_dim, dtype="float32", name="query")
    self.key = tf.keras.layers.Dense(key_dim, dtype="float32", name="key")
    self.gain = tf.keras.layers.Dense(num_tracks, dtype="float32", name="gain")

  def call(self, features: dict[str, Tensor]) -> Tensor:
    """Finds the tracks.

    Args:
      features: `AUDIO`: float32 `[B, T, D]`, of the sound at T times; `VIDEO`: float32
        `[B, T, h, 2h, C]`, equirectangular maps of the frames at the same times.

    Returns:
      float32 `[B, T, num_tracks, 3]`: vectors (y, z, x), the order of the channels of the first
      order; the field of a track is its signal times these.
    """
    attention = self.attention(features)
    azimuth_rad, elevation_rad = ambisonics.pixel_directions(*attention.shape[-2:])
    vectors = directions.unit_vectors(azimuth_rad, elevation_rad)
    expected = tf.einsum("btnhw,hwd->btnd", attention, vectors)
    gain = tf.nn.softplus(self.gain(features[AUDIO]))[..., tf.newaxis]
    return gain * tf.gather(expected, [1, 2, 0], axis=-1)

  def attention(self, features: dict[str, Tensor]) -> Tensor:
    """Where each track is taken to be: float32 `[B, T, num_tracks, h, 2h]`, shares of 1.

    Raises:
      UserError: there is no picture to look into.
    """
    if VIDEO not in features:
      raise UserError(
        "AttentionLocalizer looks for sources in a picture, and there is neither "
        "SpatialUNet.frame_net nor flow_net: give it one, or bind SpatialUNet.localizer = "
        "@DenseLocalizer."
      )
    sound, picture = features[AUDIO], features[VIDEO]
    _, steps, height, width, _ = picture.shape
    query = tf.reshape(self.query(sound), [-1, steps, self._num_tracks, self._key_dim])
    logits = tf.einsum("btnk,bthwk->btnhw", query, self.key(picture)) / self._key_dim**0.5
    # A pixel stands for the area that it covers on the sphere.
    _, elevation_rad = ambisonics.pixel_directions(height, width)
    logits += tf.math.log(tf.cos(elevation_rad))
    flat = tf.nn.softmax(tf.reshape(logits, [-1, steps, self._num_tracks, height * width]))
    return tf.reshape(flat, [-1, steps, self._num_tracks, height, width])


@gin.register
class DenseLocalizer(tf.keras.layers.Layer):
  """Fully connected layers over the features of sound and picture, as in the paper.

  Morgado, Vasconcelos, Langlois, Wang, NeurIPS 2018, section 4: the map is flattened, and the
  vectors of all tracks follow from fully connected layers. The bias of an output channel there is a
  constant that is added to the samples, which is no sound; there is none here.
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
      picture_dims: channels that the map is reduced to, and features of the flattened map.
      sound_dim: features of the sound.
      hidden_dims: widths of the layers that see both.
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
    """Finds the tracks; arguments and result as of `AttentionLocalizer`.

    Without a picture, they are placed by their sound alone.
    """
    x = self.sound(features[AUDIO])
    if VIDEO in features:
      x = tf.concat([x, self.picture(flattened(self.reduce(features[VIDEO])))], axis=-1)
    for layer in self.hidden:
      x = layer(x)
    return tf.reshape(self.vectors(x), [tf.shape(x)[0], -1, self._num_tracks, 3])


def flattened(maps: Tensor) -> Tensor:
  """Maps `[B, T, h, 2h, C]` as features of each time, `[B, T, h * 2h * C]`."""
  _, steps, height, width, channels = maps.shape
  return tf.reshape(maps, [-1, steps, height * width * channels])
