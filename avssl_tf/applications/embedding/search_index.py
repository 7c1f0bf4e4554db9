"""Search indexes: folders with FAISS indexes and the places of the windows, memory-mapped.

| file | dtype, shape | content |
|---|---|---|
| `index.json` | JSON | provenance of the embeddings, kind, settings and recall of each index |
| `video.faiss`, `audio.faiss` | FAISS | the embeddings of one modality |
| `video_rows.npy`, `audio_rows.npy` | int64 `[M]` | window of each embedding |
| `file.npy` | int32 `[N]` | file of each window, a position in `names.npy` |
| `start_sec.npy`, `end_sec.npy` | float64 `[N]` | start and end of each window in its file |
| `names.npy` | str `[F]` | ids of the files |

`index.json` is written last: a folder without it is unfinished.
"""

import contextlib
import logging
import os
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from avssl_tf import keys, local_paths
from avssl_tf.applications.embedding.search_results import Result, ranked
from avssl_tf.errors import UserError
from avssl_tf.files import JsonError, read_json

# Incremented when files change their names or meanings.
FORMAT = 1
ABOUT = "index.json"
PLACES = {"file": np.int32, "start_sec": np.float64, "end_sec": np.float64}
NAMES = (
  ABOUT, "names.npy", *(f"{name}.npy" for name in PLACES),
  *(f"{modality}{end}" for modality in keys.MODALITIES for end in ("_rows.npy", ".faiss")),
)  # fmt: skip
# Windows to find per requested file, at first: several windows of a file may be near.
_WINDOWS_PER_FILE = 4


def library() -> types.ModuleType:
  """The module `faiss`.

  Raises:
    UserError: it is not installed.
  """
  # It logs which instructions of the processor it uses.
  logging.getLogger("faiss.loader").setLevel(logging.WARNING)
  try:
    import faiss
  except ImportError as error:
    raise UserError(
      "Search indexes require FAISS, which is not installed: run `pip install faiss-cpu`, or "
      "install this package with its extra: `pip install .[index]`. An embedding file as --index "
      "of `search` requires no FAISS."
    ) from error
  return faiss


def configure(index: Any, nprobe: int, k_factor: int) -> None:
  """Sets how thoroughly an index searches; nothing to set if it compares all embeddings.

  Args:
    index: FAISS index.
    nprobe: number of lists to search.
    k_factor: number of candidates per result that are compared again, more precisely.
  """
  lists = library().try_extract_index_ivf(index)
  if lists is not None:
    lists.nprobe = min(nprobe, lists.nlist)
  if hasattr(index, "k_factor"):
    index.k_factor = k_factor


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
  """FAISS uses one thread in this block.

  A single query is too little work for several threads, which wait for each other.
  """
  faiss = library()
  before = faiss.omp_get_max_threads()
  faiss.omp_set_num_threads(1)
  try:
    yield
  finally:
    faiss.omp_set_num_threads(before)


class SearchIndex:
  """A search index opened for search.

  Attributes:
    about: provenance of the embeddings.
  """

  def __init__(self, folder: str):
    """Opens an index. Its files are memory-mapped, and read on demand.

    Raises:
      UserError: the folder contains no index, or another format, or FAISS is not installed.
    """
    self._folder = folder
    described = _described(folder)
    library()
    with self._errors_named():
      self.about: Mapping[str, Any] = described["embeddings"]
      if not {"weights", "model_dir"} <= self.about.keys():
        raise ValueError(f"{ABOUT} lacks the network")
      self._settings = dict(described["indexes"])
      self._places = {name: self._array(name) for name in (*PLACES, "names")}
      self._indexes = {modality: self._open(modality) for modality in self._settings}

  def has(self, modality: str) -> bool:
    """Whether any window has the modality."""
    return modality in self._indexes

  def nearest(
    self, query: np.ndarray, modality: str, top: int, all_windows: bool = False
  ) -> list[Result]:
    """Finds the windows nearest to a query; see `ExactSearch.nearest`.

    Raises:
      UserError: the index is damaged.
    """
    index, of_places = self._indexes[modality]
    settings = self._settings[modality]
    wanted = top if all_windows else min(top, len(self._places["names"]))
    count, growth = top if all_windows else _WINDOWS_PER_FILE * top, 1
    with self._errors_named(), one_thread():
      while True:
        # More results require more lists.
        configure(index, settings["nprobe"] * growth, settings["k_factor"])
        found = min(count * growth, index.ntotal)
        similarities, places = (array[0] for array in index.search(query[np.newaxis], found))
        similarities, places = similarities[places >= 0], places[places >= 0]
        rows = of_places[places]
        order = np.lexsort((rows, -similarities))
        if not all_windows:
          _, firsts = np.unique(self._places["file"][rows[order]], return_index=True)
          order = order[np.sort(firsts)]
        if len(order) >= wanted or found == index.ntotal and growth >= settings["nlist"]:
          break
        growth *= 4
      rows = rows[order[:top]]
      names = self._places["names"][self._places["file"][rows]]
      clipped = np.clip(similarities[order[:top]], -1.0, 1.0)
      spans = (self._places[name][rows] for name in ("start_sec", "end_sec"))
      return ranked(clipped, names, *spans)

  def _open(self, modality: str) -> tuple[Any, np.ndarray]:
    faiss = library()
    path = os.path.join(local_paths.for_tensorflow(self._folder), f"{modality}.faiss")
    index = faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC)
    rows = self._array(f"{modality}_rows")
    if rows.shape != (index.ntotal,) or not index.ntotal:
      raise ValueError(f"{modality}_rows.npy and {modality}.faiss differ in length")
    return index, rows

  def _array(self, name: str) -> np.ndarray:
    path = os.path.join(self._folder, f"{name}.npy")
    return np.lib.format.open_memmap(path, mode="r")

  @contextlib.contextmanager
  def _errors_named(self) -> Iterator[None]:
    try:
      yield
    except (
      RuntimeError, AssertionError, ValueError, KeyError, TypeError, IndexError, OSError
    ) as error:  # fmt: skip
      raise UserError(
        f"{self._folder} is damaged: {error}. Make the index again with `python -m avssl_tf.apply "
        "index`."
      ) from error


def _described(folder: str) -> dict[str, Any]:
  path = os.path.join(folder, ABOUT)
  try:
    described = read_json(path)
  except FileNotFoundError as error:
    raise UserError(
      f"{folder} contains no {ABOUT}; expected a folder written completely by `python -m "
      "avssl_tf.apply index`."
    ) from error
  except JsonError as error:
    raise UserError(f"{path} is damaged: {error}. Make the index again.") from error
  if described.get("format") != FORMAT:
    raise UserError(
      f"{folder} has format {described.get('format')!r}; this version reads format {FORMAT}. Make "
      "the index again."
    )
  return described
