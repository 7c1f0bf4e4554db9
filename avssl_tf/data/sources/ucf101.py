"""UCF-101: 13,320 videos of 101 actions in three overlapping folds, half of them without audio.

Soomro et al. 2012, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild", with
the lists for action recognition:

```
UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi
ucfTrainTestlist/classInd.txt              1 ApplyEyeMakeup
ucfTrainTestlist/trainlist01.txt           ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1
ucfTrainTestlist/testlist01.txt            ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi
```
"""

import os
import re

from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.fold_listing import listing_of_folds
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import VIDEO_EXTENSIONS, MediaFiles, first_folder

LAYOUT = """  UCF-101/<Class>/v_<Class>_g01_c01.avi
  ucfTrainTestlist/classInd.txt, trainlist01.txt, testlist01.txt, and so on for 02 and 03"""
FOLDS = (1, 2, 3)


def clips_of_ucf101(input_dir: str) -> Listing:
  """Lists the videos of UCF-101.

  Args:
    input_dir: folder with `UCF-101` (or the class folders) and `ucfTrainTestlist`.

  Returns:
    Every listed video once, in the split "all"; classes in the order of `classInd.txt`; the subsets
    train1, test1, ... of the folds.

  Raises:
    MissingFileError: no such folder.
    ListError: lists are missing or invalid, or none of the videos exists.
  """
  list_file.check_folder(input_dir)
  lists_dir = first_folder(input_dir, ("ucfTrainTestlist", "annotations", "."))
  paths = {
    f"{part}{fold}": os.path.join(lists_dir, f"{part}list{fold:02d}.txt")
    for fold in FOLDS
    for part in ("train", "test")
  }
  classes_path = os.path.join(lists_dir, "classInd.txt")
  missing = [path for path in (classes_path, *paths.values()) if not os.path.isfile(path)]
  if missing:
    raise ListError(f"UCF-101: missing {', '.join(map(repr, missing))}. Expected:\n{LAYOUT}")
  label_names = _classes(classes_path)
  label_of: dict[str, str] = {}
  subsets = {subset: _members(path, label_names, label_of) for subset, path in paths.items()}
  videos_dir = first_folder(input_dir, ("UCF-101", "UCF101", "videos", "."))
  files = MediaFiles(videos_dir, VIDEO_EXTENSIONS)
  return files.compared(listing_of_folds(files, label_of, label_names, subsets), LAYOUT)


def _classes(path: str) -> list[str]:
  """Class names in the order of their index, which starts at 1 in the list."""
  names = []
  for where, (index, name) in list_file.word_rows(path, (2,)):
    if index != str(len(names) + 1) or name in names:
      raise ListError(
        f"{where}: {index!r} {name!r}; expected number {len(names) + 1} and a new name."
      )
    names.append(name)
  return names


def _members(path: str, label_names: list[str], label_of: dict[str, str]) -> list[str]:
  """Names of the videos of a list; adds their classes to `label_of`."""
  names = []
  for where, words in list_file.word_rows(path, (1, 2)):
    match = re.fullmatch(r"([^/]+)/[^/]+", words[0])
    if match is None or match[1] not in label_names:
      raise ListError(
        f"{where}: {words[0]!r}; expected <Class>/<video> with a class of classInd.txt."
      )
    label = match[1]
    if len(words) == 2 and words[1] != str(label_names.index(label) + 1):
      raise ListError(
        f"{where}: class {words[1]!r}, but {label!r} is number {label_names.index(label) + 1} in "
        "classInd.txt."
      )
    label_of[words[0]] = label
    names.append(words[0])
  if len(set(names)) < len(names):
    raise ListError(f"{path} lists a video twice.")
  return names
