"""Embeddings opened for search: an embedding file, or Parquet shards (see `embedding_shards`)."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

import numpy as np

from avssl_tf import keys
from avssl_tf.applications.embedding import embedding_file, embedding_shards
from avssl_tf.applications.embedding.embedding_file import EmbeddingFile
from avssl_tf.errors import MissingFileError, UserError
from avssl_tf.files import parse_json


class EmbeddingShards:
  """Shards opened for search, like an `EmbeddingFile`; rows are read on demand.

  Attributes:
    path: the folder.
    about: provenance of the embeddings.
    num_rows: number of windows N.
  """

  def __init__(self, path: str):
    """Opens the shards and checks everything except the values of their columns.

    Raises:
      UserError: a shard is missing or damaged, the shards are from different networks, or there are
        no windows; or pyarrow is not installed.
    """
    self.path = path
    self._shards = _paths(path)
    self.num_rows = 0
    self.about: Mapping[str, Any] = {}
    for i, shard in enumerate(self._shards):
      with _errors_named(shard), open(shard, "rb") as opened:
        file = embedding_shards.parquet(shard).ParquetFile(opened)
        about = parse_json(file.schema_arrow.metadata[b"about"], f"`about` of {shard}")
        if i and about != self.about:
          raise ValueError(f"its `about` differs from that of {self._shards[0]}")
        self.about = about
        _check(about, file.schema_arrow)
        self.num_rows += file.metadata.num_rows
    if not self.num_rows:
      raise UserError(f"{path} contains no windows.")

  def blocks(self, names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Reads columns in blocks of rows; see `EmbeddingFile.blocks`.

    Args:
      names: names of the columns.

    Yields:
      The rows of each column, by name.

    Raises:
      UserError: a shard is damaged.
    """
    for shard in self._shards:
      with contextlib.ExitStack() as stack:
        with _errors_named(shard):
          opened = stack.enter_context(open(shard, "rb"))
          file = embedding_shards.parquet(shard).ParquetFile(opened)
          batches = file.iter_batches(embedding_file.BLOCK_ROWS, columns=list(names))
        while True:
          with _errors_named(shard):
            batch = next(batches, None)
            if batch is None:
              break
            if any(column.null_count for column in batch.columns):
              raise ValueError("it contains nulls")
            block = {name: _array(batch.column(name)) for name in names}
          yield block


Embeddings = Union[EmbeddingFile, EmbeddingShards]


def has_shards(path: str) -> bool:
  """Whether a path is a folder with Parquet shards."""
  return os.path.isdir(path) and any(map(embedding_shards.PART.fullmatch, os.listdir(path)))


def open_embeddings(path: str) -> Embeddings:
  """Opens an embedding file, or a folder of Parquet shards.

  Raises:
    UserError: it contains no embeddings, or is damaged.
    MissingFileError: there is no such file.
  """
  return EmbeddingShards(path) if os.path.isdir(path) else EmbeddingFile.open(path)


def _paths(folder: str) -> list[str]:
  """Paths of all shards, in order."""
  try:
    found = {name: embedding_shards.PART.fullmatch(name) for name in os.listdir(folder)}
  except FileNotFoundError as error:
    raise MissingFileError(f"{folder}: no such folder.") from error
  counts = {int(match[2]) for match in found.values() if match}
  numbers = sorted(int(match[1]) for match in found.values() if match)
  if len(counts) != 1 or numbers != list(range(*counts)):
    raise UserError(
      f"{folder} contains {len(numbers)} file(s) part-*-of-*.parquet; expected all shards of one "
      "run of `python -m avssl_tf.apply embed`. Embed the files again."
    )
  return sorted(os.path.join(folder, name) for name, match in found.items() if match)


def _check(about: Mapping[str, Any], schema: Any) -> None:
  """Checks the provenance, and the columns that search reads."""
  if about.get("format") != embedding_file.FORMAT:
    raise ValueError(
      f"it has format {about.get('format')!r}; this version reads format {embedding_file.FORMAT}"
    )
  for name in ("weights", "model_dir"):
    if not isinstance(about.get(name), str):
      raise ValueError(f"`about` does not contain {name}")
  expected = {"id": "string", "start_sec": "double", "end_sec": "double"}
  for modality in keys.MODALITIES:
    expected[f"has_{modality}"] = "bool"
    expected[f"{modality}_embeddings"] = r"fixed_size_list<\w+: float( not null)?>\[\d+\]"
  for name, kind in expected.items():
    found = str(schema.field(name).type)
    if not re.fullmatch(kind, found):
      raise ValueError(f"its column {name} contains {found}; expected {kind}")


def _array(column: Any) -> np.ndarray:
  """An Arrow array as a NumPy array; texts as str `[n]`, lists as `[n, size]`."""
  kind = str(column.type)
  if kind == "string":
    return np.array(column.to_pylist(), np.str_)
  if kind.startswith("fixed_size_list"):
    return column.flatten().to_numpy().reshape(-1, column.type.list_size)
  return column.to_numpy(zero_copy_only=False)


@contextlib.contextmanager
def _errors_named(path: str) -> Iterator[None]:
  try:
    yield
  except UserError:
    raise
  except (ValueError, KeyError, TypeError, OSError) as error:  # Those of pyarrow are among them.
    raise UserError(
      f"{path} is damaged or not a shard of embeddings: {error}. Embed the files again."
    ) from error
