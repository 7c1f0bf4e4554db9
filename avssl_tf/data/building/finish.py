"""Last steps of a build: writes the final shards with numbered records and `dataset_info.json`."""

import collections
import contextlib
import os
from collections.abc import Sequence
from typing import Callable

import cv2
import numpy as np
import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.building import shards, spectrogram_statistics
from avssl_tf.data.building.plan import PlannedShard
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.building.shards import ShardState
from avssl_tf.data.building.work_folder import WorkFolder
from avssl_tf.data.records.dataset_info import DatasetInfo, Shard, Subset


def write_final_shards(
  folder: WorkFolder,
  generation: int,
  planned: Sequence[PlannedShard],
  states: Sequence[ShardState],
  on_progress: Callable[[int], None],
) -> dict[str, list[Shard]]:
  """Makes the final shards, with `clip/index` increasing through each split.

  Args:
    folder: work folder of the build.
    generation: generation of the encoded shards.
    planned: all shards of the data set, in order.
    states: state of each shard.
    on_progress: called with the number of records finished so far.

  Returns:
    The shards of each split.
  """
  splits: dict[str, list[Shard]] = collections.defaultdict(list)
  next_index: dict[str, int] = collections.Counter()
  for shard, state in zip(planned, states):
    source = folder.data_path(generation, shard.name)
    final = folder.final_path(shard.name)
    first = next_index[shard.split]
    offsets = shards.finish_shard(source, final, first, state)
    splits[shard.split].append(_shard(shard.name, offsets, state))
    next_index[shard.split] += len(offsets)
    on_progress(sum(next_index.values()))
  # An earlier plan, with other readable files, may have had other shards.
  for name in folder.known_shards() - {shard.name for shard in planned}:
    with contextlib.suppress(FileNotFoundError):
      os.remove(folder.final_path(name))
  return dict(splits)


def _shard(name: str, offsets: list[int], state: ShardState) -> Shard:
  known = None not in state.sound_replaced
  replaced = state.sound_replaced if known else None
  return Shard(name, offsets, state.example_ids, state.label_indexes, replaced)


def dataset_info(
  recipe: Recipe,
  splits: dict[str, list[Shard]],
  subsets: dict[str, Subset],
  states: Sequence[ShardState],
  num_channels: int,
) -> DatasetInfo:
  """Describes the data set. The same data gives the same bytes: no times are included."""
  sizes = {size for state in states for size in state.frame_sizes}
  size = [int(side) for side in sizes.pop().split("x")] if len(sizes) == 1 else [0, 0]
  statistics = {}
  sums = [state.sums for state in states if state.sums is not None]
  if recipe.spectrogram is not None and sums:
    statistics[recipe.spectrogram.id] = spectrogram_statistics.combine(
      sums, recipe.spectrogram.num_bins
    )
  settings = recipe.settings()
  modalities = settings["modalities"]
  versions = {
    "numpy": np.__version__, "opencv": cv2.__version__, "tensorflow": tf.__version__
  }
  return DatasetInfo(
    name=recipe.name,
    splits=splits,
    frame_rate_hz=float(recipe.reader.frame_rate_hz) if keys.VIDEO in modalities else 0.0,
    frame_size=size,
    sample_rate_hz=int(recipe.reader.sample_rate_hz) if keys.AUDIO in modalities else 0,
    num_channels=num_channels,
    clip_duration_sec=float(recipe.cutting.clip_duration_sec),
    subsets=subsets,
    modalities=modalities,
    label_names=list(recipe.label_names),
    spectrogram_statistics=statistics,
    build={
      **recipe.origin,
      **{key: settings[key] for key in ("reader", "cutting", "jpeg", "num_shards")},
      "versions": versions,
      **({"shuffle": True} if recipe.shuffle else {}),
    },
    projection=recipe.reader.projection,
    flow=recipe.flow,
  )
