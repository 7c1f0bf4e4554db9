"""Frozen features of the views of 360° clips, and their translations."""

import dataclasses
from typing import Optional

import numpy as np
import tensorflow as tf

from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.inference import features as features_lib
from avssl_tf.inference.encoder import Encoder
from avssl_tf.keys import AUDIO, MODALITIES, VIDEO

# Clips translated at a time.
_BLOCK_SIZE = 1024


@dataclasses.dataclass(frozen=True)
class ViewFeatures:
  """Pooled features of the K views of N clips.

  Attributes:
    video: float32 `[N, K, D]`.
    audio: float32 `[N, K, D']`.
    wrong: float32 `[N, K, D']`, features of mismatched audio: as extracted, of the clip's own sound
      field, rotated as a whole; None if not requested.
    labels: int64 `[N, K]`, classes of the views, -1 where unknown.
  """

  video: np.ndarray
  audio: np.ndarray
  wrong: Optional[np.ndarray]
  labels: np.ndarray

  def __len__(self) -> int:
    return len(self.video)

  def single_views(self) -> "ViewFeatures":
    """Each view as a separate clip: N * K clips with one view."""

    def split(array: Optional[np.ndarray]) -> Optional[np.ndarray]:
      return None if array is None else array.reshape(-1, 1, *array.shape[2:])

    return ViewFeatures(*map(split, (self.video, self.audio, self.wrong, self.labels)))


def extract(
  encoder: Encoder,
  data_dir: str,
  split: str,
  windows_per_clip: int = 1,
  batch_size: int = 16,
  turned: bool = False,
  progress: bool = False,
  random_seed: Optional[int] = None,
  max_clips: Optional[int] = None,
) -> ViewFeatures:
  """Runs a frozen network over the views of a split.

  Args:
    encoder: a network of 360° clips.
    data_dir: folder of 360° records.
    split: split, subset or slice of one.
    windows_per_clip: windows of a clip, each with separate viewpoints; a window counts as a clip.
    batch_size: clips per forward pass.
    turned: whether to extract features of the rotated audio too.
    progress: whether to show progress bars.
    random_seed: seed of random windows, viewpoints and rotations; None uses evenly spaced windows,
      always the same.
    max_clips: maximum number of clips, selected to represent the whole split; None uses all.
  """

  def rows(turn: bool, title: str) -> features_lib.Features:
    dataset = datasets.evaluation_dataset(
      data_dir,
      split,
      encoder.clip,
      batch_size,
      windows_per_clip,
      turn_sound=turn,
      random_seed=random_seed,
      max_records=max_clips,
    )
    return features_lib.extract(
      encoder,
      dataset,
      progress=title if progress else None,
      modalities=(AUDIO,) if turn else MODALITIES,
    )

  def views(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, encoder.clip.viewpoints.num_viewpoints, *array.shape[1:])

  found = rows(False, f"views of {split}")
  return ViewFeatures(
    video=views(found.video_features),
    audio=views(found.audio_features),
    wrong=views(rows(True, f"rotated audio of {split}").audio_features) if turned else None,
    labels=views(found.labels),
  )


def translate(
  encoder: Encoder, video: np.ndarray, audio: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
  """Translates features of views; see `AlignmentModel.translate`.

  Args:
    encoder: a network of 360° clips.
    video: float32 `[N, K, D]`.
    audio: float32 `[N, K, D']`.

  Returns:
    `"translated"`, `"target"` and `"prediction"`: by modality, float32 `[N, K, ...]`.
  """
  blocks = []
  for start in range(0, len(video), _BLOCK_SIZE):
    block = slice(start, start + _BLOCK_SIZE)
    features = {VIDEO: tf.constant(video[block]), AUDIO: tf.constant(audio[block])}
    outputs = encoder.translate(features)
    blocks.append(tf.nest.map_structure(lambda value: value.numpy(), outputs))
  return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *blocks)


def check(encoder: Encoder, info: DatasetInfo, data_dir: str) -> None:
  """Raises a `UserError` unless network and records are of 360° clips and compatible."""
  if encoder.translate is None or encoder.clip.viewpoints is None:
    raise UserError(
      "This task requires a network of 360° clips, which translates between video and audio from "
      "several viewpoints (gin/avsa.gin, gin/avc.gin); --model_dir contains another network."
    )
  if info.projection is None:
    raise UserError(
      f"The records in {data_dir!r} are of ordinary video; this task requires 360° clips with "
      "ambisonics: pass such records with --data_dir."
    )
  if info.num_channels != encoder.num_channels:
    raise UserError(
      f"The audio in {data_dir!r} has {info.num_channels} channels; the network requires "
      f"{encoder.num_channels}."
    )
