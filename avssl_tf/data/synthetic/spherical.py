"""The spherical world: 360° clips of moving objects whose sound comes from their directions.

Classes are those of the planar world: shapes are audible as timbres, motions as temporal patterns.
Several objects sound simultaneously, each from its own direction, in first-order ambisonics with
diffuse noise; other objects are silent. Pitch corresponds to size, and audio and video share rate
and phase, so that the audio of a viewpoint can be matched to its video. Any property that
distinguishes clips without direction is a shortcut, whose strength is a field of the world.

Each clip has ground truth: directions and classes of all objects, which of them sound, and class
masks.
"""

import dataclasses
from typing import ClassVar

import gin
import numpy as np

from avssl_tf.data.clip_content import EQUIRECTANGULAR, Content, ObjectTracks
from avssl_tf.data.synthetic import (
  planar_scene,
  spherical_frames,
  spherical_scene,
  spherical_sound,
)
from avssl_tf.data.synthetic.world import frame_times_us
from avssl_tf.errors import UserError

_SPLIT_NUMBER = {"train": 0, "test": 1}
# Independent streams of random numbers, so that video and audio can be rendered separately.
_SCENE_STREAM, _FRAMES_STREAM, _SOUND_STREAM = range(3)
# Above this, motions and drifts would cross the poles.
_MAX_ELEVATION_DEG = 40.0
# More would overlap on the circle.
_MAX_OBJECTS = 8


@dataclasses.dataclass(frozen=True)
class SphericalClip:
  """One clip with its ground truth.

  Attributes:
    frames: uint8 `[12, 64, 128, 3]`, RGB, equirectangular.
    waveform: float32 `[12000, 4]` in -1..1, ACN/SN3D (W Y Z X).
    tracks: the objects at the times of the frames.
    masks: uint8 `[12, 64, 128]`, 1 + class of the visible object, 0 for background.
  """

  frames: np.ndarray
  waveform: np.ndarray
  tracks: ObjectTracks
  masks: np.ndarray


