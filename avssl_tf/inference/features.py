"""Features and embeddings of a whole data set as NumPy arrays."""

import dataclasses
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

import numpy as np
import tensorflow as tf
from sklearn.preprocessing import normalize

from avssl_tf import keys
from avssl_tf.errors import UserError
from avssl_tf.inference.encoder import Encoder
from avssl_tf.models import av_model
from avssl_tf.progress import Bar

# Interval of progress lines in a log.
_LOG_INTERVAL_SEC = 10.0

# Compiled functions of each live model, by input specification.
_FUNCTIONS: "weakref.WeakKeyDictionary[Any, dict[Any, Any]]" = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Features:
  """Features and embeddings of N clips, in the order of the data set.

  Arrays of a modality that was not extracted are None.

  Attributes:
    labels: int64 `[N]`, -1 where unknown.
    indices: int64 `[N]`, positions of the clips in the split. The K views of a 360° clip are K
      consecutive rows.
    keys: object `[N]`, ids of the examples (str).
    video_features: float32 `[N, D]`, pooled features, averaged over a clip's windows.
    video_embeddings: float32 `[N, E]`, averaged over the windows and scaled to unit length.
    audio_features: float32 `[N, D']`, pooled features of the audio, averaged in the same way.
    audio_embeddings: float32 `[N, E]`, averaged in the same way and scaled to unit length.
    all_labels: bool `[N, C]`, the classes of each clip; None if not requested.

  Examples:
    >>> import numpy as np
    >>> from avssl_tf.inference import Features
    >>> features = Features(
    ...   labels=np.array([0, -1]), indices=np.array([0, 1]), keys=np.array(["a", "b"], object),
    ...   video_features=np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    ... )
    >>> features.rows(features.labels >= 0).of("video").tolist()
    [[1.0, 2.0]]
  """

  labels: np.ndarray
  indices: np.ndarray
  keys: np.ndarray
  video_features: Optional[np.ndarray] = None
  video_embeddings: Optional[np.ndarray] = None
  audio_features: Optional[np.ndarray] = None
  audio_embeddings: Optional[np.ndarray] = None
  all_labels: Optional[np.ndarray] = None

  def __len__(self) -> int:
    return len(self.indices)

  def of(self, modality: str) -> np.ndarray:
    """Pooled features of one modality.

    Args:
      modality: `"video"` or `"audio"`.

    Returns:
      float32 `[N, D]`, or None if the modality was not extracted.
    """
    return getattr(self, f"{modality}_features")

  def rows(self, which: np.ndarray) -> "Features":
    """Selects clips.

    Args:
      which: positions, int `[M]`, or a mask, bool `[N]`.

    Returns:
      The features of the selected clips.
    """
    return Features(
      **{
        field.name: None if getattr(self, field.name) is None else getattr(self, field.name)[which]
        for field in dataclasses.fields(self)
      }
    )


def extract(
  encoder: Union[Encoder, av_model.AudioVisualModel],
  dataset: tf.data.Dataset,
  num_windows: int = 1,
  progress: Optional[str] = None,
  modalities: Optional[Sequence[str]] = None,
) -> Features:
  """Runs a frozen network over a finite data set.

  Each view of a 360° clip counts as a separate clip, with the label of that view.

  The network runs as a compiled function with a variable batch size: neither a smaller last batch
  nor another data set of such clips causes retracing. Variables of a distribution strategy are
  read as they would be saved (per-replica statistics averaged). With several machines every worker
  must call this function, since the average is a collective operation.

  Args:
    encoder: an encoder, or a model whose variables are built.
    dataset: batches with `INDEX`, with `VIDEO`, `AUDIO` or both, and optionally `LABEL` and `KEY`,
      as returned by `avssl_tf.data.pipeline.datasets.evaluation_dataset`.
    num_windows: number of consecutive rows of the data set that are windows of one clip. A batch
      may end within a clip. Views of 360° clips are never averaged, since the directions of the
      views differ between windows.
    progress: title of a progress bar (in batches); None shows no bar.
    modalities: `VIDEO`, `AUDIO` or both; None extracts all modalities of the data set.

  Returns:
    The features, with one row per clip or view.

  Raises:
    UserError: the data set is empty or lacks a requested modality, or rows that should be windows
      of one clip have different indices.

  Examples:
    >>> import numpy as np
    >>> import tensorflow as tf
    >>> from avssl_tf.inference import extract
    >>> class MeanColour:
    ...   def embed_video(self, frames):
    ...     mean = tf.reduce_mean(tf.cast(frames, tf.float32), axis=[1, 2, 3])
    ...     return {"features": mean, "embedding": tf.math.l2_normalize(mean, axis=1)}
    >>> clips = {"video": np.full([2, 8, 4, 4, 3], 7, np.uint8), "index": np.arange(2)}
    >>> features = extract(MeanColour(), tf.data.Dataset.from_tensors(clips))
    >>> features.of("video").tolist()
    [[7.0, 7.0, 7.0], [7.0, 7.0, 7.0]]
  """
  there = [key for key in keys.MODALITIES if key in dataset.element_spec]
  modalities = there if modalities is None else list(modalities)
  if not modalities or not set(modalities) <= set(there):
    raise UserError(
      f"Features of {' and '.join(modalities) or 'no modality'} were requested, but the data set "
      f"contains {' and '.join(there) or 'neither video nor audio'}."
    )
  if has_views(dataset):
    dataset, num_windows = dataset.map(_each_view), 1
  windows: list[dict[str, np.ndarray]] = []
  clips: list[dict[str, np.ndarray]] = []
  pending = 0
  for batch in _forward(encoder, dataset, modalities, progress):
    windows.append(batch)
    pending += len(batch[keys.INDEX])
    complete = pending - pending % num_windows
    if complete:
      joined = _concatenate(windows)
      clips.append(_pool({k: v[:complete] for k, v in joined.items()}, num_windows))
      windows = [{k: v[complete:] for k, v in joined.items()}]
      pending -= complete
  if pending:
    raise UserError(
      f"The data set ended {num_windows - pending} rows short of a whole clip: "
      f"it was not built with {num_windows} windows per clip."
    )
  if not clips:
    raise UserError("The data set to extract features from is empty.")
  result = _concatenate(clips)
  labels, indices, ids = (result.pop(key) for key in (keys.LABEL, keys.INDEX, keys.KEY))
  return Features(labels, indices, ids, all_labels=result.pop(keys.LABELS, None), **result)


