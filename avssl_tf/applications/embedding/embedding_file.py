"""Files of embeddings: NPZ, a row a window, with what tells which network they are of.

| array | dtype, shape | meaning |
|---|---|---|
| `id` | str `[N]` | path of the window's file, from the folder that was embedded |
| `start_sec`, `end_sec` | float64 `[N]` | place of the window in it |
| `has_video`, `has_audio` | bool `[N]` | whether there are pictures, and sound that is not silent |
| `video_features`, `audio_features` | float32 `[N, D]` | pooled features; NaN where not there |
| `video_embeddings`, `audio_embeddings` | float32 `[N, E]` | of unit length; NaN likewise |
| `about` | str | JSON: `weights` and `model_dir` of the network, the `input`, lengths of windows |
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

# Counts up where arrays change their names or meanings.
FORMAT = 1
ABOUT = "about"
ROWS = ("id", "start_sec", "end_sec", "has_video", "has_audio", *window_features.NAMES)


def rows_of(
  media_id: str, spans: Sequence[tuple[float, float]], features: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """The arrays of windows of one file.

  Args:
    media_id: name of the file.
    spans: start and end of each window.
    features: as `window_features.WindowFeatures` returns them.
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
  """Writes a file of embeddings from files of `ROWS`, one array in memory at a time.

  Args:
    path: file to write.
    part_paths: the files, in order; one at least.
    about: what tells where all this is from, to which the format is added.
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
  """A file of embeddings, as far as a search needs it.

  Attributes:
    path: the file.
    about: what it says of itself.
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
    """Reads all but the features.

    Raises:
      UserError: it is no file of embeddings that this version can read, or an empty one.
      MissingFileError: there is none.
    """
    try:
      with arrays.open_npz(path) as content:
        about = parse_json(str(content[ABOUT]), f"`{ABOUT}` of {path}")
        found = about["format"]
        if found == FORMAT:
          loaded = cls(path, about, content["id"], content["start_sec"], content["end_sec"])
          loaded._check()
    except FileNotFoundError as error:
      raise MissingFileError(f"{path}: there is no such file.") from error
    except (ValueError, KeyError) as error:
      raise UserError(
        f"{path} holds no embeddings ({error}); expected a file that `python -m avssl_tf.apply "
        "embed` wrote."
      ) from error
    if found != FORMAT:
      raise UserError(f"{path} has the format {found}; this version reads {FORMAT}. Embed again.")
    if not len(loaded.ids):
      raise UserError(f"{path} holds no windows.")
    return loaded

  def embeddings(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of pictures or of sound.

    Returns:
      int64 `[M]`, the rows that have them, and float32 `[M, E]`, of unit length.
    """
    has = _load(self.path, f"has_{modality}")
    embeddings = _load(self.path, f"{modality}_embeddings")
    if has.shape != self.ids.shape or embeddings.ndim != 2 or len(embeddings) != len(self.ids):
      raise UserError(f"{self.path} has another number of {modality} embeddings than of windows.")
    if embeddings.dtype != np.float32:
      raise UserError(f"{self.path} has {modality} embeddings of the type {embeddings.dtype}.")
    rows = np.flatnonzero(has)
    return rows, embeddings[rows]

  def _check(self) -> None:
    for name in ("weights", "model_dir"):
      if not isinstance(self.about.get(name), str):
        raise UserError(f"`{ABOUT}` does not say {name}")
    if self.ids.ndim != 1 or self.ids.dtype.kind != "U":
      raise UserError("`id` is no list of names")
    for times in (self.start_sec, self.end_sec):
      if times.shape != self.ids.shape or times.dtype != np.float64:
        raise UserError("`start_sec` and `end_sec` are not a number for each window")
