"""A folder of videos: sub-folders become classes, a flat folder has none.

```
videos/a.mp4                    no classes, split "train"
videos/dog/a.mp4                class "dog", split "train"
videos/train/dog/a.mp4          class "dog", split "train"
videos/val/a.mp4                no classes, split "validation"
```
"""

import os
from collections.abc import Iterator
from typing import Optional

from avssl_tf.data.sources.clip_request import DEFAULT_SPLIT, SPLIT_NAMES, ClipRequest
from avssl_tf.data.sources.list_file import check_folder
from avssl_tf.data.sources.listing import Listing
from avssl_tf.data.sources.media_files import VIDEO_EXTENSIONS


def _names(folder: str) -> list[str]:
  """Entries of a folder in a stable order, hidden ones left out."""
  return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _is_video(path: str) -> bool:
  return os.path.splitext(path)[1].lower() in VIDEO_EXTENSIONS and os.path.isfile(path)


def _videos_below(folder: str) -> Iterator[str]:
  for name in _names(folder):
    path = os.path.join(folder, name)
    if os.path.isdir(path):
      yield from _videos_below(path)
    elif _is_video(path):
      yield path


def _split_folders(input_dir: str) -> dict[str, str]:
  """Folders of the splits: the top-level ones named so, or the input itself.

  Raises:
    ValueError: split folders are mixed with others, or two name one split.
  """
  folders = [n for n in _names(input_dir) if os.path.isdir(os.path.join(input_dir, n))]
  splits = [name for name in folders if name.lower() in SPLIT_NAMES]
  if not splits:
    return {DEFAULT_SPLIT: input_dir}
  others = [n for n in _names(input_dir) if n not in splits and _holds_videos(input_dir, n)]
  if others:
    raise ValueError(
      f"{input_dir!r} holds split folders {splits} and, beside them, videos in {others}. "
      "Put every video into a split folder, or none."
    )
  result: dict[str, str] = {}
  for name in splits:
    split = SPLIT_NAMES[name.lower()]
    if split in result:
      raise ValueError(
        f"{input_dir!r} holds two folders for the split {split!r}: "
        f"{os.path.basename(result[split])!r} and {name!r}. Keep one of them."
      )
    result[split] = os.path.join(input_dir, name)
  return result


def _holds_videos(folder: str, name: str) -> bool:
  path = os.path.join(folder, name)
  return any(_videos_below(path)) if os.path.isdir(path) else _is_video(path)


def _labelled_videos(folder: str) -> list[tuple[str, Optional[str]]]:
  """Videos of one split with their classes.

  Raises:
    ValueError: some videos lie in class folders and others beside them.
  """
  videos: list[tuple[str, Optional[str]]] = []
  for name in _names(folder):
    path = os.path.join(folder, name)
    if os.path.isdir(path):
      videos.extend((video, name) for video in _videos_below(path))
    elif _is_video(path):
      videos.append((path, None))
  loose = [path for path, label in videos if label is None]
  if loose and len(loose) < len(videos):
    raise ValueError(
      f"{folder!r} holds class folders and, beside them, {len(loose)} videos without a class "
      f"such as {os.path.basename(loose[0])!r}. Move them into a class folder, or all videos "
      "into one flat folder."
    )
  return videos


def clips_of_folder(input_dir: str) -> Listing:
  """Lists the videos of a folder.

  Files are told by their extension (`media_files.VIDEO_EXTENSIONS`); others are passed over, as
  are hidden files. Classes come from the first level of folders (below the
  split folders, where there are any); deeper ones are searched too.

  Returns:
    Whole files, ordered by split and path; the names of the classes, of all
    splits together, are sorted.

  Raises:
    FileNotFoundError: no such folder.
    ValueError: no videos in it, or labelled and unlabelled ones are mixed.
  """
  check_folder(input_dir)
  requests = []
  for split, folder in sorted(_split_folders(input_dir).items()):
    for path, label in _labelled_videos(folder):
      labels = () if label is None else (label,)
      media_id = os.path.relpath(path, input_dir).replace(os.sep, "/")
      requests.append(ClipRequest(split, path, None, None, labels, media_id))
  if not requests:
    raise ValueError(
      f"No videos in {input_dir!r}. Looked for files that end in "
      f"{' '.join(sorted(VIDEO_EXTENSIONS))}."
    )
  labelled = {bool(request.labels) for request in requests}
  if len(labelled) > 1:
    without = sorted({r.split for r in requests if not r.labels})
    raise ValueError(
      f"In {input_dir!r} some splits have class folders, but {without} have not. "
      "Give all splits the same classes, or none."
    )
  return Listing(requests, sorted({label for r in requests for label in r.labels}))
