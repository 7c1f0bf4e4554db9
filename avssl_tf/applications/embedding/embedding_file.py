"""Embedding files: NPZ with one row per window and the provenance of the network.

| array | dtype, shape | meaning |
|---|---|---|
| `id` | str `[N]` | path of the window's file, relative to the embedded folder |
| `start_sec`, `end_sec` | float64 `[N]` | start and end of the window in the file |
| `has_video`, `has_audio` | bool `[N]` | whether there is video, and audio that is not silent |
| `video_features`, `audio_features` | float32 `[N, D]` | pooled features; NaN if absent |
| `video_embeddings`, `audio_embeddings` | float32 `[N, E]` | unit length; NaN if absent |
| `about` | str | JSON: `weights` and `model_dir` of the network, `input`, window lengths |
"""

import dataclasses
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from avssl_tf import arrays, keys
from avssl_tf.applications.embedding import window_features
from avssl_tf.errors import MissingFileError, UserError
from avssl_tf.files import parse_json

# Incremented when arrays change their names or meanings.
FORMAT = 1
ABOUT = "about"
# Rows that are read at once: some MB of embeddings.
BLOCK_ROWS = 1 << 14
ROWS = ("id", "start_sec", "end_sec", "has_video", "has_audio", *window_features.NAMES)


def rows_of(
  media_id: str, spans: Sequence[tuple[float, float]], features: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """The arrays for the windows of one file.

  Args:
    media_id: name of the file.
    spans: start and end of each window.
    features: result of `window_features.WindowFeatures`.
  """
  starts_and_ends = np.asarray(spans, np.float64).reshape(-1, 2)
  return {
    "id": np.array([media_id] * len(spans), np.str_),
    "start_sec": starts_and_ends[:, 0],
    "end_sec": starts_and_ends[:, 1],
    **{
      f"has_{modality}": ~np.isnan(features[f"{modality}_embeddings"]).any(axis=1)
      for modality in keys.MODALITIES
    },
    **features,
  }


def join(path: str, part_paths: Sequence[str], about: Mapping[str, Any]) -> None:
  """Writes an embedding file from files with `ROWS`, keeping one array in memory at a time.

  Args:
    path: file to write.
    part_paths: the files, in order; at least one.
    about: provenance of the embeddings; the format version is added.
  """
  text = json.dumps({"format": FORMAT, **about}, sort_keys=True)
  with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
    for name in (*ROWS, ABOUT):
      if name == ABOUT:
        array = np.array(text)
      else:
        array = np.concatenate([_load(part_path, name) for part_path in part_paths])
      with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _load(path: str, name: str) -> np.ndarray:
  with arrays.open_npz(path) as content:
    return content[name]


@dataclasses.dataclass(frozen=True)
class EmbeddingFile:
  """An embedding file opened for search; its arrays are read on demand.

  Attributes:
    path: the file.
    about: provenance of the embeddings.
    num_rows: number of windows N.
  """

  path: str
  about: Mapping[str, Any]
  num_rows: int

  @classmethod
  def open(cls, path: str) -> "EmbeddingFile":
    """Opens a file and checks everything except the values of its arrays.

    Raises:
      UserError: it is not an embedding file, has another format version, or is empty.
      MissingFileError: there is no such file.
    """
    try:
      with arrays.open_npz(path) as content:
        about = parse_json(str(content[ABOUT]), f"`{ABOUT}` of {path}")
        found = about["format"]
        if found == FORMAT:
          _check(about, content)
          (num_rows,), _ = content.shape_and_dtype("id")
    except FileNotFoundError as error:
      raise MissingFileError(f"{path}: no such file.") from error
    except (ValueError, KeyError) as error:
      raise UserError(
        f"{path} contains no embeddings ({error}); expected a file written by `python -m "
        "avssl_tf.apply embed`."
      ) from error
    if found != FORMAT:
      raise UserError(
        f"{path} has format {found}; this version reads format {FORMAT}. Embed the files again."
      )
    if not num_rows:
      raise UserError(f"{path} contains no windows.")
    return cls(path, about, num_rows)

  @property
  def ids(self) -> np.ndarray:
    """Names of the files of the windows: str `[N]`."""
    return _load(self.path, "id")

  def embeddings(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads all video or audio embeddings.

    Returns:
      int64 `[M]`, the rows with embeddings, and float32 `[M, E]`, the embeddings of unit length.
    """
    has = _load(self.path, f"has_{modality}")
    return np.flatnonzero(has), _load(self.path, f"{modality}_embeddings")[has]

  def blocks(self, names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Reads arrays of `ROWS` in blocks of rows: the memory does not depend on the number of rows.

    Args:
      names: names of the arrays.

    Yields:
      The rows of each array, by name.

    Raises:
      UserError: the file is damaged.
    """
    with arrays.open_npz(self.path) as content:
      yield from content.blocks(names, BLOCK_ROWS)


def _check(about: Mapping[str, Any], content: arrays.Arrays) -> None:
  """Checks the provenance, and the shapes and dtypes of the arrays that search reads."""
  for name in ("weights", "model_dir"):
    if not isinstance(about.get(name), str):
      raise UserError(f"`{ABOUT}` does not contain {name}")
  shape, dtype = content.shape_and_dtype("id")
  if len(shape) != 1 or dtype.kind != "U":
    raise UserError("`id` is not a list of names")
  for name in ("start_sec", "end_sec"):
    if content.shape_and_dtype(name) != (shape, np.float64):
      raise UserError("`start_sec` and `end_sec` do not have one number per window")
  for modality in keys.MODALITIES:
    if content.shape_and_dtype(f"has_{modality}") != (shape, np.bool_):
      raise UserError(f"`has_{modality}` does not have one truth value per window")
    of_embeddings, dtype = content.shape_and_dtype(f"{modality}_embeddings")
    if len(of_embeddings) != 2 or of_embeddings[0] != shape[0] or dtype != np.float32:
      raise UserError(f"`{modality}_embeddings` does not have one float32 row per window")
