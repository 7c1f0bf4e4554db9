"""Where in a picture a network sees what it hears: similarities of sounds and places.

A network's own map is as coarse as its strides make it, and its positions stand for other parts of
the picture than their strides say: where few positions have to cover all of it, each of them learns
to see to one side. Two remedies need no other network. A finer map is made of windows, moved over
the picture as by OverFeat (Sermanet et al., ICLR 2014, section 3.3), of each of which the position
in the middle counts. And in the mean over mirrored pictures there are no sides.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Callable, Optional

import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.errors import UserError
from avssl_tf.inference.encoder import Encoder
from avssl_tf.keys import Tensor
from avssl_tf.spatial import ambisonics

HORIZONTAL, VERTICAL = "horizontal", "vertical"
# Axis of frames, and of a map's positions, that is turned round.
_AXES = {HORIZONTAL: 3, VERTICAL: 2}
# Channels of first-order ambisonics.
_NUM_AMBISONIC = 4


@dataclasses.dataclass(frozen=True)
class SoundLocalizer:
  """Compares sounds with every place in frames, by a frozen network.

  A network of ordinary clips compares the embedding of the sound with those of the places. One of
  360° clips compares what the sound, as that of a single view, is translated into: a prediction of
  what is seen, which is what such a network is trained to match with pictures; the embeddings of
  both are not trained to be alike.

  Attributes:
    encoder: the network.
    windows: positions of the map in either direction, each of a window of its own, so that the
      network looks at the frames `windows**2` times; None takes the network's own map, which takes
      one look.
    mirrors: `"horizontal"` looks at frames with left and right exchanged as well, `"vertical"` at
      those with above and below exchanged; both, at all four. The map is the mean.
  """

  encoder: Encoder
  windows: Optional[int] = None
  mirrors: Sequence[str] = ()

  def __post_init__(self):
    if self.windows is not None and self.windows < 1:
      raise UserError(f"windows is {self.windows}; expected 1 or more, or None.")
    if not set(self.mirrors) <= set(_AXES):
      raise UserError(f"mirrors is {self.mirrors!r}; expected some of {list(_AXES)}.")

  @functools.cached_property
  def own_map_size(self) -> tuple[int, int]:
    """Height and width of the map that the network makes of frames of the size it takes."""
    clip = self.encoder.clip
    nothing = tf.zeros([1, clip.num_frames, clip.frame_size, clip.frame_size, 3], tf.uint8)
    return tuple(self._embed(nothing).shape[2:4])

  @functools.cached_property
  def _embed(self) -> Callable[[Tensor], Tensor]:
    # One graph for all looks.
    return tf.function(self.encoder.embed_video_positions, reduce_retracing=True)

  def sound_for_network(self, waveform: Tensor) -> Tensor:
    """Sound as the network takes it.

    Args:
      waveform: float32 `[B, samples, channels]`: as many channels as the network takes, or one. For
        a network of ambisonics, one channel is heard from straight ahead, the middle of the frames.

    Returns:
      float32 `[B, samples, C]`.

    Raises:
      UserError: neither as many channels, nor one for ambisonics.
    """
    found, wanted = waveform.shape[-1], self.encoder.num_channels
    if found == wanted:
      return waveform
    if found == 1 and wanted == _NUM_AMBISONIC:
      ahead = tf.zeros([1])
      return ambisonics.encode(waveform, ahead, ahead)
    raise UserError(
      f"The sound has {found} channel(s); the network takes {wanted}. Localising takes as many, or "
      "one channel for a network of ambisonics."
    )

  def sounds(self, waveform: Tensor, frames: Tensor) -> Tensor:
    """What to look for.

    Args:
      waveform: float32 `[B, samples, channels]`, as of `sound_for_network`.
      frames: uint8 `[B, T, H, W, 3]`; they change nothing in the result.

    Returns:
      float32 `[B, E]`, of unit length.
    """
    outputs = self.encoder.embed_audio(self.sound_for_network(waveform))
    if self.encoder.translate is None:
      return outputs["embedding"]
    features = {
      keys.VIDEO: self.encoder.embed_video(frames)["features"],
      keys.AUDIO: outputs["features"],
    }
    views = {modality: value[:, tf.newaxis] for modality, value in features.items()}
    return self.encoder.translate(views)["prediction"][keys.VIDEO][:, 0]

  def maps(self, frames: Tensor, waveform: Tensor) -> Tensor:
    """How similar sounds are to the places in the frames that they belong to.

    Args:
      frames: uint8 `[B, T, H, W, 3]`.
      waveform: float32 `[B, samples, channels]`, as of `sound_for_network`.

    Returns:
      float32 `[B, h, w]` in -1..1, a map of all of the frames.
    """
    return self.similarity(self.places(frames), self.sounds(waveform, frames))

  def similarity(self, places: Tensor, sounds: Tensor) -> Tensor:
    """Cosines of sounds and places, in the mean over the time of the clip.

    Args:
      places: float32 `[B, t, h, w, E]`, as `places` returns them.
      sounds: float32 `[B, E]`, as `sounds` returns them.

    Returns:
      float32 `[B, h, w]`.
    """
    return tf.einsum("bhwe,be->bhw", tf.reduce_mean(places, axis=1), sounds)

  def places(self, frames: Tensor) -> Tensor:
    """Embeddings of the places of a map.

    Args:
      frames: uint8 `[B, T, H, W, 3]`.

    Returns:
      float32 `[B, t, h, w, E]`: of unit length, in the mean over the mirrored frames. Each position
      stands for an equal part of the frames.
    """
    turns = [[]]
    for mirror in self.mirrors:
      turns += [[*axes, _AXES[mirror]] for axes in turns]
    found = [tf.reverse(self._places(tf.reverse(frames, axes)), axes) for axes in turns]
    return tf.add_n(found) / len(found)

  def _places(self, frames: Tensor) -> Tensor:
    if self.windows is None:
      return self._embed(frames)
    own, size = self.own_map_size, frames.shape[2:4]
    # Convolutions that pad alike at both sides have the middle of position i at pixel i times the
    # step between positions; that in the middle has as much of the window on all sides.
    y, x = (count // 2 for count in own)
    moves = [
      [int((n + 0.5) * side / self.windows) - count // 2 * (side // count)
       for n in range(self.windows)]
      for side, count in zip(size, own)
    ]  # fmt: skip
    rows = [
      tf.stack([self._embed(_moved(frames, down, right))[:, :, y, x] for right in moves[1]], axis=2)
      for down in moves[0]
    ]
    return tf.stack(rows, axis=2)


def _moved(frames: Tensor, down: int, right: int) -> Tensor:
  """Frames that begin at row `down` and column `right`; beyond its edges a picture is as there."""
  height, width = frames.shape[2:4]
  rows, columns = (
    np.clip(np.arange(size) + move, 0, size - 1) for size, move in ((height, down), (width, right))
  )
  return tf.gather(tf.gather(frames, rows, axis=2), columns, axis=3)
