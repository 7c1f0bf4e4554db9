"""Makes a search index of embeddings."""

import contextlib
import dataclasses
import json
import os
from typing import Any, BinaryIO

import numpy as np

from avssl_tf import keys, local_paths, own_files, progress
from avssl_tf.applications import output_files
from avssl_tf.applications.embedding import index_building, search_index
from avssl_tf.applications.embedding.index_building import Settings
from avssl_tf.applications.embedding.opened_embeddings import Embeddings, open_embeddings
from avssl_tf.errors import FileThereError, UserError
from avssl_tf.files import locked_folder, whole_file
from avssl_tf.job_flags import flag

AUTO = "auto"
_REMEDY = "Choose another --output."
_TREE: own_files.Tree = {name.replace(".", r"\."): None for name in search_index.NAMES}
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Job:
  """An indexing job; each field is a flag of the command."""

  input: str = flag("Embedding file or folder of Parquet shards, written by `embed`.")
  output: str = flag("Folder of the index.")
  kind: str = flag(
    "Kind of index: flat (exact), ivf_sq8 (lists of embeddings, 8 bits per dimension), ivf_pq "
    "(2 bits per dimension, candidates compared again); auto: by the number of embeddings.",
    AUTO,
    choices=(AUTO, *index_building.KINDS),
  )
  min_recall: float = flag(
    "Recall of the 10 nearest windows to reach, against exact search.", 0.97, at_least=0.0
  )
  overwrite: bool = flag("Replace an existing index.", False)

  def check(self) -> None:
    """Validates the flags before any work is done.

    Raises:
      UserError: a flag is invalid, or FAISS is not installed.
    """
    if not os.path.exists(self.input):
      raise UserError(f"--input={self.input}: no such file or folder.")
    if not 0 <= self.min_recall <= 1:
      raise UserError(f"--min_recall={self.min_recall:g}; expected 0 to 1.")
    search_index.library()
    own_files.check(self.output, _TREE, _REMEDY)
    finished = os.path.join(self.output, search_index.ABOUT)
    if os.path.lexists(finished) and not self.overwrite:
      raise FileThereError(
        f"--output={self.output} already exists. Pass --overwrite to replace it."
      )


def run(job: Job) -> list[str]:
  """Makes the index.

  Args:
    job: the job; its `check` has passed.

  Returns:
    A summary, as lines for the user.

  Raises:
    UserError: the embeddings cannot be read or are too few for the kind, or the index cannot be
      written.
  """
  stopwatch = progress.Stopwatch()
  embeddings = open_embeddings(job.input)
  message = f"Another command is using {job.output}. Wait for it to finish, or stop it first."
  with output_files.errors_named(job.output), locked_folder(job.output, message):
    # A folder without its description is unfinished.
    own_files.empty(job.output, _TREE, last=search_index.ABOUT)
    try:
      indexes = _write(embeddings, job)
      described = {
        "format": search_index.FORMAT,
        "embeddings": dict(embeddings.about),
        "input": os.path.abspath(job.input),
        "indexes": {name: dataclasses.asdict(settings) for name, settings in indexes.items()},
      }
      path = os.path.join(job.output, search_index.ABOUT)
      with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(described, file, indent=1, sort_keys=True)
    except BaseException:
      own_files.empty(job.output, _TREE)
      raise
  lines = [f"Wrote {job.output}: {embeddings.num_rows} windows in {stopwatch.seconds:.1f} s."]
  for modality, settings in indexes.items():
    lines += _described(modality, settings, job.min_recall)
  return lines


def _write(embeddings: Embeddings, job: Job) -> dict[str, Settings]:
  """Writes all files except the description; returns the settings of each index."""
  faiss = search_index.library()
  folder = local_paths.for_tensorflow(job.output)
  counts = _write_places(embeddings, folder)
  indexes = {}
  for modality in (name for name in keys.MODALITIES if counts[name]):
    kind = index_building.kind_for(counts[modality]) if job.kind == AUTO else job.kind
    index, rows, indexes[modality] = index_building.build(
      embeddings, modality, counts, kind, job.min_recall, _SEED
    )
    np.save(os.path.join(folder, f"{modality}_rows.npy"), rows)
    path = os.path.join(folder, f"{modality}.faiss")
    try:
      faiss.write_index(index, path)
    except RuntimeError as error:
      raise UserError(f"{job.output}/{modality}.faiss cannot be written: {error}") from error
    del index
  return indexes


def _write_places(embeddings: Embeddings, folder: str) -> dict[str, int]:
  """Writes the places of the windows; returns the number of embeddings of each modality."""
  numbers: dict[str, int] = {}
  counts = dict.fromkeys(keys.MODALITIES, 0)
  with contextlib.ExitStack() as stack:
    places = {
      name: stack.enter_context(_new_array(folder, name, dtype, embeddings.num_rows))
      for name, dtype in search_index.PLACES.items()
    }
    names = ("id", "start_sec", "end_sec", *(f"has_{modality}" for modality in keys.MODALITIES))
    for block in embeddings.blocks(names):
      of_file = [numbers.setdefault(name, len(numbers)) for name in block["id"].tolist()]
      for name, dtype in search_index.PLACES.items():
        rows = of_file if name == "file" else block[name]
        places[name].write(np.asarray(rows, dtype).tobytes())
      for modality in keys.MODALITIES:
        counts[modality] += int(block[f"has_{modality}"].sum())
  np.save(os.path.join(folder, "names.npy"), np.array(list(numbers), np.str_))
  return counts


def _new_array(folder: str, name: str, dtype: Any, length: int) -> BinaryIO:
  """Opens a file for an array whose rows are written one after another.

  A memory-mapped array would end the process if the disk is full.
  """
  file = open(os.path.join(folder, f"{name}.npy"), "wb")
  header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (length,)}
  np.lib.format.write_array_header_1_0(file, header)
  return file


def _described(modality: str, settings: Settings, min_recall: float) -> list[str]:
  lines = [f"{modality}: {settings.rows} embeddings, {settings.kind}"]
  if settings.kind == index_building.FLAT:
    return [f"{lines[0]}, exact."]
  measured = " and ".join(
    f"{recall:.3f} ({settings.num_queries[name]} {name} queries)"
    for name, recall in settings.recall.items()
  )
  lines[0] += f", {settings.nprobe} of {settings.nlist} lists searched."
  lines.append(
    f"  recall@10 against exact search: {measured}; {settings.query_ms:.2f} ms per query"
  )
  if min(settings.recall.values()) < min_recall:
    lines.append(
      f"  This is below --min_recall={min_recall:g}: pass --kind=flat for exact search, or "
      "another --kind."
    )
  return lines
