"""Builds a data set of records: parallel, resumable and deterministic.

A build has five steps. Each step writes its results to files, so that a build that is killed at any
moment resumes when it is started again:

1. probe the requested files (a journal);
2. cut them into clips and distribute these over shards (a pure function of the probes);
3. encode each shard (`shards.build_shard`, a task of the engine);
4. write the final file of each shard, now that the failed clips are known: `clip/index` is dense;
5. write `dataset_info.json` last: a folder without it contains no data set.

The bytes of all files depend only on the recipe and the input files, not on the engine, the number
of processes, the time or interruptions. `retry_failed` gives the same data set as if the clips that
now succeed had never failed.
"""

import collections
import contextlib
import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Optional

import tensorflow as tf

from avssl_tf import keys
from avssl_tf.data.building import finish, plan, shards, subsets
from avssl_tf.data.building.failure_texts import describe_failures, describe_notes
from avssl_tf.data.building.plan import PlannedShard
from avssl_tf.data.building.probes import Probe, ProbeJournal
from avssl_tf.data.building.recipe import Recipe
from avssl_tf.data.building.shards import ShardState
from avssl_tf.data.building.work_folder import FAILURES_FILE, BuildError, WorkFolder
from avssl_tf.data.clip_content import Failure
from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.engines.engine import Engine
from avssl_tf.engines.workers import LocalEngine
from avssl_tf.files import whole_file
from avssl_tf.progress import Bar

TRAINING_SPLIT = "train"


@dataclasses.dataclass(frozen=True)
class Result:
  """Result of a build.

  Attributes:
    info: the contents of `dataset_info.json`.
    failures: what is missing, and why.
    duration_sec: total duration of the clips of each split.
    labels: number of clips of each class, over all splits.
    missing: media ids with missing clips, by subset; only incomplete subsets.
    was_complete: whether the data set was already complete.
    notes: notes for the user on how files are read.
  """

  info: DatasetInfo
  failures: list[Failure]
  duration_sec: dict[str, float]
  labels: dict[str, int]
  missing: dict[str, list[str]]
  was_complete: bool
  notes: Sequence[str] = ()


def build(
  recipe: Recipe,
  output_dir: str,
  num_workers: int = 1,
  max_failure_rate: float = 0.1,
  retry_failed: bool = False,
  overwrite: bool = False,
  engine: Optional[Engine] = None,
) -> Result:
  """Builds a data set, or resumes its build.

  Args:
    recipe: recipe of the data set.
    output_dir: folder of the data set.
    num_workers: number of worker processes if no engine is given; 0 uses only this process.
    max_failure_rate: maximum share of the requested files (or parts of files), and of their clips,
      that may fail; in 0..1.
    retry_failed: retries the failures of an earlier build.
    overwrite: deletes the data set in the folder first.
    engine: runs the work; None: worker processes of this machine.

  Raises:
    BuildError: nothing is requested, a subset is invalid or empty, too many failures, the folder
      contains something else or cannot be written, inputs have changed, or another build is running
      there.
    WorkerError: worker processes cannot run, or their machines do not see the same files.
  """
  if not recipe.requests:
    raise BuildError("No clips are requested: the source lists no files.")
  subsets.splits_of_subsets(recipe)
  try:
    os.makedirs(output_dir, exist_ok=True)
    with WorkFolder(output_dir) as folder, engine or LocalEngine(num_workers) as running:
      if overwrite:
        folder.clear()
      recipe = _in_known_shards(_in_known_order(recipe, folder), folder)
      folder.check_recipe(recipe.settings())
      running.check_files([folder.recipe_path], recipe.one_file_per_folder())
      return _Build(recipe, folder, running, max_failure_rate).run(retry_failed)
  # Errors of the output; inputs that cannot be read are recorded as failures instead.
  except (OSError, tf.errors.OpError) as error:
    raise BuildError(
      f"The data set in {output_dir!r} cannot be written or read: {error}\nFinished work is kept: "
      "fix this and rerun the command to resume."
    ) from error


