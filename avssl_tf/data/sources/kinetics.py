"""Kinetics-400, -600 and -700: actions of people in videos from YouTube.

Kay et al. 2017, "The Kinetics Human Action Video Dataset"; Carreira et al. 2018 and 2019 for 600
and 700 classes. The layout is that of the copies that CVDF hosts and of the usual download
scripts, with or without folders of classes:

```
annotations/train.csv, val.csv (validate.csv), test.csv
train/0Ab1cD2eF3g_000012_000022.mp4      a clip: id of the video, start and end in seconds
train/air drumming/0Ab1cD2eF3g_000012_000022.mp4
train/0Ab1cD2eF3g_12_22.mp4              or another spelling of `clip_names`
replacement/...                          goes before a file of the same name elsewhere
videos/0Ab1cD2eF3g.mp4                   a whole video, from which the span is taken
```
Rows of the lists are `label,youtube_id,time_start,time_end,split` and other columns, which mean
nothing here; lists of test clips may lack the label, and the name of a list stands for a split
that it does not tell.

Many of the videos are gone for good: clips without a file are listed among the failures, and
`--max_failure_rate` of `tools/make_tfrecords.py` says how many may be missing.
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
  """The split that the name of a list tells, such as `kinetics-400_val.csv`."""
  words = re.split(r"[^a-z]+", os.path.basename(path).lower())
  found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
  return found.pop() if len(found) == 1 else None


def _lists(input_dir: str) -> list[str]:
  """The lists below `input_dir`: CSV files that are named for a split.

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
    f"No lists in {os.path.join(input_dir, 'annotations')!r}: looked for train.csv, val.csv and "
    f"test.csv. Copy them there, or name them with --input_csv. Expected:\n{LAYOUT}"
  )


def clips_of_kinetics(
  input_dir: str, list_paths: Sequence[str] = (), trimmed: bool = False
) -> Listing:
  """Lists the clips of Kinetics.

  Args:
    input_dir: folder of the videos, at any depth.
    list_paths: the CSV lists; by default those in `annotations`.
    trimmed: whether files that are named by an id alone are clips, rather than whole videos.

  Returns:
    The clips in the order of the lists, a clip that a list names twice once; the names of the
    classes are sorted. Without a label where the list has none.

  Raises:
    MissingFileError: no such folder or list.
    ListError: a list is not what it should be, or none of its files is there.
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
  repeated = f"{num_repeated} rows of the lists repeat others and are left out."
  listing = Listing(requests, names, notes=[repeated] if num_repeated else [])
  return finder.compared(listing, LAYOUT)


def _parse(
  path: str, where: str, fields: dict[str, str]
) -> tuple[str, str, tuple[float, float]]:
  """Split, id of the video, and start and end of a row."""
  video_id = fields["youtube_id"]
  if not video_id or "/" in video_id:
    raise ListError(f"{where}: youtube_id is {video_id!r}, expected the id of a video.")
  start_sec, end_sec = (list_file.seconds(fields[c], c, where) for c in _COLUMNS[1:])
  if end_sec <= start_sec:
    raise ListError(f"{where}: time_end {end_sec:g} is not after time_start {start_sec:g}.")
  told = fields.get("split", "")
  split = SPLIT_NAMES.get(told.lower()) if told else _split_of_name(path)
  if split is None:
    raise ListError(
      f"{where}: unknown split {told!r}, expected train, validate or test in the column `split` "
      "or in the name of the list."
    )
  return split, video_id, (start_sec, end_sec)
