"""Kinetics-400, -600 and -700: human actions in YouTube videos.

Kay et al. 2017, "The Kinetics Human Action Video Dataset"; Carreira et al. 2018 and 2019 for 600
and 700 classes. The layout is that of the copies hosted by CVDF and of common download scripts,
with or without class folders:

```
annotations/train.csv, val.csv (validate.csv), test.csv
train/0Ab1cD2eF3g_000012_000022.mp4      a clip: video id, start and end in seconds
train/air drumming/0Ab1cD2eF3g_000012_000022.mp4
train/0Ab1cD2eF3g_12_22.mp4              or another format of `clip_names`
replacement/...                          preferred to a file of the same name elsewhere
videos/0Ab1cD2eF3g.mp4                   a whole video, from which the clip is cut
```
The columns of the lists are `label,youtube_id,time_start,time_end,split`; others are ignored. Lists
of test clips may lack the label. If the column `split` is missing or empty, the name of the list
determines the split.

Many of the videos are no longer available. Clips without a file are listed as failures, and
`--max_failure_rate` of `tools/make_tfrecords.py` sets how many may be missing.
"""

import os
import re
from collections.abc import Sequence
from typing import Optional

from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.clip_request import SPLIT_NAMES
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import VIDEO_EXTENSIONS, MediaFiles
from avssl_tf.data.sources.listings.youtube import ClipFinder

LAYOUT = """  annotations/train.csv, val.csv, test.csv  (or --input_csv=<list>, repeatable)
  <any folders>/<youtube id>_<start, 6 digits>_<end, 6 digits>.mp4  (a clip; or <id>_<start>_<end>,
    <id>_<start>, in seconds or milliseconds)
  <any folders>/<youtube id>.mp4  (a whole video; with --trimmed: a clip)"""
_COLUMNS = ("youtube_id", "time_start", "time_end")
_REPLACEMENTS = ("replacement", "replacement_for_corrupted_k400")


def _split_of_name(path: str) -> Optional[str]:
  """The split in the name of a list, such as `kinetics-400_val.csv`; None if not exactly one."""
  words = re.split(r"[^a-z]+", os.path.basename(path).lower())
  found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
  return found.pop() if len(found) == 1 else None


def _lists(input_dir: str) -> list[str]:
  """The lists in `input_dir`: CSV files with a split in their name.

  Raises:
    ListError: there are none.
  """
  for folder in (os.path.join(input_dir, "annotations"), input_dir):
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = [os.path.join(folder, name) for name in names if name.lower().endswith(".csv")]
    paths = [path for path in paths if _split_of_name(path)]
    if paths:
      return paths
  raise ListError(
    f"No lists in {os.path.join(input_dir, 'annotations')!r}: expected train.csv, val.csv and "
    f"test.csv. Copy them there, or pass them with --input_csv. Expected:\n{LAYOUT}"
  )


def clips_of_kinetics(
  input_dir: str, list_paths: Sequence[str] = (), trimmed: bool = False
) -> Listing:
  """Lists the clips of Kinetics.

  Args:
    input_dir: folder with the videos, at any depth.
    list_paths: the CSV lists; defaults to those in `annotations`.
    trimmed: whether files named only by a video id are clips rather than whole videos.

  Returns:
    Clips in the order of the lists, without duplicates, and the sorted class names. Clips have no
    label if the list has none.

  Raises:
    MissingFileError: no such folder or list.
    ListError: a list is invalid, or none of its files exists.
  """
  list_file.check_folder(input_dir)
  list_paths = list_paths or _lists(input_dir)
  files = MediaFiles(input_dir, VIDEO_EXTENSIONS)
  finder = ClipFinder(files, trimmed)
  requests, seen, num_repeated = [], set(), 0
  for path in list_paths:
    for where, fields in list_file.csv_records(path, _COLUMNS):
      split, video_id, span_sec = _parse(path, where, fields)
      if (split, video_id, span_sec[0]) in seen:
        num_repeated += 1
        continue
      seen.add((split, video_id, span_sec[0]))
      label = fields.get("label", "")
      stem = f"{video_id}_{round(span_sec[0]):06d}_{round(span_sec[1]):06d}"
      spellings = [name for name, meant in SPLIT_NAMES.items() if meant == split]
      requests.append(
        finder.request(
          split,
          video_id,
          span_sec,
          (label,) if label else (),
          stem,
          [*_REPLACEMENTS, *spellings],
        )
      )
  names = sorted({label for request in requests for label in request.labels})
  repeated = f"{num_repeated} duplicate rows of the lists are ignored."
  listing = Listing(requests, names, notes=[repeated] if num_repeated else [])
  return finder.compared(listing, LAYOUT)


def _parse(
  path: str, where: str, fields: dict[str, str]
) -> tuple[str, str, tuple[float, float]]:
  """Split, video id, and start and end of a row."""
  video_id = fields["youtube_id"]
  if not video_id or "/" in video_id:
    raise ListError(f"{where}: youtube_id is {video_id!r}; expected a video id.")
  start_sec, end_sec = (list_file.seconds(fields[c], c, where) for c in _COLUMNS[1:])
  if end_sec <= start_sec:
    raise ListError(f"{where}: time_end {end_sec:g} is not after time_start {start_sec:g}.")
  stated = fields.get("split", "")
  split = SPLIT_NAMES.get(stated.lower()) if stated else _split_of_name(path)
  if split is None:
    raise ListError(
      f"{where}: unknown split {stated!r}; expected train, validate or test in the column `split` "
      "or in the name of the list."
    )
  return split, video_id, (start_sec, end_sec)
