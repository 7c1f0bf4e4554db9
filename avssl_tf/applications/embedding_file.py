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

from avssl_tf import types
from avssl_tf.applications import window_features

# Counts up where arrays change their names or meanings.
FORMAT = 1
ABOUT = "about"
# What NumPy and JSON say of files that are something else.
_NOT_OF_THIS_KIND = (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)
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
      for modality in types.MODALITIES
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
  with np.load(path) as arrays:
    return arrays[name]


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
      ValueError: it is no file of embeddings that this version can read, or an empty one.
      FileNotFoundError: there is none.
    """
    try:
      with np.load(path) as arrays:
        about = json.loads(str(arrays[ABOUT]))
        found = about["format"]
        loaded = cls(path, about, arrays["id"], arrays["start_sec"], arrays["end_sec"])
    except FileNotFoundError as error:
      raise FileNotFoundError(f"{path}: there is no such file.") from error
    except _NOT_OF_THIS_KIND as error:
      raise ValueError(
        f"{path} holds no embeddings; expected a file that `python -m avssl_tf.apply embed` wrote."
      ) from error
    if found != FORMAT:
      raise ValueError(f"{path} has the format {found}; this version reads {FORMAT}. Embed anew.")
    if not len(loaded.ids):
      raise ValueError(f"{path} holds no windows.")
    return loaded

  def embeddings(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of pictures or of sound.

    Returns:
      int64 `[M]`, the rows that have them, and float32 `[M, E]`, of unit length.
    """
    rows = np.flatnonzero(_load(self.path, f"has_{modality}"))
    return rows, _load(self.path, f"{modality}_embeddings")[rows]
