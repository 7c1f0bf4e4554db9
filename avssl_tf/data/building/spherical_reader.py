"""Reads 360° video with ambisonics and converts it to equirectangular frames and ACN/SN3D."""

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import ClassVar, Optional

import cv2
import numpy as np

from avssl_tf import keys
from avssl_tf.data.building import segmentation_maps
from avssl_tf.data.clip_content import EQUIRECTANGULAR, Content, PlannedClip, Probed
from avssl_tf.data.media import clip_reading, media_probe, picture_view, sound_field
from avssl_tf.data.media.clip_reading import MediaError
from avssl_tf.data.media.sound_field import CHANNEL_ORDERS, FirstOrder
from avssl_tf.data.metadata.spherical_metadata import EQUI_ANGULAR_CUBEMAP
from avssl_tf.data.sources.listings.media_files import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS
from avssl_tf.errors import UserError
from avssl_tf.spatial import cubemap, equirect

PROJECTIONS = (EQUIRECTANGULAR, EQUI_ANGULAR_CUBEMAP)
# The other channels together have at most the power of W: the same for a single source, less for
# several sources and diffuse sound. Recordings are imperfect, so only power above these multiples
# of the power of W indicates another channel order.
_MAX_POWER_OF_ALL = 4.0
_MAX_POWER_OF_ONE = 2.0
# Power relative to W, -60 dB, below which a channel counts as silent.
_SILENT_POWER = 1e-6
# Maximum relative deviation of the width from twice the height.
_SHAPE_TOLERANCE = 0.02


@dataclasses.dataclass(frozen=True)
class SphericalReader:
  """Reads clips of 360° video files.

  The audio is read from the video file, with two exceptions. If the video is in a folder `video`
  with a sibling folder `audio`, the audio is read from the file of the same name there. If the
  video is named `<name>-video` and a file `<name>-ambix` exists in the same folder, the audio is
  read from that file. If a sibling folder `segmentation` exists, its subfolder of the same name
  contains segmentation maps.

  Attributes:
    frame_rate_hz: rate of the output frames.
    height: height of the equirectangular frames in pixels; the width is twice as large.
    sample_rate_hz: sample rate of the output audio.
    input_projection: projection of the files, one of `PROJECTIONS`.
    channel_order: order of the audio channels, one of `CHANNEL_ORDERS`: as stated in the file or
      else ACN with SN3D weights, FuMa, or the order of YouTube's AAC (ACN/SN3D in another order).
    stereo_mode: layout of stereoscopic video, one of `picture_view.STEREO_MODES`.
    audio_track: number of the audio track, from 1; `None` uses the first that can be ambisonics.
  """

  frame_rate_hz: float = 16.0
  height: int = 224
  sample_rate_hz: int = 24000
  input_projection: str = EQUIRECTANGULAR
  channel_order: str = sound_field.ACN
  stereo_mode: str = picture_view.AUTO
  audio_track: Optional[int] = None
  num_channels: ClassVar[int] = 4
  projection: ClassVar[Optional[str]] = EQUIRECTANGULAR
  needs_probe: ClassVar[bool] = True

  def __post_init__(self):
    for name, known in (("input_projection", PROJECTIONS), ("channel_order", CHANNEL_ORDERS)):
      if getattr(self, name) not in known:
        raise UserError(
          f"SphericalReader.{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}."
        )

  def probe(self, path: str, modalities: Sequence[str]) -> Probed:
    """Reads the metadata of a file; raises `MediaError`."""
    durations, num_channels, notes = [], 0, []
    sources = {modality: self._path_of(path, modality) for modality in modalities}
    # If both are in one file, their common span is read.
    together = len(set(sources.values())) == 1
    for group in [modalities] if together else [(modality,) for modality in modalities]:
      source, track = sources[group[0]], None
      if keys.AUDIO in group:
        choice = self._choose(source)
        num_channels, track = self.num_channels, choice.track
        notes += choice.first_order.notes
      info = media_probe.probe(source, group, self._wanted, track)
      durations.append(info.duration_sec)
      notes += info.notes
      if keys.VIDEO in group and self.input_projection == EQUIRECTANGULAR:
        _check_shape(info.height, info.width)
    return Probed(min(durations), num_channels, tuple(notes))

  def read(self, clip: PlannedClip, modalities: Sequence[str]) -> Content:
    """Decodes a clip; raises `MediaError`."""
    frames = timestamps_us = waveform = masks = None
    # Reading both from one file at once keeps them synchronous.
    paths = [self._path_of(clip.path, modality) for modality in modalities]
    together = len(set(paths)) == 1
    for modality, path in zip(modalities, paths):
      if together and modality != modalities[0]:
        break
      hears = together or modality == keys.AUDIO
      choice = self._choose(path) if hears and keys.AUDIO in modalities else None
      read = clip_reading.read_clip(
        path,
        clip.start_us / 1e6,
        clip.end_us / 1e6,
        frame_rate_hz=self.frame_rate_hz,
        short_side=self._read_height(),
        sample_rate_hz=self.sample_rate_hz,
        num_channels=None,
        modalities=modalities if together else (modality,),
        wanted=self._wanted,
        audio_track=choice and choice.track,
      )
      if read.frames is not None:
        frames, timestamps_us = self._equirectangular(read.frames), read.timestamps_us
        masks = self._masks(clip, timestamps_us)
      if read.waveform is not None:
        waveform = self.to_acn(read.waveform, choice.first_order)
    return Content(frames, timestamps_us, waveform, projection=self.projection, masks=masks)

  @property
  def _wanted(self) -> picture_view.Wanted:
    cube = self.input_projection == EQUI_ANGULAR_CUBEMAP
    projection = picture_view.CUBEMAP if cube else EQUIRECTANGULAR
    return picture_view.Wanted(projection, self.stereo_mode)

  def _choose(self, path: str) -> sound_field.Choice:
    return sound_field.choose(path, self.channel_order, self.audio_track)

  def to_acn(
    self, waveform: np.ndarray, first_order: Optional[FirstOrder] = None
  ) -> np.ndarray:
    """Converts the audio of a file to first-order ambisonics, ACN/SN3D.

    Args:
      waveform: float32 `[samples, channels]` in the order of the file.
      first_order: the conversion; None for a file that does not describe its channels.

    Returns:
      float32 `[samples, 4]`, W Y Z X.

    Raises:
      MediaError: wrong number of channels, or an impossible sound field: W is silent or weaker than
        the other channels, or all other channels are silent.
    """
    first_order = first_order or sound_field.first_order_of(waveform.shape[1], self.channel_order)
    if max(first_order.channels) >= waveform.shape[1]:
      raise MediaError(
        f"no ambisonics: the audio decodes to {waveform.shape[1]} channel(s), fewer than its file "
        "states"
      )
    field = first_order.of(waveform)
    _check_field(field, self.channel_order)
    # W is 3 dB lower in FuMa than in SN3D.
    return np.ascontiguousarray(field / max(1.0, np.abs(field).max()), np.float32)

  def _masks(self, clip: PlannedClip, timestamps_us: np.ndarray) -> Optional[np.ndarray]:
    folder = _folder_beside(clip.path, "segmentation")
    if folder is None:
      return None
    stem = os.path.splitext(os.path.basename(clip.path))[0]
    time_sec = (clip.start_us + timestamps_us) / 1e6
    return segmentation_maps.read(os.path.join(folder, stem), time_sec, self.height)

  def _path_of(self, path: str, modality: str) -> str:
    sounds = _folder_beside(path, "audio")
    stem = os.path.splitext(os.path.basename(path))[0]
    if modality == keys.VIDEO:
      return path
    if sounds is None:
      ambix = re.sub("-video$", "-ambix", stem)
      found = _media_files(os.path.dirname(path), ambix) if ambix != stem else []
      return [*found, path][0]
    found = _media_files(sounds, stem)
    if not found:
      raise MediaError(f"no audio: no file {stem!r} in {sounds!r}")
    return found[0]

  def _read_height(self) -> int:
    # Two rows of faces, with the resolution of the output frames at the centre of a face.
    return self.height if self.input_projection == EQUIRECTANGULAR else 2 * (self.height // 2)

  def _equirectangular(self, frames: np.ndarray) -> np.ndarray:
    if self.input_projection != EQUIRECTANGULAR:
      try:
        return cubemap.to_equirect(frames, self.height).numpy()
      except ValueError as error:
        raise MediaError(f"not an equi-angular cubemap: {error}") from error
    _check_shape(*frames.shape[1:3])
    if frames.shape[2] == 2 * self.height:
      return frames
    # Nearly 2:1, such as 1920 x 968.
    size = (2 * self.height, self.height)
    return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])


