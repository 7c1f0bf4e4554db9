"""A frozen network with its input specification, as evaluated by the protocols."""

import dataclasses
from typing import Callable, Optional

from avssl_tf.data.pipeline.clip_spec import ClipSpec
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.keys import Tensor
from avssl_tf.models import av_model

# Network stages whose maps every encoder returns, from input to output.
STAGES = ("conv2x", "conv3x", "conv4x", "conv5x")


@dataclasses.dataclass(frozen=True)
class Encoder:
  """A frozen network, from a run, a converted checkpoint or a SavedModel.

  The functions work eagerly and inside `tf.function`, always in inference mode.

  Attributes:
    clip: specification of the clips that the network was trained on.
    sample_rate_hz: sample rate of the waveforms.
    num_channels: channels of the waveforms.
    embed_video: maps frames, uint8 `[B, T, H, W, 3]`, to `"features"`, pooled, float32 `[B, D]`,
      and `"embedding"`, float32 `[B, E]`, unit length.
    embed_audio: maps waveforms, float32 `[B, samples, C]` in -1..1, to `"features"` and
      `"embedding"` of the audio.
    video_maps: maps frames to the feature map of each stage by name (all of `STAGES`), float32
      `[B, t, h, w, c]`, and `"pooled"`, float32 `[B, D]`.
    audio_maps: maps waveforms to the feature map of each stage, float32 `[B, t, f, c]`, and
      `"pooled"`, float32 `[B, D]`.
    embed_video_positions: maps frames to the embedding of every position of the last stage's map,
      computed by the projection head: float32 `[B, t, h, w, E]`, unit length.
    translate: for a network of 360° clips, maps features `[B, K, D]` of K views by modality to the
      outputs of `AlignmentModel.translate`; None for a network of ordinary clips.
    make_model: creates another model with the trained weights, for further training, under the
      current Keras precision policy; with `trained=False` its weights are random and follow the
      global seed. None for a SavedModel, which contains no layers.
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
    """Specification of the clips to read from records.

    From records of ordinary video, a network of 360° clips reads the whole frame.

    Args:
      info: the description of the data set.

    Returns:
      `clip` for 360° records, otherwise `ordinary_clip`.
    """
    return self.ordinary_clip if info.projection is None else self.clip

  @property
  def ordinary_clip(self) -> ClipSpec:
    """Specification of the clips to read from ordinary video."""
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
    """Creates the encoder of a model whose variables are built.

    Args:
      model: the model.
      clip: see the attribute.
      sample_rate_hz: see the attribute.
      num_channels: see the attribute.
      make_model: see the attribute.

    Returns:
      The encoder.
    """
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