@gin.register
@dataclasses.dataclass(frozen=True)
class SphericalWorld:
  """A seeded set of 360° clips.

  Every clip is a pure function of the fields, the split and the index.

  Attributes:
    seed: seed of the world, an integer of at least 0.
    num_train: number of clips of the split "train".
    num_test: number of clips of the split "test".
    num_sounding: smallest and largest number of sounding objects in a clip, drawn uniformly.
    num_silent: smallest and largest number of silent objects in a clip, drawn uniformly.
    look_alikes: whether silent objects have the shapes of sounding ones; if not, all objects of a
      clip have different shapes.
    max_elevation_deg: maximum elevation of the centres of motion, up or down, 0..40.
    registers: whether each shape has a separate pitch range, with partials that fall with
      frequency, like instruments, so that simultaneous sources can be distinguished; if not, all
      share the same pitch range and bright timbres.
    diffuse_db: bounds of the level of the diffuse noise, relative to a steadily sounding object.
    shortcut: strength, 0..1, of a cue that links the audio of a clip to its video without
      direction: the hue of the background determines the pitch of a hum in W alone.
  """

  seed: int = 0
  num_train: int = 3072
  num_test: int = 768
  num_sounding: tuple[int, int] = (3, 3)
  num_silent: tuple[int, int] = (1, 1)
  look_alikes: bool = True
  max_elevation_deg: float = 17.0
  registers: bool = False
  diffuse_db: tuple[float, float] = (-26.0, -14.0)
  shortcut: float = 0.0

  name: ClassVar[str] = "spherical"
  projection: ClassVar[str] = EQUIRECTANGULAR
  frame_rate_hz: ClassVar[float] = spherical_frames.FRAME_RATE_HZ
  frame_height: ClassVar[int] = spherical_frames.HEIGHT  # half of the width
  sample_rate_hz: ClassVar[int] = spherical_sound.SAMPLE_RATE_HZ
  num_channels: ClassVar[int] = spherical_sound.NUM_CHANNELS
  clip_duration_sec: ClassVar[float] = planar_scene.CLIP_DURATION_SEC

  def __post_init__(self):
    if self.seed < 0:
      raise UserError(f"seed is {self.seed}; expected 0 or more.")
    if self.num_train < 0 or self.num_test < 0:
      raise UserError(
        f"num_train is {self.num_train} and num_test is {self.num_test}; expected 0 or more."
      )
    if not 0.0 <= self.shortcut <= 1.0:
      raise UserError(f"shortcut is {self.shortcut}; expected 0..1.")
    for name, least in (("num_sounding", 1), ("num_silent", 0)):
      low, high = getattr(self, name)
      if not least <= low <= high:
        raise UserError(f"{name} is {(low, high)}; expected (low, high), {least} <= low <= high.")
    if not 0.0 <= self.max_elevation_deg <= _MAX_ELEVATION_DEG:
      raise UserError(
        f"max_elevation_deg is {self.max_elevation_deg}; expected 0..{_MAX_ELEVATION_DEG:g}."
      )
    if not self.diffuse_db[0] <= self.diffuse_db[1]:
      raise UserError(f"diffuse_db is {self.diffuse_db}; expected (low, high), low <= high.")
    most = _MAX_OBJECTS if self.look_alikes else len(planar_scene.SHAPES)
    if self.num_sounding[1] + self.num_silent[1] > most:
      kind = "objects" if self.look_alikes else "objects of different shapes"
      raise UserError(
        f"A clip may have at most {most} {kind}, got up to {self.num_sounding[1]} sounding and "
        f"{self.num_silent[1]} silent ones."
      )

  @property
  def label_names(self) -> list[str]:
    """Names of the 16 classes in the order of their labels, such as "disc_orbit"."""
    return list(planar_scene.CLASS_NAMES)

  def num_clips(self, split: str) -> int:
    """Number of clips of `split`.

    Raises:
      UserError: the split does not exist.
    """
    if split not in _SPLIT_NUMBER:
      raise UserError(
        f"The spherical world has no split {split!r}. It has: {list(_SPLIT_NUMBER)}."
      )
    return self.num_train if split == "train" else self.num_test

  def clip(self, split: str, index: int) -> SphericalClip:
    """Renders clip `index` of `split`.

    Raises:
      UserError: the split does not exist.
      IndexError: `index` is not in 0..num_clips(split) - 1.
    """
    num_clips = self.num_clips(split)
    if not 0 <= index < num_clips:
      raise IndexError(f"Clip {index} of {split!r}: the split has clips 0..{num_clips - 1}.")
    scene = self._scene(split, index)
    frames, masks = spherical_frames.render(scene, self._generator(split, index, _FRAMES_STREAM))
    waveform = spherical_sound.synthesize(
      scene, self.diffuse_db, self.registers, self._generator(split, index, _SOUND_STREAM)
    )
    return SphericalClip(frames, waveform, _tracks(scene), masks)

  def content(self, split: str, index: int) -> Content:
    """Content of `clip` to be stored; its label is the class of the first sounding object."""
    clip = self.clip(split, index)
    return Content(
      clip.frames,
      frame_times_us(len(clip.frames), self.frame_rate_hz),
      clip.waveform,
      label=self.label_names[clip.tracks.labels[0]],
      projection=self.projection,
      tracks=clip.tracks,
      masks=clip.masks,
    )

  def _scene(self, split: str, index: int) -> spherical_scene.SphericalScene:
    rng = self._generator(split, index, _SCENE_STREAM)
    sounding, silent = (
      int(rng.integers(low, high + 1)) for low, high in (self.num_sounding, self.num_silent)
    )
    return spherical_scene.draw_scene(
      sounding,
      silent,
      self.look_alikes,
      np.deg2rad(self.max_elevation_deg),
      self.shortcut,
      rng,
    )

  def _generator(self, split: str, index: int, stream: int) -> np.random.Generator:
    key = (self.seed, _SPLIT_NUMBER[split], stream, index)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _tracks(scene: spherical_scene.SphericalScene) -> ObjectTracks:
  time_sec = np.arange(spherical_frames.NUM_FRAMES) / spherical_frames.FRAME_RATE_HZ
  vectors = np.stack([one.directions(time_sec) for one in scene.objects], axis=1)
  return ObjectTracks(
    labels=np.array([one.label for one in scene.objects], np.int64),
    is_sounding=np.array([one.is_sounding for one in scene.objects]),
    azimuth_rad=np.arctan2(vectors[..., 1], vectors[..., 0]).astype(np.float32),
    elevation_rad=np.arcsin(np.clip(vectors[..., 2], -1.0, 1.0)).astype(np.float32),
  )
