"""Embeddings of the clips of a split, with thumbnails."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
import tensorflow as tf
from matplotlib import colormaps

from avssl_tf import keys
from avssl_tf.data.pipeline import datasets
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError
from avssl_tf.evaluation.frozen import frozen_features
from avssl_tf.inference import features
from avssl_tf.inference.encoder import Encoder
from avssl_tf.report.drawings import sound_levels

THUMBNAIL_SIZE = 64
# Index of X, the front-back channel of first-order ambisonics.
_FRONT_CHANNEL = 3
# Minimum reference level of a thumbnail, to show silence as dark.
_SILENT_DB = -30.0


@dataclasses.dataclass(frozen=True)
class ClipEmbeddings:
  """Embeddings of N clips. Each view of a 360° clip counts as a separate clip.

  Attributes:
    ids: ids of the clips; those of views end with the number of the view.
    indices: int64 `[N]`, indices of the clips in the split.
    labels: int64 `[N]`, class of the clip or of the object in a view; -1: unknown.
    label_names: names of the classes; empty if the data has no labels.
    embeddings: by modality, float32 `[N, E]`, unit length.
    thumbnails: by modality, uint8 `[N, 64, 64, 3]`, RGB: the middle frame, and a spectrogram with
      low frequencies at the bottom.
  """

  ids: Sequence[str]
  indices: np.ndarray
  labels: np.ndarray
  label_names: Sequence[str]
  embeddings: dict[str, np.ndarray]
  thumbnails: dict[str, np.ndarray]

  def __len__(self) -> int:
    return len(self.ids)

  @property
  def label_texts(self) -> list[str]:
    """Class name of each clip, or "unknown"; empty if no clip has a label."""
    if not len(self.label_names) or not (self.labels >= 0).any():
      return []
    return [self.label_names[label] if label >= 0 else "unknown" for label in self.labels]


def collect(
  encoder: Encoder,
  data_dir: str,
  split: str,
  count: int = 1000,
  batch_size: int = 32,
  progress: bool = False,
) -> ClipEmbeddings:
  """Embeds clips that are evenly spaced over a split, using the middle window of each.

  Args:
    encoder: a frozen network.
    data_dir: folder of the records.
    split: split, subset, or slice of one.
    count: maximum number of clips, or of views of 360° clips; all views of a clip are included.
    batch_size: number of clips per batch.
    progress: show a progress bar.

  Returns:
    Embeddings of the modalities in the records.

  Raises:
    MissingFileError: there is no data set, or some of its files are missing.
    UserError: there is no such split, `count` is less than 1, or the audio format of the records
      does not match the network.
  """
  if count < 1:
    raise UserError(f"count is {count}; expected 1 or more.")
  info = DatasetInfo.load(data_dir)
  modalities = frozen_features.check_modalities(None, encoder, info, data_dir)
  clip = encoder.clip_of(info)
  num_views = clip.viewpoints.num_viewpoints if clip.viewpoints else 1
  dataset = datasets.evaluation_dataset(
    data_dir, split, clip, batch_size, max_records=max(1, count // num_views)
  )
  found = features.extract(
    encoder, dataset, progress=f"embeddings of {split}" if progress else None
  )
  thumbnails: dict[str, list[np.ndarray]] = {modality: [] for modality in modalities}
  # Read a second time: the frames of all clips may not fit into memory.
  for batch in dataset:
    if keys.VIDEO in thumbnails:
      thumbnails[keys.VIDEO].append(video_thumbnails(batch[keys.VIDEO].numpy()))
    if keys.AUDIO in thumbnails:
      waveforms = batch[keys.AUDIO]
      if features.has_views(dataset):
        # W is the same for all views: use a cardioid towards the viewing direction.
        waveforms = (waveforms[..., :1] + waveforms[..., _FRONT_CHANNEL:][..., :1]) / 2
      thumbnails[keys.AUDIO].append(
        audio_thumbnails(
          tf.reshape(waveforms, [-1, *waveforms.shape[-2:]]),
          clip.output_rate_hz(info.sample_rate_hz),
        )
      )
  ids = list(found.keys)
  if features.has_views(dataset):
    ids = [f"{key} view {row % num_views + 1}" for row, key in enumerate(ids)]
  return ClipEmbeddings(
    ids=ids,
    indices=found.indices,
    labels=found.labels,
    label_names=info.label_names,
    embeddings={m: getattr(found, f"{m}_embeddings") for m in modalities},
    thumbnails={m: np.concatenate(parts) for m, parts in thumbnails.items()},
  )


def video_thumbnails(frames: np.ndarray) -> np.ndarray:
  """Thumbnails of the middle frames.

  Args:
    frames: uint8 `[..., T, H, W, 3]`.

  Returns:
    uint8 `[N, 64, 64, 3]`, with N the product of the leading dimensions.
  """
  frames = frames.reshape(-1, *frames.shape[-4:])
  return np.stack([_resized(frame) for frame in frames[:, frames.shape[1] // 2]])


def audio_thumbnails(waveforms: tf.Tensor, sample_rate_hz: int) -> np.ndarray:
  """Thumbnails of spectrograms.

  Args:
    waveforms: float32 `[N, samples, channels]`; only the first channel is used.
    sample_rate_hz: sample rate of the waveforms.

  Returns:
    uint8 `[N, 64, 64, 3]`, low frequencies at the bottom.
  """
  levels = sound_levels.of(waveforms, sample_rate_hz)
  loudest = np.maximum(levels.max(axis=(1, 2), keepdims=True), _SILENT_DB)
  shares = 1 + (levels[:, ::-1] - loudest) / sound_levels.RANGE_DB
  pictures = colormaps["magma"](np.clip(shares, 0, 1), bytes=True)[..., :3]
  return np.stack([_resized(picture) for picture in pictures])


def _resized(picture: np.ndarray) -> np.ndarray:
  is_large = min(picture.shape[:2]) > THUMBNAIL_SIZE
  interpolation = cv2.INTER_AREA if is_large else cv2.INTER_LINEAR
  return cv2.resize(picture, (THUMBNAIL_SIZE, THUMBNAIL_SIZE), interpolation=interpolation)
