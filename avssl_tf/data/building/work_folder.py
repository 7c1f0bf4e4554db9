"""The folder `.build` of a data set, which makes its build resumable.

  .build/                 locked by the running build
  .build/recipe.json      what is being built; another recipe is not mixed in
  .build/probes.jsonl     journal of the files probed
  .build/0/               encoded shards and their states
  .build/1/               the same of a build with --retry_failed, which takes over the records
                          of 0 that are good; 0 goes when 1 has all shards

Once a shard is final its records are moved out; the states stay, for `--retry_failed`.
"""

import contextlib
import glob
import json
import os
import re
from collections.abc import Iterable
from typing import Any, Optional

from avssl_tf import own_files
from avssl_tf.data.building.shards import ClipKey, ShardState, digest_of
from avssl_tf.data.records import dataset_info, encoding
from avssl_tf.errors import UserError
from avssl_tf.files import (
  FolderInUseError,
  as_json,
  changes,
  leftovers,
  locked_folder,
  read_json,
  whole_file,
)

FAILURES_FILE = "failures.jsonl"
_RECIPE_FILE = "recipe.json"
_PROBES_FILE = "probes.jsonl"
_SHARD = r".+-\d{5}-of-\d{5}\.tfrecord"
_GENERATION_TREE: own_files.Tree = {_SHARD: None, rf"{_SHARD}\.json": None}
# Earlier versions made a file to lock.
_TREE: own_files.Tree = {
  "lock": None,
  re.escape(_RECIPE_FILE): None,
  re.escape(_PROBES_FILE): None,
  r"\d+": _GENERATION_TREE,
}
# What may be there before the recipe is.
_BEGINNING_TREE: own_files.Tree = {"lock": None, re.escape(_RECIPE_FILE): None}
_REMEDY = "Move it away, or choose another --output_dir."


class BuildError(UserError):
  """The build cannot go on; the message says why and what to do."""


