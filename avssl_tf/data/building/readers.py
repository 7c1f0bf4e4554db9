"""Where the content of clips comes from: media files, or a synthetic world."""

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
  """Reads clips of video files, or of sound files where sound alone is asked for.

  Attributes:
    frame_rate_hz: rate that frames are taken at.
    short_side: their shorter side, in pixels.
    sample_rate_hz: rate that the sound is resampled to.
    num_channels: what the sound is mixed to; `None` keeps its channels.
    stereo_mode: where two eyes are in the pictures, one of `picture_view.STEREO_MODES`.
    audio_track: number of the sound track, from 1; `None`: the default one of each file.
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
    """What is known of a file; raises `MediaError`."""
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
  """Renders the clips of a synthetic world, whose paths end in the number of the clip."""

  world: World
  needs_probe: ClassVar[bool] = False

  @property
  def frame_rate_hz(self) -> float:
    """Rate of the world's frames."""
    return self.world.frame_rate_hz

  @property
  def sample_rate_hz(self) -> int:
    """Rate of the world's sound."""
    return self.world.sample_rate_hz

  @property
  def num_channels(self) -> int:
    """Channels of the world's sound."""
    return self.world.num_channels

  @property
  def projection(self) -> Optional[str]:
    """Of the world's frames: `None` for ordinary ones."""
    return self.world.projection

  def probe(self, path: str, modalities: Sequence[str]) -> Probed:
    """Not needed: all clips of a world are alike."""
    raise NotImplementedError(f"Clips of a world are not probed: {path!r}.")

  def read(self, clip: PlannedClip, modalities: Sequence[str]) -> Content:
    """Renders a clip, with the truth of what is asked for."""
    content = self.world.content(clip.split, int(os.path.basename(clip.path)))
    if keys.VIDEO not in modalities:
      content = dataclasses.replace(
        content, frames=None, timestamps_us=None, boxes=None, tracks=None, masks=None
      )
    if keys.AUDIO not in modalities:
      content = dataclasses.replace(content, waveform=None, sound_replaced=None)
    return content
