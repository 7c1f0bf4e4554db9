"""Sound source localisation: similarity of the audio to every position of the frames.

The resolution of a network's own map is limited by its strides. Its positions also respond to other
regions than their strides suggest: if few positions cover the whole frame, each of them learns a
bias to one side. Two remedies need no other network. Shifted windows yield a finer map, as in
OverFeat (Sermanet et al., ICLR 2014, section 3.3): each window contributes its central position.
Averaging over mirrored frames removes the bias to one side.
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
# Axis of frames, and of the positions of a map, that is reversed.
_AXES = {HORIZONTAL: 3, VERTICAL: 2}
# Channels of first-order ambisonics.
_NUM_AMBISONIC = 4


@dataclasses.dataclass(frozen=True)
class SoundLocalizer:
  """Compares audio with every position of the frames, using a frozen network.

  For a network of ordinary clips, the embedding of the audio is compared with those of the
  positions. For a network of 360° clips, the audio is first translated, as that of a single view,
  into a prediction of the video embedding: such a network is trained to match the prediction with
  the video, whereas its embeddings of audio and video are not trained to be similar.

  Attributes:
    encoder: the network.
    windows: number of positions of the map in each direction. Each position needs a separate
      window, so the network processes the frames `windows**2` times. None uses the network's own
      map, which takes one pass.
    mirrors: `"horizontal"` also processes frames mirrored left to right, `"vertical"` frames
      mirrored top to bottom; with both, all four variants. The map is their mean.
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
    """Height and width of the network's own map, for frames of the size it was trained on."""
    clip = self.encoder.clip
    nothing = tf.zeros([1, clip.num_frames, clip.frame_size, clip.frame_size, 3], tf.uint8)
    return tuple(self._embed(nothing).shape[2:4])

  @functools.cached_property
  def _embed(self) -> Callable[[Tensor], Tensor]:
    # One graph for all windows.
    return tf.function(self.encoder.embed_video_positions, reduce_retracing=True)

  def sound_for_network(self, waveform: Tensor) -> Tensor:
    """Converts audio to the channels that the network requires.

    Args:
      waveform: float32 `[B, samples, channels]`, with the network's number of channels, or mono for
        a network of ambisonics: mono is encoded as a source straight ahead, at the centre of the
        frames.

    Returns:
      float32 `[B, samples, C]`.

    Raises:
      UserError: the number of channels is neither of these.
    """
    found, wanted = waveform.shape[-1], self.encoder.num_channels
    if found == wanted:
      return waveform
    if found == 1 and wanted == _NUM_AMBISONIC:
      ahead = tf.zeros([1])
      return ambisonics.encode(waveform, ahead, ahead)
    raise UserError(
      f"The audio has {found} channel(s); the network requires {wanted}. Localisation requires "
      "that number, or mono audio for a network of ambisonics."
    )

  def sounds(self, waveform: Tensor, frames: Tensor) -> Tensor:
    """Embeddings of the audio to localise.

    Args:
      waveform: float32 `[B, samples, channels]`, as in `sound_for_network`.
      frames: uint8 `[B, T, H, W, 3]`; they do not affect the result.

    Returns:
      float32 `[B, E]`, unit length.
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
    """Similarity of the audio to every position of its frames.

    Args:
      frames: uint8 `[B, T, H, W, 3]`.
      waveform: float32 `[B, samples, channels]`, as in `sound_for_network`.

    Returns:
      float32 `[B, h, w]` in -1..1, a map of the whole frame.
    """
    return self.similarity(self.places(frames), self.sounds(waveform, frames))

  def similarity(self, places: Tensor, sounds: Tensor) -> Tensor:
    """Cosine similarity of audio and positions, averaged over the time of the clip.

    Args:
      places: float32 `[B, t, h, w, E]`, from `places`.
      sounds: float32 `[B, E]`, from `sounds`.

    Returns:
      float32 `[B, h, w]`.
    """
    return tf.einsum("bhwe,be->bhw", tf.reduce_mean(places, axis=1), sounds)

  def places(self, frames: Tensor) -> Tensor:
    """Embeddings of the positions of a map.

    Args:
      frames: uint8 `[B, T, H, W, 3]`.

    Returns:
      float32 `[B, t, h, w, E]`: the mean over the mirrored frames of embeddings of unit length. The
      positions divide the frame into equal parts.
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
    # With symmetric padding, position i is centred at pixel i times the step between positions.
    # Around the central position the window extends equally far on all sides.
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
  """Frames shifted to start at row `down` and column `right`; edge pixels are repeated."""
  height, width = frames.shape[2:4]
  rows, columns = (
    np.clip(np.arange(size) + move, 0, size - 1) for size, move in ((height, down), (width, right))
  )
  return tf.gather(tf.gather(frames, rows, axis=2), columns, axis=3)