def _in_known_order(recipe: Recipe, folder: WorkFolder) -> Recipe:
  """Disables shuffling if an earlier version began the data set in the order of the source."""
  known = folder.known_recipe()
  if known is None or not recipe.shuffle or "shuffle" in known:
    return recipe
  print(
    f"Note: an earlier version began the data set in {folder.output_dir!r} with its records in the "
    "order of the source. This order is kept, so the first records of a split are not a random "
    "sample of it. --overwrite builds it again in random order.",
    flush=True,
  )
  return dataclasses.replace(recipe, shuffle=False)


def _in_known_shards(recipe: Recipe, folder: WorkFolder) -> Recipe:
  """Lifts the limit on the size of files if an earlier version began the data set without one."""
  known = folder.known_recipe()
  if known is None or "max_shard_clips" in known:
    return recipe
  return dataclasses.replace(recipe, max_shard_clips=None)


class _Build:
  """One run of a build in a checked folder."""

  def __init__(
    self, recipe: Recipe, folder: WorkFolder, engine: Engine, max_failure_rate: float
  ):
    self._recipe = recipe
    self._folder = folder
    self._engine = engine
    self._max_failure_rate = max_failure_rate
    self._journal = ProbeJournal(folder.probes_path)

  def run(self, retry_failed: bool) -> Result:
    """Does the remaining steps."""
    recipe = self._recipe
    generations = self._folder.generations() or [self._folder.add_generation()]
    if retry_failed:
      failed = self._failed_paths(generations)
      if failed and len(generations) == 1:
        generations.append(self._folder.add_generation())
      self._journal.forget(failed)
    probes = self._probe(generations)
    num_channels = recipe.reader.num_channels
    if keys.AUDIO not in recipe.modalities:
      num_channels = 0
    elif num_channels is None:
      num_channels = plan.common_num_channels(probes or {})
    clips, failures = plan.plan_clips(recipe.requests, probes, recipe.cutting)
    # The number of clips of a failed file is unknown, so files are counted first.
    self._check_failures(failures, len(recipe.requests), "files or parts of files")
    num_asked = len(clips) + len(failures)
    planned = plan.plan_shards(clips, recipe.num_shards, recipe.shuffle, recipe.max_shard_clips)
    self._folder.sweep(shard.name for shard in planned)
    states, was_complete = self._encode(planned, generations, failures, num_asked)
    failures = failures + _failures(states)
    self._check_failures(failures, num_asked)
    resolved, missing = subsets.resolve(recipe, planned, states)
    total = sum(len(state.kept) for state in states)
    with Bar("Writing", total, "clip", stays=True) as bar:
      splits = finish.write_final_shards(
        self._folder, generations[-1], planned, states, bar.reach
      )
    info = finish.dataset_info(recipe, splits, resolved, states, num_channels)
    info.save(self._folder.output_dir)
    # Deleted last, because their states list the older shards of this data set.
    for old in generations[:-1]:
      self._folder.drop_generation(old)
    durations, labels = collections.Counter(), collections.Counter()
    for shard, state in zip(planned, states):
      durations[shard.split] += state.duration_us / 1e6
      labels.update(state.labels)
    return Result(
      info,
      failures,
      dict(durations),
      dict(labels),
      missing,
      was_complete,
      describe_notes((probes or {}).values()),
    )

  def _failed_paths(self, generations: Sequence[int]) -> list[str]:
    """Files with failures in the probes or in the shards so far."""
    failed = [p.path for p in self._journal.probes.values() if p.reason is not None]
    for generation in generations:
      failed.extend(f.path for f in _failures(self._folder.states(generation).values()))
    return failed

  def _probe(self, generations: Sequence[int]) -> Optional[dict[str, Probe]]:
    """Probes of all paths; files that were probed earlier must not have changed."""
    if not self._recipe.reader.needs_probe:
      return None
    paths = list(dict.fromkeys(request.path for request in self._recipe.requests))
    # A failed file may be repaired at any time; it is checked when it is retried.
    unsettled = set(self._failed_paths(generations)) | (set(paths) - set(self._journal.probes))
    changed = self._journal.changed([path for path in paths if path not in unsettled])
    if changed:
      raise BuildError(
        f"{len(changed)} input file(s) changed or disappeared since the build began, such as "
        f"{changed[0]!r}. Restore them, choose another --output_dir, or pass --overwrite to start "
        "again."
      )
    missing = sum(path not in self._journal.probes for path in paths)
    with Bar("Probing", len(paths), "file", done=len(paths) - missing, stays=True) as bar:
      self._journal.probe_missing(
        paths, self._recipe.reader, self._recipe.modalities, self._engine, bar.reach
      )
      bar.reach(missing)
    return {path: self._journal.probes[path] for path in paths}

  def _encode(
    self,
    planned: Sequence[PlannedShard],
    generations: Sequence[int],
    failures: list[Failure],
    num_asked: int,
  ) -> tuple[list[ShardState], bool]:
    """Encodes the missing shards; returns all states, and whether no shard was missing."""
    states = [self._folder.state(generations[-1], shard.name, shard.clips) for shard in planned]
    missing = [number for number, state in enumerate(states) if state is None]
    if missing:
      # It may describe files that will be replaced.
      self._folder.withdraw()
      donors = self._folder.donors(generations[0]) if len(generations) > 1 else {}
      tasks = [self._task(planned[number], generations[-1], donors) for number in missing]
      total = sum(len(shard.clips) for shard in planned)
      done = total - sum(len(task.clips) for task in tasks)
      with Bar("Encoding", total, "clip", done=done, stays=True) as bar:
        run = self._engine.run(shards.build_shard, tasks, bar.reach)
        with contextlib.closing(run) as finished:
          for position, state in finished:
            states[missing[position]] = state
            # Stop as soon as there are too many failures, not hours later.
            self._check_failures(failures + _failures(states), num_asked)
        bar.reach(total - done)
      self._folder.sweep(shard.name for shard in planned)  # Files of processes that died.
    return states, not missing and len(generations) == 1

  def _task(self, shard: PlannedShard, generation: int, donors) -> shards.ShardTask:
    recipe = self._recipe
    measured = shard.split == TRAINING_SPLIT and keys.AUDIO in recipe.modalities
    return shards.ShardTask(
      clips=shard.clips,
      reader=recipe.reader,
      encoding=shards.Encoding(
        recipe.name,
        tuple(recipe.label_names),
        recipe.jpeg,
        tuple(recipe.modalities),
        recipe.spectrogram if measured else None,
        recipe.flow,
      ),
      data_path=self._folder.work_path(generation, shard.name),
      state_path=self._folder.state_path(generation, shard.name),
      donors={clip.key: donors[clip.key] for clip in shard.clips if clip.key in donors},
      first_index=shard.first_index,
    )

  def _check_failures(
    self, failures: Sequence[Failure], num_asked: int, what: str = "clips"
  ) -> None:
    """Writes `failures.jsonl`; raises an error if too many of the requested `what` failed."""
    path = os.path.join(self._folder.output_dir, FAILURES_FILE)
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
      f.writelines(json.dumps(dataclasses.asdict(failure)) + "\n" for failure in failures)
    if len(failures) == num_asked:
      remedy = "None can be used: repair the files and pass --retry_failed."
    elif len(failures) > self._max_failure_rate * num_asked:
      remedy = (
        f"That is more than --max_failure_rate={self._max_failure_rate:g} allows. Repair the "
        "files and pass --retry_failed, or continue without them at a larger rate: finished work "
        "is kept."
      )
    else:
      return
    raise BuildError(
      f"{len(failures)} of {num_asked} requested {what} failed:\n{describe_failures(failures)}\n"
      f"All are listed in {path}. {remedy}"
    )


def _failures(states) -> list[Failure]:
  return [failure for state in states if state is not None for failure in state.failures]
