"""Converts named selections of clips, such as cross-validation folds, to record positions.

A source lists the files of a selection by media id. The corresponding records are known only after
all clips are encoded, because a file may give several clips or fail.
"""

import collections
from collections.abc import Sequence

from avssl_tf.data.building.plan import PlannedShard
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.building.shards import ShardState
from avssl_tf.data.building.work_folder import BuildError
from avssl_tf.data.records.dataset_info import Subset
from avssl_tf.data.records.split_names import check_name

_MAX_NAMED = 3


def splits_of_subsets(recipe: Recipe) -> dict[str, str]:
  """Finds the split of each subset of a recipe.

  Raises:
    BuildError: a subset is empty, has an invalid name or that of a split, lists clips that were not
      requested, or spans several splits.
  """
  splits = collections.defaultdict(set)
  for request in recipe.requests:
    splits[request.media_id].add(request.split)
  names_of_splits = {request.split for request in recipe.requests}
  try:
    for name in (*sorted(names_of_splits), *recipe.subsets):
      check_name(name)
  except ValueError as error:
    raise BuildError(str(error)) from error
  found = {}
  for name, media_ids in recipe.subsets.items():
    if name in names_of_splits:
      raise BuildError(f"Subset {name!r} has the name of a split: choose another name.")
    if not media_ids:
      raise BuildError(f"Subset {name!r} is empty: remove it, or add clips to its list.")
    unknown = [media_id for media_id in media_ids if media_id not in splits]
    if unknown:
      raise BuildError(
        f"Subset {name!r} lists {len(unknown)} clips that the source does not have: "
        f"{_some(unknown)}. Check that the list matches the files."
      )
    of_subset = set().union(*(splits[media_id] for media_id in media_ids))
    if len(of_subset) > 1:
      raise BuildError(
        f"Subset {name!r} has clips of the splits {sorted(of_subset)}; expected a single split."
      )
    found[name] = of_subset.pop()
  return found


def resolve(
  recipe: Recipe, planned: Sequence[PlannedShard], states: Sequence[ShardState]
) -> tuple[dict[str, Subset], dict[str, list[str]]]:
  """Converts the subsets of a recipe to record positions and finds their missing clips.

  Args:
    recipe: the recipe of the data set.
    planned: all shards of the data set, in order.
    states: state of each shard.

  Returns:
    The subsets by name; and for each incomplete subset, the media ids with missing clips, in the
    order of its list.

  Raises:
    BuildError: see `splits_of_subsets`, or no clip of a subset could be built.
  """
  numbers = collections.defaultdict(list)
  next_number: dict[str, int] = collections.Counter()
  planned_clips: dict[int, int] = collections.Counter()  # By request, like `kept_clips`.
  kept_clips: dict[int, int] = collections.Counter()
  for shard, state in zip(planned, states):
    planned_clips.update(clip.request for clip in shard.clips)
    kept_clips.update(request for request, _, _ in state.kept)
    for request, _, _ in state.kept:
      media_id = recipe.requests[request].media_id
      numbers[shard.split, media_id].append(next_number[shard.split])
      next_number[shard.split] += 1
  lacking = {
    request.media_id
    for number, request in enumerate(recipe.requests)
    if not kept_clips[number] or kept_clips[number] < planned_clips[number]
  }
  subsets, missing = {}, {}
  for name, split in splits_of_subsets(recipe).items():
    media_ids = list(dict.fromkeys(recipe.subsets[name]))
    found = sorted(number for media_id in media_ids for number in numbers[split, media_id])
    absent = [media_id for media_id in media_ids if media_id in lacking]
    if not found:
      raise BuildError(
        f"None of the {len(media_ids)} clips of subset {name!r} can be used ({_some(absent)}): "
        "repair the files and pass --retry_failed."
      )
    subsets[name] = Subset(split, found)
    if absent:
      missing[name] = absent
  return subsets, missing


def describe_missing(missing: dict[str, list[str]]) -> str:
  """One line per incomplete subset: the number of files with missing clips, and examples."""
  return "\n".join(
    f"  {name}: clips of {len(media_ids)} files are missing, such as {_some(media_ids)}"
    for name, media_ids in missing.items()
  )


def _some(media_ids: Sequence[str]) -> str:
  named = ", ".join(repr(media_id) for media_id in media_ids[:_MAX_NAMED])
  return f"{named}, ..." if len(media_ids) > _MAX_NAMED else named