def _media_files(folder: str, stem: str) -> list[str]:
  """Paths of the files in a folder that are named `stem` and may contain audio."""
  extensions = sorted(AUDIO_EXTENSIONS | VIDEO_EXTENSIONS)
  candidates = [os.path.join(folder, stem + extension) for extension in extensions]
  return [candidate for candidate in candidates if os.path.exists(candidate)]


def _folder_beside(path: str, name: str) -> Optional[str]:
  """Sibling folder `name` of the folder `video` that contains a file, if it exists."""
  parent, kind = os.path.split(os.path.dirname(path))
  folder = os.path.join(parent, name)
  return folder if kind == "video" and os.path.isdir(folder) else None


def _check_shape(height: int, width: int) -> None:
  if abs(width - 2 * height) > _SHAPE_TOLERANCE * 2 * height:
    hint = picture_view.describe_shape(height, width)
    if hint:
      raise MediaError(
        f"not equirectangular: the frames have {width}x{height} pixels; equirectangular frames are "
        f"twice as wide as high: {hint}"
      )
    try:
      equirect.check_shape(height, width)
    except ValueError as error:
      raise MediaError(f"not equirectangular: {error}") from error


def _check_field(field: np.ndarray, channel_order: str) -> None:
  """Raises `MediaError` if the channels cannot be W Y Z X of a sound field."""
  power = np.mean(np.square(field, dtype=np.float64), axis=0)
  others = power[1:]
  if power[0] <= _SILENT_POWER * power.max():
    raise MediaError(
      f"no ambisonics in the order {channel_order!r}: the first channel, W, is silent"
    )
  if others.max() <= _SILENT_POWER * power[0]:
    raise MediaError("no ambisonics: all channels but the first, W, are silent")
  if others.max() > _MAX_POWER_OF_ONE * power[0] or others.sum() > _MAX_POWER_OF_ALL * power[0]:
    levels = ", ".join(f"{10 * np.log10(max(p / power[0], 1e-9)):+.1f}" for p in others)
    raise MediaError(
      f"no ambisonics in the order {channel_order!r}: Y, Z and X are at {levels} dB relative to W, "
      "but none of them can exceed W"
    )
