"""The planar world: short clips of a moving object whose sound follows its motion.

A class is a shape (disc, triangle, cross, ring), heard as a timbre, and a
motion (oscillate, orbit, pulse, blink), heard as a temporal pattern in step
with it. Colours, textures, places, loudness, background and distractors vary
and say nothing of the class. Rate, phase and size (pitch) vary from clip to
clip too, but are shared by picture and sound: they tie the two together beyond
the class. The truth (class, boxes, whose sound it is) comes with each clip.

With `instance_cues`, colours, place and background are shared as well: each is
heard as a steady sound of its own. They are easier to find than the class, and
enough to tell one clip from all others in either modality, so that methods
which discriminate instances can do without the class.
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
# Independent streams of random numbers. The picture and the sound of a clip
# have their own, so that either can be had without the other.
_TABLE_STREAM, _SCENE_STREAM, _FRAMES_STREAM, _SOUND_STREAM, _CUES_STREAM = range(5)


@dataclasses.dataclass(frozen=True)
class PlanarClip:
  """One clip with its ground truth.

  Attributes:
    frames: uint8 `[12, 40, 40, 3]`, RGB.
    waveform: float32 `[12000]` in -1..1, mono.
    label: class of the object that is seen.
    boxes: float32 `[12, 4]`, ymin, xmin, ymax, xmax in 0..1 of the object in
      each frame, cut at the frame's edge. An unlit blinking object keeps its box.
    audio_from: index of the clip whose sound this is; its own unless the sound
      was replaced.
    cues: the instance cues that are seen; they are heard in the clips whose
      `audio_from` is this one.
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

  Every clip is a pure function of the fields below, the split and the index.
  Numbers are drawn from PCG64 streams, computed in float64 and rounded to
  8 bits (picture) and 16 bits (sound), so that two machines can differ by one
  step only where a value falls within a few float64 roundings of a tie.

  Attributes:
    seed: of the whole world; a whole number from 0 on.
    num_train: number of clips of the split "train".
    num_test: number of clips of the split "test".
    faulty_positive_rate: share of the clips, in 0..1, whose sound is replaced
      by that of another clip of the split, drawn uniformly. The clips replaced
      at a lower rate are among those replaced at a higher one.
    instance_cues: strength, in 0..1, of cues that picture and sound of a clip
      share and that say nothing of its class (`planar_scene.Cues`). All else
      is the same at every strength, and so are the cues. A replaced sound has
      the cues of the clip that it comes from.
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
      raise UserError(f"seed must be 0 or more, got {self.seed}.")
    if self.num_train < 0 or self.num_test < 0:
      raise UserError(
        f"num_train and num_test must be 0 or more, got {self.num_train} and {self.num_test}."
      )
    if not 0.0 <= self.faulty_positive_rate <= 1.0:
      raise UserError(f"faulty_positive_rate must be in 0..1, got {self.faulty_positive_rate}.")
    if not 0.0 <= self.instance_cues <= 1.0:
      raise UserError(f"instance_cues must be in 0..1, got {self.instance_cues}.")

  @property
  def label_names(self) -> list[str]:
    """Names of the 16 classes in the order of their labels, e.g. "disc_orbit"."""
    return list(planar_scene.CLASS_NAMES)

  def num_clips(self, split: str) -> int:
    """Number of clips of `split`.

    Raises:
      UserError: no such split.
    """
    if split not in _SPLIT_NUMBER:
      raise UserError(f"The planar world has no split {split!r}. It has: {list(_SPLIT_NUMBER)}.")
    return self.num_train if split == "train" else self.num_test

  def clip(self, split: str, index: int) -> PlanarClip:
    """Renders the clip number `index` of `split`.

    Raises:
      UserError: no such split.
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
    """`clip` in the form that is stored."""
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
  """Label of each clip and the index of the clip that its sound comes from, int64 `[num_clips]`.

  Classes are equally frequent (within one clip) and in an order of their own.
  """
  order, fault_order, shift = _generator(seed, split_number, _TABLE_STREAM).random((3, num_clips))
  labels = np.argsort(np.argsort(order)) % planar_scene.NUM_CLASSES
  audio_from = np.arange(num_clips)
  if num_clips > 1:
    faulty = np.argsort(fault_order)[: round(faulty_positive_rate * num_clips)]
    others = 1 + np.floor(shift[faulty] * (num_clips - 1)).astype(np.int64)
    audio_from[faulty] = (faulty + others) % num_clips
  return labels, audio_from