def has_views(dataset: tf.data.Dataset) -> bool:
  """Whether a data set contains several views of each clip, as for 360° video."""
  return keys.VIEW_LABEL in dataset.element_spec


@tf.autograph.experimental.do_not_convert
def _each_view(batch: keys.Batch) -> keys.Batch:
  """Reshapes the views of a batch of 360° clips into a batch of ordinary clips."""
  views = {keys.LABEL: tf.reshape(batch[keys.VIEW_LABEL], [-1])}
  for key in keys.MODALITIES:
    if key in batch:
      views[key] = tf.reshape(batch[key], tf.concat([[-1], tf.shape(batch[key])[2:]], axis=0))
  count = tf.shape(batch[keys.VIEW_LABEL])[1]
  for key in (keys.INDEX, keys.KEY):
    if key in batch:
      views[key] = tf.repeat(batch[key], count)
  return views


def _forward(
  encoder, dataset: tf.data.Dataset, modalities: Sequence[str], progress: Optional[str]
) -> Iterator[dict[str, np.ndarray]]:
  """Yields the arrays of each batch; missing labels and keys are filled in."""
  embed = _compiled(encoder, {key: dataset.element_spec[key] for key in modalities})
  total = int(dataset.cardinality())
  for batch in Bar(progress, total, "batch", items=dataset, shown=progress is not None):
    rows = {k: v.numpy() for k, v in embed(*(batch[key] for key in modalities)).items()}
    rows[keys.INDEX] = batch[keys.INDEX].numpy()
    if keys.LABELS in batch:
      rows[keys.LABELS] = batch[keys.LABELS].numpy()
    count = len(rows[keys.INDEX])
    rows[keys.LABEL] = (
      batch[keys.LABEL].numpy() if keys.LABEL in batch else np.full(count, -1, np.int64)
    )
    ids = batch[keys.KEY].numpy() if keys.KEY in batch else [b""] * count
    rows[keys.KEY] = np.array([key.decode("utf-8", "replace") for key in ids], object)
    yield rows


def _compiled(encoder, element_spec: dict[str, tf.TensorSpec]):
  """The network as one graph function of the inputs in `element_spec`, in that order.

  The batch size is variable. A function lives as long as its network and must not keep it alive.
  """
  specs = {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in element_spec.items()}
  functions = _FUNCTIONS.setdefault(encoder, {})
  identity = tuple((key, tuple(spec.shape), spec.dtype) for key, spec in specs.items())
  if identity not in functions:
    functions[identity] = _embedding_function(weakref.ref(encoder), specs)
  return functions[identity]


def _embedding_function(encoder: "weakref.ref", specs: dict[str, tf.TensorSpec]):
  modalities = list(specs)

  @tf.function(input_signature=list(specs.values()))
  def embed(*inputs):
    outputs = {}
    for modality, value in zip(modalities, inputs):
      found = getattr(encoder(), f"embed_{modality}")(value)
      outputs[f"{modality}_features"] = found["features"]
      outputs[f"{modality}_embeddings"] = found["embedding"]
    return outputs

  return embed


def _concatenate(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
  return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _pool(rows: dict[str, np.ndarray], num_windows: int) -> dict[str, np.ndarray]:
  """Joins the `num_windows` consecutive rows of each clip into one row."""
  grouped = {k: v.reshape(-1, num_windows, *v.shape[1:]) for k, v in rows.items()}
  indices = grouped[keys.INDEX]
  mixed = np.flatnonzero((indices != indices[:, :1]).any(axis=1))
  if len(mixed):
    raise UserError(
      f"{num_windows} consecutive rows should be windows of one clip, but rows of the clips "
      f"{indices[mixed[0]].tolist()} are adjacent: the data set has another number of windows."
    )
  pooled = {k: v[:, 0] for k, v in grouped.items()}
  for name in set(pooled) - {keys.INDEX, keys.LABEL, keys.LABELS, keys.KEY}:
    pooled[name] = grouped[name].mean(axis=1)
    if name.endswith("_embeddings"):
      pooled[name] = normalize(pooled[name])
  return pooled
