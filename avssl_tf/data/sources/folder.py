"""A folder of videos: subfolders become classes, a flat folder has none.

```
videos/a.mp4                    no classes, split "train"
videos/dog/a.mp4                class "dog", split "train"
videos/train/dog/a.mp4          class "dog", split "train"
videos/val/a.mp4                no classes, split "validation"
```
"""

import os
from collections.abc import Sequence
from typing import Optional

from avssl_tf.data.sources.listings.clip_request import DEFAULT_SPLIT, SPLIT_NAMES, ClipRequest
from avssl_tf.data.sources.listings.listing import Listing
from avssl_tf.data.sources.listings.media_files import VIDEO_EXTENSIONS, MediaFiles
from avssl_tf.errors import UserError


def _splits(input_dir: str, names: Sequence[str]) -> dict[str, str]:
  """Folder of each split: a top-level folder with its name, or "", the input folder itself.

  Args:
    input_dir: the input folder.
    names: relative paths of the videos.

  Raises:
    UserError: split folders are mixed with others, or two folders have the same split.
  """
  folders = [
    name
    for name in sorted(os.listdir(input_dir))
    if name.lower() in SPLIT_NAMES and os.path.isdir(os.path.join(input_dir, name))
  ]
  if not folders:
    return {DEFAULT_SPLIT: ""}
  others = sorted({name.split("/")[0] for name in names} - set(folders))
  if others:
    raise UserError(
      f"{input_dir!r} contains split folders {folders} and also videos in {others}. Put every "
      "video into a split folder, or none."
    )
  result: dict[str, str] = {}
  for name in folders:
    split = SPLIT_NAMES[name.lower()]
    if split in result:
      raise UserError(
        f"{input_dir!r} contains two folders for the split {split!r}: {result[split]!r} and "
        f"{name!r}. Keep one of them."
      )
    result[split] = name
  return result


def _labelled(folder: str, names: Sequence[str]) -> list[tuple[str, Optional[str]]]:
  """Videos of one split, as paths relative to its folder, with their classes.

  Raises:
    UserError: only some of the videos are in class folders.
  """
  videos = [(name, name.split("/")[0] if "/" in name else None) for name in names]
  loose = [name for name, label in videos if label is None]
  if loose and len(loose) < len(videos):
    raise UserError(
      f"{folder!r} contains class folders and also {len(loose)} videos without a class, such as "
      f"{loose[0]!r}. Move these into a class folder, or all videos into one flat folder."
    )
  return videos


def clips_of_folder(input_dir: str) -> Listing:
  """Lists the videos of a folder.

  Files are selected by extension (`media_files.VIDEO_EXTENSIONS`); others and hidden files are
  skipped. Links to folders are followed as in `MediaFiles`. The first level of folders (below the
  split folders, if there are any) defines the classes; deeper folders are searched as well.

  Returns:
    Whole files, ordered by split and path, and the sorted class names of all splits.

  Raises:
    MissingFileError: no such folder.
    UserError: the folder contains no videos, or both labelled and unlabelled ones.
  """
  files = MediaFiles(input_dir, VIDEO_EXTENSIONS)
  # Sorted folder by folder. This order must not change: it determines shards and indexes.
  names = sorted(
    (name for name in files.names if os.path.isfile(files.path(name))),
    key=lambda name: name.split("/"),
  )
  requests = []
  for split, folder in sorted(_splits(input_dir, names).items()):
    start = f"{folder}/" if folder else ""
    below = [name[len(start) :] for name in names if name.startswith(start)]
    for name, label in _labelled(os.path.join(input_dir, folder), below):
      labels = () if label is None else (label,)
      media_id = start + name
      requests.append(
        ClipRequest(split, files.path(media_id), None, None, labels, media_id)
      )
  if not requests:
    raise UserError(
      f"No videos in {input_dir!r}. Expected files with an extension among "
      f"{' '.join(sorted(VIDEO_EXTENSIONS))}."
    )
  labelled = {bool(request.labels) for request in requests}
  if len(labelled) > 1:
    without = sorted({r.split for r in requests if not r.labels})
    raise UserError(
      f"In {input_dir!r} some splits have class folders, but {without} do not. Give all splits the "
      "same classes, or none."
    )
  label_names = sorted({label for r in requests for label in r.labels})
  return Listing(requests, label_names, notes=files.notes)
