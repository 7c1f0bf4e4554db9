"""The folder `.build` of a data set, which makes its build resumable.

  .build/lock             held by the running build
  .build/recipe.json      what is being built; another recipe is not mixed in
  .build/probes.jsonl     journal of the files probed
  .build/0/               encoded shards and their states
  .build/1/               the same of a build with --retry_failed, which takes over the records
                          of 0 that are good; 0 goes when 1 has all shards

Once a shard is final its records are moved out; the states stay, for `--retry_failed`.
"""

import fcntl
import glob
import json
import os
import shutil
from typing import Any, Optional

from avssl_tf.data import dataset_info, records
from avssl_tf.data.building.shards import ClipKey, ShardState, digest_of
from avssl_tf.files import read_json, whole_file

FAILURES_FILE = "failures.jsonl"
_SHARD_PATTERN = f"*-{'[0-9]' * 5}-of-{'[0-9]' * 5}.tfrecord"


class BuildError(RuntimeError):
  """The build cannot go on; the message says why and what to do."""


class WorkFolder:
  """The work folder of the data set in `output_dir`, locked for one build."""

  def __init__(self, output_dir: str):
    self.output_dir = output_dir
    self.path = os.path.join(output_dir, ".build")
    os.makedirs(self.path, exist_ok=True)
    self._lock = open(os.path.join(self.path, "lock"), "w")  # Closed by `__exit__`.

  def __enter__(self) -> "WorkFolder":
    try:
      fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      self._lock.close()
      raise BuildError(
        f"Another build is at work in {self.output_dir!r}. Wait for it or stop it first."
      ) from error
    return self

  def __exit__(self, *exc_info) -> None:
    self._lock.close()

  @property
  def probes_path(self) -> str:
    """Path of the journal of probes."""
    return os.path.join(self.path, "probes.jsonl")

  def final_path(self, name: str) -> str:
    """Path of a finished shard."""
    return os.path.join(self.output_dir, name)

  def work_path(self, generation: int, name: str) -> str:
    """Path of an encoded shard whose records have no numbers yet."""
    return os.path.join(self.path, str(generation), name)

  def state_path(self, generation: int, name: str) -> str:
    """Path of the state of a shard."""
    return self.work_path(generation, name) + ".json"

  def clear(self) -> None:
    """Deletes the data set and all work on it."""
    self.withdraw()
    for path in self.final_shards():
      os.remove(path)
    _remove(os.path.join(self.output_dir, FAILURES_FILE))
    for entry in os.listdir(self.path):
      if entry != "lock":
        path = os.path.join(self.path, entry)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

  def sweep(self) -> None:
    """Deletes temporary files that a killed build left."""
    work = glob.escape(self.path)
    output_dir = glob.escape(self.output_dir)
    # The output may be anybody's folder: only names that are given here are deleted there.
    own = (_SHARD_PATTERN, FAILURES_FILE, dataset_info.FILE_NAME)
    patterns = [f"{output_dir}/{name}.tmp-[0-9]*" for name in own]
    for pattern in [*patterns, f"{work}/*.tmp-*", f"{work}/*/*.tmp-*"]:
      for path in glob.glob(pattern):
        os.remove(path)

  def withdraw(self) -> None:
    """Deletes `dataset_info.json`: the data set is no longer (or not yet) whole."""
    _remove(os.path.join(self.output_dir, dataset_info.FILE_NAME))

  def final_shards(self) -> list[str]:
    """Paths of the finished shards that are there."""
    return sorted(glob.glob(os.path.join(glob.escape(self.output_dir), _SHARD_PATTERN)))

  def check_recipe(self, recipe: dict[str, Any]) -> None:
    """Makes sure that the folder holds nothing but work on `recipe`, and notes it down.

    Args:
      recipe: plain values, by name, of everything that changes the records.

    Raises:
      BuildError: the folder holds something else.
    """
    path = os.path.join(self.path, "recipe.json")
    remedy = "Choose another --output_dir, or pass --overwrite to start anew."
    if os.path.exists(path):
      known = read_json(path)
      # Through JSON, in which tuples are lists.
      wanted = json.loads(json.dumps(recipe))
      differences = [
        f"  {name}: {known.get(name)!r} there, {wanted.get(name)!r} now"
        for name in sorted({*known, *wanted})
        if known.get(name) != wanted.get(name)
      ]
      if differences:
        raise BuildError(
          f"{self.output_dir!r} holds a data set that was asked for differently:\n"
          + "\n".join(differences)
          + f"\n{remedy}"
        )
    elif self.final_shards():
      raise BuildError(f"{self.output_dir!r} holds records of which nothing is known. {remedy}")
    else:
      with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
        json.dump(recipe, f, indent=1, sort_keys=True)

  def generations(self) -> list[int]:
    """Numbers of the generations of shards: one, or two while failures are retried."""
    return sorted(int(entry) for entry in os.listdir(self.path) if entry.isdigit())

  def add_generation(self) -> int:
    """Makes the folder of the next generation."""
    number = max(self.generations(), default=-1) + 1
    os.mkdir(os.path.join(self.path, str(number)))
    return number

  def drop_generation(self, number: int) -> None:
    """Deletes a generation that another one has taken over."""
    shutil.rmtree(os.path.join(self.path, str(number)))

  def data_path(self, generation: int, name: str) -> Optional[str]:
    """Where the records of a shard are: encoded, or final already; `None`: nowhere."""
    paths = (self.work_path(generation, name), self.final_path(name))
    return next((path for path in paths if os.path.exists(path)), None)

  def state(self, generation: int, name: str, clips) -> Optional[ShardState]:
    """State of the shard of `clips`; `None` where it has to be built."""
    path = self.state_path(generation, name)
    if not os.path.exists(path) or self.data_path(generation, name) is None:
      return None
    state = ShardState.load(path)
    return state if state.digest == digest_of(clips) else None

  def states(self, generation: int) -> dict[str, ShardState]:
    """All states of a generation, by the name of their shard, in order."""
    paths = glob.glob(os.path.join(glob.escape(self.path), str(generation), "*.json"))
    return {os.path.basename(p)[: -len(".json")]: ShardState.load(p) for p in sorted(paths)}

  def donors(self, generation: int) -> dict[ClipKey, tuple[str, int]]:
    """Where the records of a generation are, by the key of the clip."""
    donors = {}
    for name, state in self.states(generation).items():
      path = self.data_path(generation, name)
      if path is not None:
        donors.update(
          (key, (path, offset)) for key, offset in zip(state.kept, records.scan_offsets(path))
        )
    return donors


def _remove(path: str) -> None:
  if os.path.exists(path):
    os.remove(path)
