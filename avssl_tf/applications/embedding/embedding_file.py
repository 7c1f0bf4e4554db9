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
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avssl_tf import arrays, keys
from avssl_tf.applications.embedding import window_features
from avssl_tf.errors import MissingFileError, UserError
from avssl_tf.files import parse_json

# Incremented when arrays change their names or meanings.
FORMAT = 1
ABOUT = "about"
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
  """An embedding file opened for search.

  Attributes:
    path: the file.
    about: provenance of the embeddings.
    ids: str `[N]`.
    start_sec: float64 `[N]`.
    end_sec: float64 `[N]`.
  """

  path: str
  about: Mapping[str, Any]
  ids: np.ndarray
  start_sec: np.ndarray
  end_sec: np.ndarray

  @classmethod
  def open(cls, path: str) -> "EmbeddingFile":
    """Opens a file and reads everything except features and embeddings.

    Raises:
      UserError: it is not an embedding file, has another format version, or is empty.
      MissingFileError: there is no such file.
    """
    try:
      with arrays.open_npz(path) as content:
        about = parse_json(str(content[ABOUT]), f"`{ABOUT}` of {path}")
        found = about["format"]
        if found == FORMAT:
          loaded = cls(path, about, content["id"], content["start_sec"], content["end_sec"])
          loaded._check()
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
    if not len(loaded.ids):
      raise UserError(f"{path} contains no windows.")
    return loaded

  def embeddings(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads the video or audio embeddings.

    Returns:
      int64 `[M]`, the rows with embeddings, and float32 `[M, E]`, the embeddings of unit length.
    """
    has = _load(self.path, f"has_{modality}")
    embeddings = _load(self.path, f"{modality}_embeddings")
    if has.shape != self.ids.shape or embeddings.ndim != 2 or len(embeddings) != len(self.ids):
      raise UserError(f"{self.path}: the numbers of {modality} embeddings and windows differ.")
    if embeddings.dtype != np.float32:
      raise UserError(f"{self.path} has {modality} embeddings of type {embeddings.dtype}.")
    rows = np.flatnonzero(has)
    return rows, embeddings[rows]

  def _check(self) -> None:
    for name in ("weights", "model_dir"):
      if not isinstance(self.about.get(name), str):
        raise UserError(f"`{ABOUT}` does not contain {name}")
    if self.ids.ndim != 1 or self.ids.dtype.kind != "U":
      raise UserError("`id` is not a list of names")
    for times in (self.start_sec, self.end_sec):
      if times.shape != self.ids.shape or times.dtype != np.float64:
        raise UserError("`start_sec` and `end_sec` do not have one number per window")
