"""Embedding files and Parquet shards with synthetic embeddings, for tests of search."""

import json
import os

import numpy as np
import pyarrow.parquet

from avssl_tf import arrays

ABOUT = {"format": 1, "weights": "ckpt-7 00", "model_dir": "runs/a"}


def make(num_rows: int, dim: int, per_file: int = 10, audio_share: float = 0.8, seed: int = 0):
  """Arrays of an embedding file: windows of a file are similar, and so are their modalities."""
  rng = np.random.default_rng(seed)
  numbers = np.arange(num_rows) // per_file
  content = {
    "id": np.array([f"films/{number:05d}.mp4" for number in numbers]),
    "start_sec": np.arange(num_rows) % per_file * 2.0,
    "end_sec": np.arange(num_rows) % per_file * 2.0 + 2,
    "has_video": np.ones(num_rows, bool),
    "has_audio": rng.random(num_rows) < audio_share,
    "about": np.array(json.dumps(ABOUT)),
  }
  topics = rng.normal(size=(numbers[-1] + 1, 8)) @ rng.normal(size=(8, dim))
  for modality in ("video", "audio"):
    rows = topics[numbers] + rng.normal(size=(num_rows, dim))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    rows[~content[f"has_{modality}"]] = np.nan
    content[f"{modality}_embeddings"] = rows
    content[f"{modality}_features"] = np.zeros([num_rows, 1], np.float32)
  return content


def write(path: str, content) -> str:
  """Writes an embedding file; returns its path."""
  arrays.save(path, content)
  return path


def write_shards(path: str, content, num_shards: int) -> str:
  """Writes a folder of Parquet shards; returns its path."""
  os.mkdir(path)
  names = [name for name, array in content.items() if array.ndim]
  places = np.array_split(np.arange(len(content["id"])), num_shards)
  for number, rows in enumerate(places):
    columns = []
    for name in names:
      array = content[name][rows]
      column = pyarrow.array(array.reshape(-1))
      if array.ndim == 2:
        column = pyarrow.FixedSizeListArray.from_arrays(column, array.shape[1])
      columns.append(column)
    table = pyarrow.table(columns, names).replace_schema_metadata({"about": str(content["about"])})
    name = f"part-{number:05d}-of-{num_shards:05d}.parquet"
    pyarrow.parquet.write_table(table, os.path.join(path, name), row_group_size=16)
  return path


def best_by_sorting(content, query, modality, top, all_windows):
  """(file, start_sec, similarity) of the nearest windows, by sorting all of them."""
  has = content[f"has_{modality}"]
  similarities = np.where(has, content[f"{modality}_embeddings"] @ query, -np.inf)
  found, seen = [], set()
  for row in np.argsort(-similarities, kind="stable")[: has.sum()]:
    if len(found) == top:
      break
    name = str(content["id"][row])
    if all_windows or name not in seen:
      found.append((name, float(content["start_sec"][row]), float(similarities[row])))
      seen.add(name)
  return found
