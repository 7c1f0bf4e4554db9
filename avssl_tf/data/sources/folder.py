"""A folder of videos: sub-folders become classes, a flat folder has none.

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
  """Folders of the splits: the top-level ones named so, or "", the input itself.

  Args:
    input_dir: the input.
    names: relative paths of the videos.

  Raises:
    UserError: split folders are mixed with others, or two name one split.
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
      f"{input_dir!r} holds split folders {folders} and, beside them, videos in {others}. "
      "Put every video into a split folder, or none."
    )
  result: dict[str, str] = {}
  for name in folders:
    split = SPLIT_NAMES[name.lower()]
    if split in result:
      raise UserError(
        f"{input_dir!r} holds two folders for the split {split!r}: {result[split]!r} and {name!r}. "
        "Keep one of them."
      )
    result[split] = name
  return result


def _labelled(folder: str, names: Sequence[str]) -> list[tuple[str, Optional[str]]]:
  """Videos of one split, by their paths relative to its folder, with their classes.

  Raises:
    UserError: some videos are in class folders and others beside them.
  """
  videos = [(name, name.split("/")[0] if "/" in name else None) for name in names]
  loose = [name for name, label in videos if label is None]
  if loose and len(loose) < len(videos):
    raise UserError(
      f"{folder!r} holds class folders and, beside them, {len(loose)} videos without a class "
      f"such as {loose[0]!r}. Move them into a class folder, or all videos into one flat folder."
    )
  return videos


def clips_of_folder(input_dir: str) -> Listing:
  """Lists the videos of a folder.

  Files are told by their extension (`media_files.VIDEO_EXTENSIONS`); others are passed over, as
  are hidden files. Links to folders are followed as `MediaFiles` does. Classes come from the first
  level of folders (below the split folders, where there are any); deeper ones are searched too.

  Returns:
    Whole files, ordered by split and path; the names of the classes, of all
    splits together, are sorted.

  Raises:
    MissingFileError: no such folder.
    UserError: no videos in it, or labelled and unlabelled ones are mixed.
  """
  files = MediaFiles(input_dir, VIDEO_EXTENSIONS)
  # Folder by folder, as they have always been ordered: the order decides on shards and indexes.
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
      f"No videos in {input_dir!r}. Looked for files that end in "
      f"{' '.join(sorted(VIDEO_EXTENSIONS))}."
    )
  labelled = {bool(request.labels) for request in requests}
  if len(labelled) > 1:
    without = sorted({r.split for r in requests if not r.labels})
    raise UserError(
      f"In {input_dir!r} some splits have class folders, but {without} have not. "
      "Give all splits the same classes, or none."
    )
  label_names = sorted({label for r in requests for label in r.labels})
  return Listing(requests, label_names, notes=files.notes)
