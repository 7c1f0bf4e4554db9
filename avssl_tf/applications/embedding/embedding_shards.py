"""Embeddings as a folder of Parquet shards: the columns are the arrays of an embedding file.

  <name>.parquet/part-00000-of-00012.parquet

| column | type |
|---|---|
| `id` | string; bytes that are not valid text are escaped |
| `start_sec`, `end_sec` | double |
| `has_video`, `has_audio` | bool |
| `video_features`, `audio_features` | fixed-size list of float, NaN if absent |
| `video_embeddings`, `audio_embeddings` | fixed-size list of float, NaN if absent |

The metadata of the schema contain the text of `about`. The rows are in the order of the shards.
"""

import dataclasses
import importlib
import os
import re
import types
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from avssl_tf import arrays, keys, own_files
from avssl_tf.applications.embedding import embedding_file
from avssl_tf.engines.engine import Monitor
from avssl_tf.errors import UserError
from avssl_tf.files import whole_file

EXTENSION = ".parquet"
PART = re.compile(r"part-(\d{5,})-of-(\d{5,})\.parquet")
TREE: own_files.Tree = {PART.pattern: None}
_SHARD_BYTES = 256 << 20
# Rows in memory while a shard is written.
_GROUP_ROWS = 8192


@dataclasses.dataclass(frozen=True)
class ShardTask:
  """A shard to write, a task of an engine.

  Attributes:
    path: the shard.
    part_paths: files with its rows, in order.
    about: provenance of the embeddings as JSON.
  """

  path: str
  part_paths: Sequence[str]
  about: str


def parquet(needed_by: str) -> types.ModuleType:
  """The module `pyarrow.parquet`.

  Args:
    needed_by: the flag or file that requires it.

  Raises:
    UserError: pyarrow is not installed.
  """
  try:
    importlib.import_module("pyarrow")
    return importlib.import_module("pyarrow.parquet")
  except ImportError as error:
    raise UserError(
      f"{needed_by} requires pyarrow, which cannot be imported ({error}). Install it with `pip "
      "install .[ray]`, or use embedding files (.npz)."
    ) from error


def plan(folder: str, part_paths: Sequence[str], about: str) -> list[ShardTask]:
  """Distributes consecutive parts over shards of about 256 MB.

  Args:
    folder: folder of the shards.
    part_paths: files with the rows, in order.
    about: provenance of the embeddings as JSON.
  """
  groups: list[list[str]] = []
  size = 0
  for path in part_paths:
    # Stored without compression, as in the shards.
    size += os.path.getsize(path)
    if not groups or size > _SHARD_BYTES:
      groups.append([])
      size = os.path.getsize(path)
    groups[-1].append(path)
  return [
    ShardTask(os.path.join(folder, f"part-{i:05d}-of-{len(groups):05d}.parquet"), paths, about)
    for i, paths in enumerate(groups)
  ]


def write(task: ShardTask, monitor: Monitor) -> dict[str, int]:
  """Writes a shard, unless it is there.

  Returns:
    The number of rows, and of those with each modality.

  Raises:
    OSError: it cannot be written.
  """
  pq = parquet(task.path)
  monitor.begin(0)
  if not os.path.exists(task.path):
    with whole_file(task.path) as temporary:
      writer = None
      try:
        for table in _tables(task):
          # Numbers of a network do not compress.
          writer = writer or pq.ParquetWriter(
            temporary, table.schema, compression="NONE", use_dictionary=["id"]
          )
          writer.write_table(table)
      finally:
        if writer is not None:
          writer.close()
  names = [f"has_{modality}" for modality in keys.MODALITIES]
  table = pq.read_table(task.path, columns=names)
  counts = {m: int(table.column(name).to_numpy().sum()) for m, name in zip(keys.MODALITIES, names)}
  return {"rows": table.num_rows, **counts}


def _tables(task: ShardTask) -> Iterator:
  """The rows of a shard as tables of at most `_GROUP_ROWS` rows, unless a part has more."""
  waiting: list[dict[str, np.ndarray]] = []
  count = 0
  for path in task.part_paths:
    with arrays.open_npz(path) as content:
      rows = {name: content[name] for name in embedding_file.ROWS}
    if waiting and count + len(rows["id"]) > _GROUP_ROWS:
      yield _table(waiting, task.about)
      waiting, count = [], 0
    waiting.append(rows)
    count += len(rows["id"])
  yield _table(waiting, task.about)


def _table(parts: Sequence[Mapping[str, np.ndarray]], about: str):
  import pyarrow as pa

  columns = {}
  for name in embedding_file.ROWS:
    array = np.concatenate([part[name] for part in parts])
    if name == "id":
      # Parquet requires valid UTF-8.
      texts = [str(text).encode("utf-8", "backslashreplace").decode() for text in array]
      columns[name] = pa.array(texts, pa.string())
    elif array.ndim == 2:
      flat = pa.array(np.ascontiguousarray(array).reshape(-1))
      columns[name] = pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
    else:
      columns[name] = pa.array(array)
  return pa.table(columns).replace_schema_metadata({embedding_file.ABOUT: about})
