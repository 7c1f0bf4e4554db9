"""ESC-50: 2,000 environmental sounds of 5 s in 50 classes and 5 folds.

Piczak 2015, "ESC: Dataset for Environmental Sound Classification", in the layout of its repository:

```
audio/1-100032-A-0.wav
meta/esc50.csv           filename,fold,target,category,esc10,src_file,take
```
"""

import collections
import os

from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.fold_listing import listing_of_folds
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import AUDIO_EXTENSIONS, MediaFiles, first_folder

LAYOUT = """  meta/esc50.csv  (filename,fold,target,category and other columns)
  audio/<filename>"""
_COLUMNS = ("filename", "fold", "target", "category")
_FOLDS = ("1", "2", "3", "4", "5")


def clips_of_esc50(input_dir: str) -> Listing:
  """Lists the sounds of ESC-50.

  Args:
    input_dir: folder with `meta` and `audio`, or its parent (with `ESC-50-master`).

  Returns:
    Every sound once, in the split "all"; classes in the order of their `target`; the subsets fold1
    to fold5.

  Raises:
    MissingFileError: no such folder.
    ListError: the list is missing or invalid, or none of the sounds exists.
  """
  list_file.check_folder(input_dir)
  root = input_dir
  if not os.path.isdir(os.path.join(root, "meta")):
    root = first_folder(input_dir, ("ESC-50-master", "ESC-50")) or input_dir
  csv_path = os.path.join(root, "meta", "esc50.csv")
  audio_dir = os.path.join(root, "audio")
  if not os.path.isfile(csv_path) or not os.path.isdir(audio_dir):
    missing = audio_dir if os.path.isfile(csv_path) else csv_path
    raise ListError(f"ESC-50: {missing!r} is missing. Expected in {input_dir!r}:\n{LAYOUT}")
  label_of, names_by_target = {}, {}
  subsets = collections.defaultdict(list)
  for where, fields in list_file.csv_records(csv_path, _COLUMNS):
    name, fold, target, category = (fields[column] for column in _COLUMNS)
    if fold not in _FOLDS:
      raise ListError(f"{where}: fold {fold!r}; expected 1 to 5.")
    if not target.isdecimal() or names_by_target.setdefault(int(target), category) != category:
      raise ListError(
        f"{where}: target {target!r} of category {category!r}; expected a number that belongs to "
        "this category only."
      )
    if name in label_of:
      raise ListError(f"{where}: {name!r} is listed twice.")
    label_of[name] = category
    subsets[f"fold{fold}"].append(name)
  targets = sorted(names_by_target)
  label_names = [names_by_target[target] for target in targets]
  if targets != list(range(len(targets))) or len(set(label_names)) < len(label_names):
    raise ListError(
      f"{csv_path}: targets {targets} for {len(set(label_names))} categories; expected 0, 1, ... "
      "without gaps, one per category."
    )
  files = MediaFiles(audio_dir, AUDIO_EXTENSIONS)
  return files.compared(listing_of_folds(files, label_of, label_names, subsets), LAYOUT)
