"""The folder `.build` of a data set, which makes its build resumable.

  .build/                 locked by the running build
  .build/recipe.json      the recipe; other recipes are rejected
  .build/probes.jsonl     journal of the probed files
  .build/0/               encoded shards and their states
  .build/1/               the same for a build with --retry_failed, which reuses the good records
                          of 0; 0 is deleted once 1 has all shards

The records of a finished shard are moved out; its state is kept for `--retry_failed`.
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
# Earlier versions created a lock file.
_TREE: own_files.Tree = {
  "lock": None,
  re.escape(_RECIPE_FILE): None,
  re.escape(_PROBES_FILE): None,
  r"\d+": _GENERATION_TREE,
}
# Files that may exist before the recipe.
_BEGINNING_TREE: own_files.Tree = {"lock": None, re.escape(_RECIPE_FILE): None}
_REMEDY = "Move it away, or choose another --output_dir."


class BuildError(UserError):
  """The build cannot continue; the message states the reason and a remedy."""


class WorkFolder:
  """The work folder of the data set in `output_dir`, locked for one build.

  `recipe.json` identifies it as the folder of a build.
  """

  def __init__(self, output_dir: str):
    """Stores the folder of the data set; files are accessed only after entering."""
    self.output_dir = output_dir
    self.path = os.path.join(output_dir, ".build")
    self._stack = contextlib.ExitStack()

  def __enter__(self) -> "WorkFolder":
    with contextlib.ExitStack() as stack:
      try:
        self._check()
        message = (
          f"Another build is running in {self.output_dir!r}. Wait for it to finish, or stop it "
          "first."
        )
        stack.enter_context(locked_folder(self.path, message))
      except (FolderInUseError, own_files.ForeignFilesError) as error:
        raise BuildError(str(error)) from error
      self._stack = stack.pop_all()
    return self

  def __exit__(self, *exc_info) -> None:
    self._stack.close()

  def _check(self) -> None:
    """Checks that `.build` is the folder of a build and that no link leads out of it."""
    own_files.check_no_link(self.path, _REMEDY)
    own_files.check_no_links(self.path, _TREE, _REMEDY)
    if not self._has_recipe():
      own_files.check(self.path, _BEGINNING_TREE, f"It has no {_RECIPE_FILE}. {_REMEDY}")

  def _has_recipe(self) -> bool:
    return os.path.isfile(self.recipe_path)

  @property
  def recipe_path(self) -> str:
    """Path of the recipe."""
    return os.path.join(self.path, _RECIPE_FILE)

  @property
  def probes_path(self) -> str:
    """Path of the journal of probes."""
    return os.path.join(self.path, _PROBES_FILE)

  def final_path(self, name: str) -> str:
    """Path of a finished shard."""
    return os.path.join(self.output_dir, name)

  def work_path(self, generation: int, name: str) -> str:
    """Path of an encoded shard, before its records are numbered."""
    return os.path.join(self.path, str(generation), name)

  def state_path(self, generation: int, name: str) -> str:
    """Path of the state of a shard."""
    return self.work_path(generation, name) + ".json"

  def clear(self) -> None:
    """Deletes the data set and its work folder.

    Raises:
      BuildError: the folder contains records or other files of unknown origin; nothing was deleted.
    """
    try:
      self._check_clearable()
    except own_files.ForeignFilesError as error:
      raise BuildError(str(error)) from error
    for path in self.final_shards():
      os.remove(path)
    self._remove_leftovers(self.known_shards())
    _remove(os.path.join(self.output_dir, FAILURES_FILE))
    # If this is interrupted, the recipe or `dataset_info.json` still identifies the rest.
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
        f"{self.output_dir!r} contains {own_files.listed(others)} of unknown origin: nothing was "
        f"deleted. {_REMEDY}"
      )
    for name in there:
      own_files.check_no_link(os.path.join(self.output_dir, name), _REMEDY)

  def known_shards(self) -> set[str]:
    """Names of all present and past shards of this build and of the described data set."""
    info = self._info()
    described = () if info is None else info.splits.values()
    names = {shard.file for shards in described for shard in shards}
    for generation in self.generations():
      names.update(self.states(generation))
    return names

  def _info(self) -> Optional[dataset_info.DatasetInfo]:
    """Description of the data set; None if there is no valid one."""
    try:
      return dataset_info.DatasetInfo.load(self.output_dir)
    except (FileNotFoundError, ValueError):
      return None

  def sweep(self, planned: Iterable[str]) -> None:
    """Deletes temporary files of a killed build.

    Args:
      planned: file names of the shards of the data set.
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
    # The output folder may contain other files, so only these names are deleted.
    own = [dataset_info.FILE_NAME, FAILURES_FILE, *shards]
    for path in leftovers(self.output_dir, re.compile("|".join(map(re.escape, own)))):
      os.remove(path)

  def withdraw(self) -> None:
    """Deletes `dataset_info.json`, because the data set is incomplete."""
    _remove(os.path.join(self.output_dir, dataset_info.FILE_NAME))

  def final_shards(self) -> list[str]:
    """Paths of all files with the name of a finished shard, regardless of their origin."""
    return sorted(
      os.path.join(self.output_dir, name)
      for name in os.listdir(self.output_dir)
      if re.fullmatch(_SHARD, name)
    )

  def known_recipe(self) -> Optional[dict[str, Any]]:
    """The recipe that `check_recipe` stored; None if no build has started."""
    return read_json(self.recipe_path) if self._has_recipe() else None

  def check_recipe(self, recipe: dict[str, Any]) -> None:
    """Checks that the folder contains only work on `recipe`, and stores the recipe.

    Args:
      recipe: all settings that change the records, by name, as plain values.

    Raises:
      BuildError: the folder contains something else.
    """
    remedy = "Choose another --output_dir, or pass --overwrite to start again."
    known = self.known_recipe()
    if known is not None:
      # Recipes of earlier versions lack newer settings, whose default is None.
      there, wanted = (
        {name: value for name, value in settings.items() if value is not None}
        for settings in (known, as_json(recipe))
      )
      if differences := changes(there, wanted):
        raise BuildError(
          f"{self.output_dir!r} contains a data set with other settings (existing -> requested):\n"
          + "\n".join(differences)
          + f"\n{remedy}"
        )
    elif there := self._described_files():
      raise BuildError(
        f"{self.output_dir!r} contains {own_files.listed(there)} of unknown origin. {remedy}"
      )
    else:
      with whole_file(self.recipe_path) as temporary, open(temporary, "w", encoding="utf-8") as f:
        json.dump(recipe, f, indent=1, sort_keys=True)

  def _described_files(self) -> list[str]:
    """Names of the existing files of a data set."""
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
    """Creates the folder of the next generation."""
    number = max(self.generations(), default=-1) + 1
    os.mkdir(os.path.join(self.path, str(number)))
    return number

  def drop_generation(self, number: int) -> None:
    """Deletes a generation that a later one has replaced."""
    folder = os.path.join(self.path, str(number))
    own_files.empty(folder, _GENERATION_TREE)
    with contextlib.suppress(OSError):  # Foreign files in it are kept.
      os.rmdir(folder)

  def data_path(self, generation: int, name: str) -> Optional[str]:
    """Path of the records of a shard, encoded or finished; `None` if there are none."""
    paths = (self.work_path(generation, name), self.final_path(name))
    return next((path for path in paths if os.path.exists(path)), None)

  def state(self, generation: int, name: str, clips) -> Optional[ShardState]:
    """State of the shard of `clips`; `None` if it must be built."""
    path = self.state_path(generation, name)
    if not os.path.exists(path) or self.data_path(generation, name) is None:
      return None
    state = ShardState.load(path)
    return state if state.digest == digest_of(clips) else None

  def states(self, generation: int) -> dict[str, ShardState]:
    """All states of a generation by shard name, in order."""
    pattern = f"*-{'[0-9]' * 5}-of-{'[0-9]' * 5}.tfrecord.json"
    paths = glob.glob(os.path.join(glob.escape(self.path), str(generation), pattern))
    return {os.path.basename(p)[: -len(".json")]: ShardState.load(p) for p in sorted(paths)}

  def donors(self, generation: int) -> dict[ClipKey, tuple[str, int]]:
    """File and offset of each record of a generation, by the key of its clip."""
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
