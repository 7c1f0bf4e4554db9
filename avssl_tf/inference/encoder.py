"""A frozen network and what it takes: what the protocols of evaluation measure."""

import dataclasses
from typing import Callable, Optional

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.keys import Tensor
from avssl_tf.models import av_model

# Stages whose maps every encoder has, from the input to the output.
STAGES = ("conv2x", "conv3x", "conv4x", "conv5x")


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A frozen network, from a run, a converted checkpoint or a SavedModel.

  The functions work eagerly and inside `tf.function`, and never train.

  Attributes:
    clip: what of a clip the network was trained on.
    sample_rate_hz: rate of the waveforms.
    num_channels: channels of the waveforms.
    embed_video: uint8 `[B, T, H, W, 3]` -> `"features"`: float32 `[B, D]`, pooled, and
      `"embedding"`: float32 `[B, E]`, of unit length.
    embed_audio: float32 `[B, samples, C]` in -1..1 -> the same of the sound.
    video_maps: frames -> the map of each stage by its name (all of `STAGES`), float32
      `[B, t, h, w, c]`, and `"pooled"`, float32 `[B, D]`.
    audio_maps: waveforms -> the same of the sound; maps are `[B, t, f, c]`.
    embed_video_positions: frames -> the embedding of every position of the last stage's map, by the
      network's own head: float32 `[B, t, h, w, E]`, of unit length.
    translate: of a network of 360° clips, features `[B, K, D]` of K views by modality -> what
      `AlignmentModel.translate` returns; None for a network of ordinary clips.
    make_model: makes another model with the trained weights, to train further, in the present
      precision of Keras; with `trained=False` it has random weights, which follow the global
      seed. None for a SavedModel, which holds no layers.
  """

  clip: ClipSpec
  sample_rate_hz: int
  num_channels: int
  embed_video: Callable[[Tensor], dict[str, Tensor]]
  embed_audio: Callable[[Tensor], dict[str, Tensor]]
  video_maps: Callable[[Tensor], dict[str, Tensor]]
  audio_maps: Callable[[Tensor], dict[str, Tensor]]
  embed_video_positions: Callable[[Tensor], Tensor]
  translate: Optional[Callable[[dict[str, Tensor]], dict[str, dict[str, Tensor]]]] = None
  make_model: Optional[Callable[..., av_model.AudioVisualModel]] = None

  def clip_of(self, info: DatasetInfo) -> ClipSpec:
    """What to take of records: of ordinary ones, a network of 360° clips sees the whole frame."""
    return self.ordinary_clip if info.projection is None else self.clip

  @property
  def ordinary_clip(self) -> ClipSpec:
    """What to take of ordinary video."""
    return dataclasses.replace(self.clip, viewpoints=None)

  @classmethod
  def of_model(
    cls,
    model: av_model.AudioVisualModel,
    clip: ClipSpec,
    sample_rate_hz: int,
    num_channels: int,
    make_model: Optional[Callable[..., av_model.AudioVisualModel]] = None,
  ) -> "Encoder":
    """The encoder that a model with built variables is; arguments as the attributes."""
    return cls(
      clip=clip,
      sample_rate_hz=sample_rate_hz,
      num_channels=num_channels,
      embed_video=model.embed_video,
      embed_audio=model.embed_audio,
      video_maps=model.video_maps,
      audio_maps=model.audio_maps,
      embed_video_positions=model.embed_video_positions,
      translate=model.translate,
      make_model=make_model,
    )
