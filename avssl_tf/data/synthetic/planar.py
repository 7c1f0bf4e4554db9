"""The planar world: short clips of a moving object with audio that follows its motion.

A class is a shape (disc, triangle, cross, ring), audible as a timbre, and a motion (oscillate,
orbit, pulse, blink), audible as a synchronous temporal pattern. Colours, textures, positions,
loudness, background and distractors vary independently of the class. Rate, phase and size (pitch)
also vary from clip to clip, but video and audio share them, which links the two beyond the class.
Each clip has ground truth: class, boxes, and the clip that its audio comes from.

With `instance_cues`, video and audio share colours, position and background as well: each is
audible as a separate steady sound. These cues are easier to learn than the class and identify a
clip in either modality, so instance discrimination methods can ignore the class.
"""

import dataclasses
import functools
from typing import ClassVar, Optional

import gin
import numpy as np

from avssl_tf.data.clip_content import Content
from avssl_tf.data.synthetic import planar_frames, planar_scene, planar_sound
from avssl_tf.data.synthetic.world import frame_times_us
from avssl_tf.errors import UserError

_SPLIT_NUMBER = {"train": 0, "test": 1}
# Independent streams of random numbers, so that video and audio can be rendered separately.
_TABLE_STREAM, _SCENE_STREAM, _FRAMES_STREAM, _SOUND_STREAM, _CUES_STREAM = range(5)


@dataclasses.dataclass(frozen=True)
class PlanarClip:
  """One clip with its ground truth.

  Attributes:
    frames: uint8 `[12, 40, 40, 3]`, RGB.
    waveform: float32 `[12000]` in -1..1, mono.
    label: class of the visible object.
    boxes: float32 `[12, 4]`, ymin, xmin, ymax, xmax in 0..1 of the object in each frame, clipped at
      the edge of the frame. An unlit blinking object keeps its box.
    audio_from: index of the clip that the audio comes from; the clip itself unless the audio was
      replaced.
    cues: the visible instance cues; they are audible in the clips whose `audio_from` is this clip.
  """

  frames: np.ndarray
  waveform: np.ndarray
  label: int
  boxes: np.ndarray
  audio_from: int
  cues: planar_scene.Cues


@gin.register
@dataclasses.dataclass(frozen=True)
class PlanarWorld:
  """A seeded set of planar clips.

  Every clip is a pure function of the fields, the split and the index. Numbers are drawn from PCG64
  streams, computed in float64 and rounded to 8 bits (video) and 16 bits (audio), so two machines
  can differ by one step only if a value is within a few float64 rounding errors of a tie.

  Attributes:
    seed: seed of the world, an integer of at least 0.
    num_train: number of clips of the split "train".
    num_test: number of clips of the split "test".
    faulty_positive_rate: share of the clips, in 0..1, whose audio is replaced by that of another
      clip of the split, drawn uniformly. The clips replaced at a lower rate are a subset of those
      replaced at a higher rate.
    instance_cues: strength, in 0..1, of cues that video and audio of a clip share and that are
      independent of its class (`planar_scene.Cues`). The cues and everything else are the same at
      every strength. Replaced audio has the cues of the clip that it comes from.
  """

  seed: int = 0
  num_train: int = 4096
  num_test: int = 1024
  faulty_positive_rate: float = 0.0
  instance_cues: float = 0.0

  name: ClassVar[str] = "planar"
  projection: ClassVar[Optional[str]] = None
  num_channels: ClassVar[int] = 1
  frame_rate_hz: ClassVar[float] = planar_frames.FRAME_RATE_HZ
  frame_size: ClassVar[int] = planar_frames.FRAME_SIZE  # height and width
  sample_rate_hz: ClassVar[int] = planar_sound.SAMPLE_RATE_HZ
  clip_duration_sec: ClassVar[float] = planar_scene.CLIP_DURATION_SEC

  def __post_init__(self):
    if self.seed < 0:
      raise UserError(f"seed is {self.seed}; expected 0 or more.")
    if self.num_train < 0 or self.num_test < 0:
      raise UserError(
        f"num_train is {self.num_train} and num_test is {self.num_test}; expected 0 or more."
      )
    if not 0.0 <= self.faulty_positive_rate <= 1.0:
      raise UserError(f"faulty_positive_rate is {self.faulty_positive_rate}; expected 0..1.")
    if not 0.0 <= self.instance_cues <= 1.0:
      raise UserError(f"instance_cues is {self.instance_cues}; expected 0..1.")

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
      raise UserError(f"The planar world has no split {split!r}. It has: {list(_SPLIT_NUMBER)}.")
    return self.num_train if split == "train" else self.num_test

  def clip(self, split: str, index: int) -> PlanarClip:
    """Renders clip `index` of `split`.

    Raises:
      UserError: the split does not exist.
      IndexError: `index` is not in 0..num_clips(split) - 1.
    """
    labels, audio_from = self._table(split)
    if not 0 <= index < len(labels):
      raise IndexError(f"Clip {index} of {split!r}: the split has clips 0..{len(labels) - 1}.")
    source = int(audio_from[index])
    scene = self._scene(split, index)
    frames, boxes = planar_frames.render(scene, self._generator(split, index, _FRAMES_STREAM))
    waveform = planar_sound.synthesize(
      self._scene(split, source), self._generator(split, source, _SOUND_STREAM)
    )
    return PlanarClip(
      frames=frames,
      waveform=waveform,
      label=int(labels[index]),
      boxes=boxes,
      audio_from=source,
      cues=scene.cues,
    )

  def content(self, split: str, index: int) -> Content:
    """Content of `clip` to be stored."""
    clip = self.clip(split, index)
    return Content(
      clip.frames,
      frame_times_us(len(clip.frames), self.frame_rate_hz),
      clip.waveform[:, np.newaxis],
      boxes=clip.boxes,
      label=self.label_names[clip.label],
      sound_replaced=clip.audio_from != index,
    )

  def _scene(self, split: str, index: int) -> planar_scene.Scene:
    labels, _ = self._table(split)
    cues = planar_scene.draw_cues(self.instance_cues, self._generator(split, index, _CUES_STREAM))
    rng = self._generator(split, index, _SCENE_STREAM)
    return planar_scene.draw_scene(int(labels[index]), cues, rng)

  def _generator(self, split: str, index: int, stream: int) -> np.random.Generator:
    return _generator(self.seed, _SPLIT_NUMBER[split], stream, index)

  def _table(self, split: str) -> tuple[np.ndarray, np.ndarray]:
    num_clips = self.num_clips(split)
    return _table(self.seed, _SPLIT_NUMBER[split], num_clips, self.faulty_positive_rate)


def _generator(*key: int) -> np.random.Generator:
  return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


@functools.lru_cache(maxsize=8)
def _table(
  seed: int, split_number: int, num_clips: int, faulty_positive_rate: float
) -> tuple[np.ndarray, np.ndarray]:
  """Label of each clip and index of the clip that its audio comes from, int64 `[num_clips]`.

  Classes are equally frequent (up to one clip) and in random order.
  """
  order, fault_order, shift = _generator(seed, split_number, _TABLE_STREAM).random((3, num_clips))
  labels = np.argsort(np.argsort(order)) % planar_scene.NUM_CLASSES
  audio_from = np.arange(num_clips)
  if num_clips > 1:
    faulty = np.argsort(fault_order)[: round(faulty_positive_rate * num_clips)]
    others = 1 + np.floor(shift[faulty] * (num_clips - 1)).astype(np.int64)
    audio_from[faulty] = (faulty + others) % num_clips
  return labels, audio_from
