"""HMDB-51: 6,766 videos of 51 actions in three folds of 70 training and 30 test videos per class.

Kuehne et al. 2011, "HMDB: A Large Video Database for Human Motion Recognition":

```
brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi         (or in hmdb51_org/brush_hair/)
testTrainMulti_7030_splits/brush_hair_test_split1.txt        NAME.avi 1
```
The number after a video is its role in that fold: 1 training, 2 test, 0 neither.
"""

import os
import re
from typing import Optional

from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.fold_listing import listing_of_folds
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import VIDEO_EXTENSIONS, MediaFiles, first_folder

LAYOUT = """  <class>/<video>.avi, or hmdb51_org/<class>/<video>.avi
  testTrainMulti_7030_splits/<class>_test_split1.txt, and so on for 2 and 3, for each class"""
FOLDS = (1, 2, 3)
_PARTS = {"0": None, "1": "train", "2": "test"}
_LISTS_DIRS = (
  "testTrainMulti_7030_splits",
  "test_train_splits/testTrainMulti_7030_splits",
  "splits",
)


def clips_of_hmdb51(input_dir: str) -> Listing:
  """Lists the videos of HMDB-51.

  Args:
    input_dir: folder with the class folders and `testTrainMulti_7030_splits`.

  Returns:
    Every listed video once, in the split "all"; the sorted class names; the subsets train1, test1,
    ... of the folds.

  Raises:
    MissingFileError: no such folder.
    ListError: lists are missing or invalid, or none of the videos exists.
  """
  list_file.check_folder(input_dir)
  lists_dir = first_folder(input_dir, _LISTS_DIRS)
  names = sorted(os.listdir(lists_dir)) if lists_dir else []
  matches = [re.fullmatch(r"(.+)_test_split(\d)\.txt", name) for name in names]
  lists = {(match[1], int(match[2])): match[0] for match in matches if match}
  if not lists:
    raise ListError(
      f"No lists <class>_test_split1.txt in {os.path.join(input_dir, _LISTS_DIRS[0])!r}. "
      f"Expected:\n{LAYOUT}"
    )
  label_names = sorted({label for label, _ in lists})
  missing = [
    f"{label}_test_split{fold}.txt"
    for label in label_names for fold in FOLDS if (label, fold) not in lists
  ]  # fmt: skip
  if missing:
    raise ListError(f"{lists_dir!r} lacks {len(missing)} lists: {', '.join(missing[:6])}.")
  label_of: dict[str, str] = {}
  subsets = {f"{part}{fold}": [] for fold in FOLDS for part in ("train", "test")}
  for label in label_names:
    for fold in FOLDS:
      path = os.path.join(lists_dir, lists[label, fold])
      for name, part in _members(path, label):
        label_of[name] = label
        if part:
          subsets[f"{part}{fold}"].append(name)
  videos_dir = first_folder(input_dir, ("hmdb51_org", "hmdb51", "videos", "."))
  files = MediaFiles(videos_dir, VIDEO_EXTENSIONS)
  return files.compared(listing_of_folds(files, label_of, label_names, subsets), LAYOUT)


def _members(path: str, label: str) -> list[tuple[str, Optional[str]]]:
  """Names of the videos of a list, and their roles: "train", "test" or None."""
  members = {}
  for where, words in list_file.word_rows(path, (2,)):
    if words[1] not in _PARTS:
      raise ListError(f"{where}: {words[1]!r} after the video; expected 0, 1 or 2.")
    name = f"{label}/{words[0]}"
    if name in members:
      raise ListError(f"{where}: {words[0]!r} is listed twice.")
    members[name] = _PARTS[words[1]]
  return list(members.items())
