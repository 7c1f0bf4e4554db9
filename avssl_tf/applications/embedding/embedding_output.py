"""Writes the output of `apply embed` from the finished parts: an NPZ file, or Parquet shards."""

import collections
import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from avssl_tf import keys, own_files
from avssl_tf.applications import output_files
from avssl_tf.applications.embedding import embedding_file, embedding_shards
from avssl_tf.engines.engine import Engine
from avssl_tf.files import sync, whole_file

_REMEDY = "Move it away, or choose another --output."


def write_file(path: str, part_paths: Sequence[str], about: Mapping[str, Any]) -> dict[str, int]:
  """Writes an embedding file.

  Args:
    path: the file.
    part_paths: files with the rows, in order.
    about: provenance of the embeddings.

  Returns:
    The number of `rows`, and of those with each modality.

  Raises:
    UserError: it cannot be written.
  """
  with output_files.errors_named(path), whole_file(path) as temporary:
    embedding_file.join(temporary, part_paths, about)
  written = embedding_file.EmbeddingFile.open(path)
  counts: dict[str, int] = collections.Counter(rows=written.num_rows)
  for block in written.blocks([f"has_{modality}" for modality in keys.MODALITIES]):
    counts.update({m: int(block[f"has_{m}"].sum()) for m in keys.MODALITIES})
  return counts


def write_shards(
  path: str,
  folder: str,
  part_paths: Sequence[str],
  about: Mapping[str, Any],
  engine: Engine,
  keep: bool,
) -> dict[str, int]:
  """Writes a folder of Parquet shards, which appears when it is complete.

  Args:
    path: the folder.
    folder: folder in which the shards are written first, on the same file system.
    part_paths: files with the rows, in order.
    about: provenance of the embeddings.
    engine: writes the shards.
    keep: whether shards in `folder` are those of the same parts.

  Returns:
    The number of `rows`, and of those with each modality.

  Raises:
    UserError: it cannot be written.
  """
  text = json.dumps({"format": embedding_file.FORMAT, **about}, sort_keys=True)
  counts: dict[str, int] = collections.Counter()
  with output_files.errors_named(path):
    if not keep:
      own_files.delete(folder, embedding_shards.TREE, _REMEDY)
    os.makedirs(folder, exist_ok=True)
    tasks = embedding_shards.plan(folder, part_paths, text)
    with contextlib.closing(engine.run(embedding_shards.write, tasks)) as finished:
      for _, found in finished:
        counts.update(found)
    sync(folder)
    own_files.delete(path, embedding_shards.TREE, _REMEDY)
    os.rename(folder, path)
  return counts
