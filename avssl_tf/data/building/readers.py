"""Readers of clip content: from media files, or from a synthetic world."""

import dataclasses
import os
from collections.abc import Sequence
from typing import ClassVar, Optional

from avssl_tf import keys
from avssl_tf.data.clip_content import Content, PlannedClip, Probed
from avssl_tf.data.media import clip_reading, media_probe, picture_view
from avssl_tf.data.synthetic.world import World


@dataclasses.dataclass(frozen=True)
class MediaReader:
  """Reads clips of video files, or of audio files if only audio is requested.

  Attributes:
    frame_rate_hz: rate of the output frames.
    short_side: shorter side of the output frames in pixels.
    sample_rate_hz: sample rate of the output audio.
    num_channels: number of channels that the audio is mixed to; `None` keeps its channels.
    stereo_mode: layout of stereoscopic video, one of `picture_view.STEREO_MODES`.
    audio_track: number of the audio track, from 1; `None` uses the default track of each file.
  """

  frame_rate_hz: float = 16.0
  short_side: int = 256
  sample_rate_hz: int = 24000
  num_channels: Optional[int] = 1
  stereo_mode: str = picture_view.AUTO
  audio_track: Optional[int] = None
  projection: ClassVar[Optional[str]] = None
  needs_probe: ClassVar[bool] = True

  def probe(self, path: str, modalities: Sequence[str]) -> Probed:
    """Reads the metadata of a file; raises `MediaError`."""
    wanted = picture_view.Wanted(stereo_mode=self.stereo_mode)
    info = media_probe.probe(path, modalities, wanted, self.audio_track)
    return Probed(info.duration_sec, info.num_channels, info.notes)

  def read(self, clip: PlannedClip, modalities: Sequence[str]) -> Content:
    """Decodes a clip; raises `MediaError`."""
    read = clip_reading.read_clip(
      clip.path,
      clip.start_us / 1e6,
      clip.end_us / 1e6,
      frame_rate_hz=self.frame_rate_hz,
      short_side=self.short_side,
      sample_rate_hz=self.sample_rate_hz,
      num_channels=self.num_channels,
      modalities=modalities,
      wanted=picture_view.Wanted(stereo_mode=self.stereo_mode),
      audio_track=self.audio_track,
    )
    return Content(read.frames, read.timestamps_us, read.waveform)


@dataclasses.dataclass(frozen=True)
class WorldReader:
  """Renders the clips of a synthetic world; the last part of a path is the clip number."""

  world: World
  needs_probe: ClassVar[bool] = False

  @property
  def frame_rate_hz(self) -> float:
    """Frame rate of the world."""
    return self.world.frame_rate_hz

  @property
  def sample_rate_hz(self) -> int:
    """Audio sample rate of the world."""
    return self.world.sample_rate_hz

  @property
  def num_channels(self) -> int:
    """Number of audio channels of the world."""
    return self.world.num_channels

  @property
  def projection(self) -> Optional[str]:
    """Projection of the frames; `None` for ordinary frames."""
    return self.world.projection

  def probe(self, path: str, modalities: Sequence[str]) -> Probed:
    """Not needed: all clips of a world have the same format."""
    raise NotImplementedError(f"Clips of a world are not probed: {path!r}.")

  def read(self, clip: PlannedClip, modalities: Sequence[str]) -> Content:
    """Renders the requested modalities of a clip, with their ground truth."""
    content = self.world.content(clip.split, int(os.path.basename(clip.path)))
    if keys.VIDEO not in modalities:
      content = dataclasses.replace(
        content, frames=None, timestamps_us=None, boxes=None, tracks=None, masks=None
      )
    if keys.AUDIO not in modalities:
      content = dataclasses.replace(content, waveform=None, sound_replaced=None)
    return content