class WorkFolder:
  """The work folder of the data set in `output_dir`, locked for one build.

  `recipe.json` marks it as the folder of a build.
  """

  def __init__(self, output_dir: str):
    """Takes the folder of a data set; nothing is made or looked at before entering."""
    self.output_dir = output_dir
    self.path = os.path.join(output_dir, ".build")
    self._stack = contextlib.ExitStack()

  def __enter__(self) -> "WorkFolder":
    with contextlib.ExitStack() as stack:
      try:
        self._check()
        message = (
          f"Another build is at work in {self.output_dir!r}. Wait for it or stop it first."
        )
        stack.enter_context(locked_folder(self.path, message))
      except (FolderInUseError, own_files.ForeignFilesError) as error:
        raise BuildError(str(error)) from error
      self._stack = stack.pop_all()
    return self

  def __exit__(self, *exc_info) -> None:
    self._stack.close()

  def _check(self) -> None:
    """Makes sure that `.build` is the folder of a build, and that no link leads out of it."""
    own_files.check_no_link(self.path, _REMEDY)
    own_files.check_no_links(self.path, _TREE, _REMEDY)
    if not self._has_recipe():
      own_files.check(self.path, _BEGINNING_TREE, f"There is no {_RECIPE_FILE}. {_REMEDY}")

  def _has_recipe(self) -> bool:
    return os.path.isfile(os.path.join(self.path, _RECIPE_FILE))

  @property
  def probes_path(self) -> str:
    """Path of the journal of probes."""
    return os.path.join(self.path, _PROBES_FILE)

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
    """Deletes the data set and all work on it.

    Raises:
      BuildError: there are records or other files of unknown origin; nothing was deleted.
    """
    try:
      self._check_clearable()
    except own_files.ForeignFilesError as error:
      raise BuildError(str(error)) from error
    for path in self.final_shards():
      os.remove(path)
    self._remove_leftovers(self.known_shards())
    _remove(os.path.join(self.output_dir, FAILURES_FILE))
    # Killed half-way, what is left is still known by the recipe, or else by `dataset_info.json`.
    own_files.empty(self.path, _TREE, last=_RECIPE_FILE)
    self.withdraw()

  def _check_clearable(self) -> None:
    own_files.check(self.path, _TREE, _REMEDY)
    known = self.known_shards()
    if self._has_recipe() or self._info() is not None:
      known |= {dataset_info.FILE_NAME, FAILURES_FILE}
    there = self._described_files()
    others = [name for name in there if name not in known]
    if others:
      raise own_files.ForeignFilesError(
        f"{self.output_dir!r} holds {own_files.listed(others)}, of which nothing is known: nothing "
        f"was deleted. {_REMEDY}"
      )
    for name in there:
      own_files.check_no_link(os.path.join(self.output_dir, name), _REMEDY)

  def known_shards(self) -> set[str]:
    """Names of the final shards that this build, or the data set as described, has or had."""
    info = self._info()
    described = () if info is None else info.splits.values()
    names = {shard.file for shards in described for shard in shards}
    for generation in self.generations():
      names.update(self.states(generation))
    return names

  def _info(self) -> Optional[dataset_info.DatasetInfo]:
    """The description of the data set; None if there is none of this program."""
    try:
      return dataset_info.DatasetInfo.load(self.output_dir)
    except (FileNotFoundError, ValueError):
      return None

  def sweep(self, planned: Iterable[str]) -> None:
    """Deletes temporary files that a killed build left.

    Args:
      planned: names of the shards of the data set.
    """
    own = re.compile("|".join(_TREE))
    paths = leftovers(self.path, own)
    for generation in self.generations():
      folder = os.path.join(self.path, str(generation))
      paths += leftovers(folder, re.compile("|".join(_GENERATION_TREE)))
    for path in paths:
      os.remove(path)
    self._remove_leftovers(planned)

  def _remove_leftovers(self, shards: Iterable[str]) -> None:
    # The output may be anybody's folder: only names that are given here are deleted there.
    own = [dataset_info.FILE_NAME, FAILURES_FILE, *shards]
    for path in leftovers(self.output_dir, re.compile("|".join(map(re.escape, own)))):
      os.remove(path)

  def withdraw(self) -> None:
    """Deletes `dataset_info.json`: the data set is no longer (or not yet) whole."""
    _remove(os.path.join(self.output_dir, dataset_info.FILE_NAME))

  def final_shards(self) -> list[str]:
    """Paths of all files that are named like finished shards, whoever wrote them."""
    return sorted(
      os.path.join(self.output_dir, name)
      for name in os.listdir(self.output_dir)
      if re.fullmatch(_SHARD, name)
    )

  def known_recipe(self) -> Optional[dict[str, Any]]:
    """What `check_recipe` noted down when the build began; None: nothing has begun."""
    return read_json(os.path.join(self.path, _RECIPE_FILE)) if self._has_recipe() else None

  def check_recipe(self, recipe: dict[str, Any]) -> None:
    """Makes sure that the folder holds nothing but work on `recipe`, and notes it down.

    Args:
      recipe: plain values, by name, of everything that changes the records.

    Raises:
      BuildError: the folder holds something else.
    """
    path = os.path.join(self.path, _RECIPE_FILE)
    remedy = "Choose another --output_dir, or pass --overwrite to start anew."
    known = self.known_recipe()
    if known is not None:
      # Recipes of earlier versions lack settings, which are None by default.
      there, wanted = (
        {name: value for name, value in settings.items() if value is not None}
        for settings in (known, as_json(recipe))
      )
      if differences := changes(there, wanted):
        raise BuildError(
          f"{self.output_dir!r} holds a data set that was asked for differently (then -> now):\n"
          + "\n".join(differences)
          + f"\n{remedy}"
        )
    elif there := self._described_files():
      raise BuildError(
        f"{self.output_dir!r} holds {own_files.listed(there)}, of which nothing is known. {remedy}"
      )
    else:
      with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as f:
        json.dump(recipe, f, indent=1, sort_keys=True)

  def _described_files(self) -> list[str]:
    """Names of what a data set consists of that are there."""
    names = [os.path.basename(path) for path in self.final_shards()]
    return names + [
      name
      for name in (dataset_info.FILE_NAME, FAILURES_FILE)
      if os.path.lexists(os.path.join(self.output_dir, name))
    ]

  def generations(self) -> list[int]:
    """Numbers of the generations of shards: one, or two while failures are retried."""
    if not os.path.isdir(self.path):
      return []
    return sorted(int(entry) for entry in os.listdir(self.path) if re.fullmatch(r"\d+", entry))

  def add_generation(self) -> int:
    """Makes the folder of the next generation."""
    number = max(self.generations(), default=-1) + 1
    os.mkdir(os.path.join(self.path, str(number)))
    return number

  def drop_generation(self, number: int) -> None:
    """Deletes a generation that another one has taken over."""
    folder = os.path.join(self.path, str(number))
    own_files.empty(folder, _GENERATION_TREE)
    with contextlib.suppress(OSError):  # Somebody put files there, which stay.
      os.rmdir(folder)

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
    pattern = f"*-{'[0-9]' * 5}-of-{'[0-9]' * 5}.tfrecord.json"
    paths = glob.glob(os.path.join(glob.escape(self.path), str(generation), pattern))
    return {os.path.basename(p)[: -len(".json")]: ShardState.load(p) for p in sorted(paths)}

  def donors(self, generation: int) -> dict[ClipKey, tuple[str, int]]:
    """Where the records of a generation are, by the key of the clip."""
    donors = {}
    for name, state in self.states(generation).items():
      path = self.data_path(generation, name)
      if path is not None:
        donors.update(
          (key, (path, offset)) for key, offset in zip(state.kept, encoding.scan_offsets(path))
        )
    return donors


def _remove(path: str) -> None:
  if os.path.lexists(path):
    os.remove(path)
