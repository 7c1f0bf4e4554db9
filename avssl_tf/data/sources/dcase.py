"""Acoustic scenes of the DCASE challenges: recordings of 10 or 30 s, one scene each.

The first challenge (Stowell et al. 2015, "Detection and Classification of Acoustic Scenes and
Events"; task 1 of 2013) has 10 scenes with 10 recordings each, both for training and for testing.
File names contain the scene:

```
scenes_stereo/bus01.wav              split "train": the development set
scenes_stereo_testset/bus01.wav      split "test": the test set, private at the time
```
The TUT and TAU development sets (challenges since 2016) have lists:

```
meta.txt or meta.csv                      audio/a001_0_30.wav   residential_area
evaluation_setup/fold1_train.txt          the same columns, separated by tabs
evaluation_setup/fold1_evaluate.txt       or fold1_test.txt, with the scenes of meta.txt
```
With a single fold, its lists define the splits "train" and "test". With several folds, every file
is in the split "all", and the folds are the subsets train1, test1, ...
"""

import collections
import dataclasses
import os
import re
from typing import Optional

from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.fold_listing import listing_of_folds
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import AUDIO_EXTENSIONS, MediaFiles, first_folder

LAYOUT = """  scenes_stereo/bus01.wav, ... and scenes_stereo_testset/bus01.wav, ...  (DCASE 2013)
or, for later challenges:
  meta.txt (or .csv), evaluation_setup/fold1_train.txt and fold1_evaluate.txt (or .csv)
  audio/<file>"""
_FOLDERS_2013 = {
  "train": ("scenes_stereo/scenes_stereo", "scenes_stereo"),
  "test": (
    "scenes_stereo_testset/scenes_stereo_testset",
    "scenes_stereo_testset",
    "scenes_stereo_testset/audio",
  ),
}
_NUM_OF_SCENE = 10


def clips_of_dcase(input_dir: str) -> Listing:
  """Lists the recordings of a challenge.

  Args:
    input_dir: folder with `scenes_stereo` and `scenes_stereo_testset`, or with
      `evaluation_setup`.

  Returns:
    The recordings, and the sorted names of the scenes.

  Raises:
    MissingFileError: no such folder.
    ListError: the folder has neither layout, a list is invalid, or none of its files exists.
  """
  list_file.check_folder(input_dir)
  if os.path.isdir(os.path.join(input_dir, "evaluation_setup")):
    return _with_lists(input_dir)
  found = {split: _folder_2013(input_dir, names) for split, names in _FOLDERS_2013.items()}
  missing = [_FOLDERS_2013[split][-1] for split, folder in found.items() if folder is None]
  if missing:
    missing = [name.partition("/")[0] for name in missing]
    raise ListError(
      f"{input_dir!r} has no recordings in {' and '.join(missing)}. Expected:\n{LAYOUT}"
    )
  return _of_names(input_dir, found)


def _folder_2013(input_dir: str, names: tuple[str, ...]) -> Optional[str]:
  folder = first_folder(input_dir, names)
  return folder if folder and MediaFiles(folder, AUDIO_EXTENSIONS).names else None


def _of_names(input_dir: str, folders: dict[str, str]) -> Listing:
  """The listing of the 2013 challenge, with files named <scene><two digits>.wav."""
  requests, notes = [], []
  for split, folder in folders.items():
    files = MediaFiles(folder, AUDIO_EXTENSIONS)
    counts = collections.Counter()
    for name in files.names:
      match = re.fullmatch(r"(?:test_)?([a-z]+)\d\d", os.path.splitext(os.path.basename(name))[0])
      if match is None:
        raise ListError(f"{files.path(name)!r}: expected a scene name followed by two digits.")
      counts[match[1]] += 1
      media_id = os.path.relpath(files.path(name), input_dir).replace(os.sep, "/")
      requests.append(ClipRequest(split, files.path(name), None, None, (match[1],), media_id))
    odd = [f"{count} of {scene!r}" for scene, count in counts.items() if count != _NUM_OF_SCENE]
    if odd:
      notes.append(f"{folder!r} has {', '.join(odd)}; the challenge has {_NUM_OF_SCENE} of each.")
  scenes = {split: {r.labels[0] for r in requests if r.split == split} for split in folders}
  if scenes["train"] != scenes["test"]:
    odd = sorted(scenes["train"] ^ scenes["test"])
    raise ListError(f"Scenes {odd} are in only one of {sorted(folders.values())}.")
  return Listing(requests, sorted(scenes["train"]), notes=notes)


def _list_path(folder: str, *stems: str) -> Optional[str]:
  names = [stem + extension for stem in stems for extension in (".txt", ".csv")]
  return next((os.path.join(folder, n) for n in names if os.path.isfile(f"{folder}/{n}")), None)


def _read(path: str) -> dict[str, Optional[str]]:
  """Scene of each file of a list; None if the list does not contain it."""
  scene_of: dict[str, Optional[str]] = {}
  for where, fields in list_file.csv_rows(path, delimiter="\t"):
    if fields[0] == "filename":
      continue
    if "," in fields[0] or not fields[0].startswith("audio/"):
      raise ListError(f"{where}: {fields[0]!r}; expected audio/<file>, a tab and the scene.")
    scene_of[fields[0]] = fields[1] if len(fields) > 1 else None
  return scene_of


def _with_lists(input_dir: str) -> Listing:
  """The listing of a development set with folds."""
  setup = os.path.join(input_dir, "evaluation_setup")
  meta_path = _list_path(input_dir, "meta")
  scene_of = _read(meta_path) if meta_path else {}
  parts: dict[str, list[str]] = {}
  num_folds = 0
  while _list_path(setup, f"fold{num_folds + 1}_train"):
    num_folds += 1
    test_path = _list_path(setup, f"fold{num_folds}_evaluate", f"fold{num_folds}_test")
    if test_path is None:
      raise ListError(f"{setup!r} has fold{num_folds}_train, but no fold{num_folds}_evaluate.txt.")
    for part, path in (("train", _list_path(setup, f"fold{num_folds}_train")), ("test", test_path)):
      read = _read(path)
      parts[f"{part}{num_folds}"] = list(read)
      scene_of.update({name: scene for name, scene in read.items() if scene})
      unknown = [name for name in read if not scene_of.get(name)]
      if unknown:
        raise ListError(f"{path}: no scene for {unknown[0]!r}, here or in meta.txt or meta.csv.")
  if not num_folds:
    raise ListError(f"No fold1_train.txt or .csv in {setup!r}. Expected:\n{LAYOUT}")
  files = MediaFiles(input_dir, AUDIO_EXTENSIONS)
  used = set().union(*parts.values())
  scene_of = {name: scene for name, scene in scene_of.items() if name in used}
  listing = listing_of_folds(files, scene_of, sorted(set(scene_of.values())), parts)
  if num_folds == 1:
    split_of = {name: part[:-1] for part, names in parts.items() for name in names}
    requests = [dataclasses.replace(r, split=split_of[r.media_id]) for r in listing.requests]
    listing = dataclasses.replace(listing, requests=requests, subsets={})
  return files.compared(listing, LAYOUT)
