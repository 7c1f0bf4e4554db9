"""Features and embeddings of a whole data set, as NumPy arrays."""

import dataclasses
from collections.abc import Iterator
from typing import Optional

import numpy as np
import tensorflow as tf
import tqdm
from sklearn.preprocessing import normalize

from avssl_tf import types
from avssl_tf.models import av_model

_ARRAYS = ("video_features", "audio_features", "video_embeddings", "audio_embeddings")


@dataclasses.dataclass(frozen=True)
class Features:
  """What a model says of N clips, in the order of the data set.

  Attributes:
    video_features: float32 [N, D], pooled features, the mean over a clip's windows.
    audio_features: float32 [N, D'], the same of the sound.
    video_embeddings: float32 [N, E], unit rows: the mean over the windows, scaled to unit length.
    audio_embeddings: float32 [N, E], the same of the sound.
    labels: int64 [N], -1 where unknown.
    indices: int64 [N], positions of the clips in the split.
    keys: object [N], ids of the examples (str).
  """

  video_features: np.ndarray
  audio_features: np.ndarray
  video_embeddings: np.ndarray
  audio_embeddings: np.ndarray
  labels: np.ndarray
  indices: np.ndarray
  keys: np.ndarray

  def __len__(self) -> int:
    return len(self.indices)


def extract(
  model: av_model.AudioVisualModel,
  dataset: tf.data.Dataset,
  num_windows: int = 1,
  progress: Optional[str] = None,
) -> Features:
  """Runs a frozen model over a finite data set.

  The model runs as a compiled function with an open batch size: a smaller last
  batch does not trace it again. Variables of a distribution strategy are read
  as they would be saved (per-replica statistics averaged); with several
  machines every worker has to call this function, since that average is a
  collective operation.

  Args:
    model: the model, with its variables built.
    dataset: batches with `VIDEO`, `AUDIO` and `INDEX`, and optionally `LABEL`
      and `KEY`, as from `avssl_tf.data.pipeline.evaluation_dataset`.
    num_windows: consecutive rows of the data set that are windows of one clip.
      Batches need not end where a clip ends.
    progress: title of a progress bar (in batches); None shows no bar.

  Raises:
    ValueError: the data set is empty, or rows that should be windows of one
      clip have different indices.
  """
  windows: list[dict[str, np.ndarray]] = []
  clips: list[dict[str, np.ndarray]] = []
  pending = 0
  for batch in _forward(model, dataset, progress):
    windows.append(batch)
    pending += len(batch[types.INDEX])
    complete = pending - pending % num_windows
    if complete:
      joined = _concatenate(windows)
      clips.append(_pool({k: v[:complete] for k, v in joined.items()}, num_windows))
      windows = [{k: v[complete:] for k, v in joined.items()}]
      pending -= complete
  if pending:
    raise ValueError(
      f"The data set ended {num_windows - pending} rows short of a whole clip: "
      f"it was not built with {num_windows} windows a clip."
    )
  if not clips:
    raise ValueError("The data set to extract features from is empty.")
  result = _concatenate(clips)
  return Features(
    **{name: result[name] for name in _ARRAYS},
    labels=result[types.LABEL],
    indices=result[types.INDEX],
    keys=result[types.KEY],
  )


def _forward(
  model: av_model.AudioVisualModel, dataset: tf.data.Dataset, progress: Optional[str]
) -> Iterator[dict[str, np.ndarray]]:
  """Yields for each batch the arrays of all its rows, labels and keys filled in where missing."""
  embed = _compiled(model, dataset.element_spec)
  total = int(dataset.cardinality())
  bar = tqdm.tqdm(
    dataset,
    desc=progress,
    total=total if total >= 0 else None,
    unit="batch",
    disable=progress is None,
    leave=False,
  )
  for batch in bar:
    rows = {k: v.numpy() for k, v in embed(batch[types.VIDEO], batch[types.AUDIO]).items()}
    count = len(rows["video_features"])
    rows[types.INDEX] = batch[types.INDEX].numpy()
    rows[types.LABEL] = (
      batch[types.LABEL].numpy() if types.LABEL in batch else np.full(count, -1, np.int64)
    )
    keys = batch[types.KEY].numpy() if types.KEY in batch else [b""] * count
    rows[types.KEY] = np.array([key.decode("utf-8", "replace") for key in keys], object)
    yield rows


def _compiled(model: av_model.AudioVisualModel, element_spec: dict[str, tf.TensorSpec]):
  """The model as one graph function of frames and waveforms with an open batch size."""

  def open_batch(spec: tf.TensorSpec) -> tf.TensorSpec:
    return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype)

  @tf.function(input_signature=[open_batch(element_spec[key]) for key in types.MODALITIES])
  def embed(frames, waveform):
    video = model.embed_video(frames, training=False)
    audio = model.embed_audio(waveform, training=False)
    return {
      "video_features": video["features"],
      "audio_features": audio["features"],
      "video_embeddings": video["embedding"],
      "audio_embeddings": audio["embedding"],
    }

  return embed


def _concatenate(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
  return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _pool(rows: dict[str, np.ndarray], num_windows: int) -> dict[str, np.ndarray]:
  """Joins the `num_windows` consecutive rows of each clip into one row."""
  grouped = {k: v.reshape(-1, num_windows, *v.shape[1:]) for k, v in rows.items()}
  indices = grouped[types.INDEX]
  mixed = np.flatnonzero((indices != indices[:, :1]).any(axis=1))
  if len(mixed):
    raise ValueError(
      f"{num_windows} consecutive rows should be windows of one clip, but rows of the clips "
      f"{indices[mixed[0]].tolist()} follow each other: the data set has another number of windows."
    )
  pooled = {k: v[:, 0] for k, v in grouped.items()}
  for name in _ARRAYS:
    pooled[name] = grouped[name].mean(axis=1)
  for name in ("video_embeddings", "audio_embeddings"):
    pooled[name] = normalize(pooled[name])
  return pooled
