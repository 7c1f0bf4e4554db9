"""Classifiers on a trainable video network, or on each stage of a frozen one.

Both return logits by classifier name and are trained by `classifier_training`.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Callable, Optional

import tensorflow as tf

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.errors import UserError
from avssl_tf.evaluation.adaptive_pooling import adaptive_pool
from avssl_tf.keys import Tensor
from avssl_tf.models import av_model, convolution

# Name of the pooled features of the last stage, and of the classifier on them.
POOLED = "pooled"


def frames_of(
  clip: ClipSpec, num_frames: Optional[int] = None, frame_size: Optional[int] = None
) -> ClipSpec:
  """Clip specification for video only: the audio does not affect the positions of the frames.

  Records with too few frames repeat them. Frames are read as ordinary video; a network of 360°
  clips reads the whole frame.

  Args:
    clip: specification of the clips that the network was trained on.
    num_frames: number of frames; None keeps that of `clip`.
    frame_size: height and width of the frames, in pixels; None keeps that of `clip`.
  """
  clip = dataclasses.replace(
    clip, num_frames=num_frames or clip.num_frames, frame_size=frame_size or clip.frame_size
  )
  return dataclasses.replace(
    clip,
    audio_sec=clip.video_sec,
    max_offset_sec=0.0,
    sample_rate_hz=None,
    repeat_frames=True,
    viewpoints=None,
  )


class NetworkClassifier(tf.keras.Model):
  """A video network, dropout, and a linear classifier on the pooled features.

  While `video_net.trainable` is False, its batch normalisation runs in inference mode and does not
  update the moving statistics. Within `classifier_alone()` batch normalisation runs in training
  mode and updates its statistics, while the weights of the network are not trained.

  Attributes:
    video_net: the network.
    classifiers: the linear classifier, under the name of its input, `"pooled"`.
  """

  def __init__(
    self, network: av_model.AudioVisualModel, num_classes: int, dropout: float = 0.5, seed: int = 0
  ):
    """Adds a classifier to the video network of `network`; both are trained by this model.

    Args:
      network: the model; its audio network and heads are not used.
      num_classes: number of classes.
      dropout: dropout rate of the features, 0 or more and less than 1.
      seed: seed of the dropout, which depends on the seed and the step number.
    """
    super().__init__()
    self.front_end = network.video_front_end
    self.video_net = network.video_net
    self.classifiers = {
      POOLED: tf.keras.layers.Dense(num_classes, dtype="float32", name="classifier")
    }
    self._dropout = dropout
    self._seed = seed
    self._alone = False

  @contextlib.contextmanager
  def classifier_alone(self) -> Iterator[None]:
    """Trains only the classifier within the context; the network runs in training mode."""
    self._alone = True
    try:
      yield
    finally:
      self._alone = False

  @property
  def trainable_weights(self) -> list[tf.Variable]:
    """The weights that the optimiser updates."""
    if self._alone:
      return self.classifiers[POOLED].trainable_weights
    return super().trainable_weights

  def call(self, frames: Tensor, training: bool = False) -> dict[str, Tensor]:
    """Maps uint8 frames `[B, T, H, W, 3]` to the logits `"pooled"`, float32 `[B, num_classes]`."""
    learns = bool(training) and self.video_net.trainable
    features = self.video_net(self.front_end(frames), training=learns)[POOLED]
    features = tf.cast(features, tf.float32)
    if training and self._dropout:
      # Stateless, since the random state of the Dropout layer is not saved in checkpoints.
      seed = tf.stack([tf.constant(self._seed, tf.int64), self.optimizer.iterations])
      features = tf.nn.experimental.stateless_dropout(features, self._dropout, seed)
    return {POOLED: self.classifiers[POOLED](features)}


class StageClassifiers(tf.keras.Model):
  """A batch-normalised linear classifier on the pooled map of each stage of a frozen network.

  Attributes:
    norms: batch normalisation of the pooled map, by stage.
    classifiers: the linear classifier, by stage.
    pools: size `(T, H, W)` to which each stage's map is pooled.
  """

  def __init__(
    self,
    video_maps: Callable[[Tensor], Mapping[str, Tensor]],
    pools: Mapping[str, Sequence[int]],
    frames_shape: Sequence[int],
    num_classes: int,
  ):
    """Runs the network once to determine the sizes of its maps, and creates the classifiers.

    Args:
      video_maps: maps frames to the map `[B, t, h, w, c]` of each stage.
      pools: size `(T, H, W)` to which the map of each stage is pooled; a dimension in which a map
        is smaller is not pooled.
      frames_shape: `(T, H, W, 3)` of the frames.
      num_classes: number of classes.

    Raises:
      UserError: the network has no such stage, or a size is not three positive numbers.
    """
    super().__init__()
    self._video_maps = video_maps
    found = video_maps(tf.zeros([1, *frames_shape], tf.uint8))
    stages = [name for name, value in found.items() if value.shape.rank == 5]
    for name, sizes in pools.items():
      if name not in stages:
        raise UserError(f"pools names the stage {name!r}; expected some of {', '.join(stages)}.")
      if len(sizes) != 3 or min(sizes) < 1:
        raise UserError(f"pools[{name!r}] is {sizes}; expected three positive numbers (T, H, W).")
    self._map_shapes = {name: [None, *found[name].shape[1:]] for name in pools}
    self.pools = {
      name: tuple(min(size, n) for size, n in zip(sizes, found[name].shape[1:4]))
      for name, sizes in pools.items()
    }
    self.norms = {
      name: convolution.BatchNorm(name=f"{name}_bn", dtype="float32") for name in self.pools
    }
    self.classifiers = {
      name: tf.keras.layers.Dense(num_classes, dtype="float32", name=f"{name}_classifier")
      for name in self.pools
    }

  def call(self, frames: Tensor, training: bool = False) -> dict[str, Tensor]:
    """Maps uint8 frames `[B, T, H, W, 3]` to logits by stage, float32 `[B, num_classes]`."""
    maps = self._video_maps(frames)
    logits = {}
    for name, sizes in self.pools.items():
      # A SavedModel that accepts frames of any size does not specify the sizes of its maps.
      stage = tf.ensure_shape(tf.stop_gradient(maps[name]), self._map_shapes[name])
      pooled = adaptive_pool(tf.cast(stage, tf.float32), sizes)
      flat = tf.reshape(pooled, [-1, pooled.shape[1:].num_elements()])
      logits[name] = self.classifiers[name](self.norms[name](flat, training=training))
    return logits
