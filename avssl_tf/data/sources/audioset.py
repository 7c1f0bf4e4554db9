"""AudioSet: ten-second clips of YouTube videos, with labels of all audible sound events.

Gemmeke et al. 2017, "Audio Set: An ontology and human-labeled dataset for audio events". The source
expects the lists as published, and the videos as download scripts name them, in folders of any
depth:

```
class_labels_indices.csv
balanced_train_segments.csv, unbalanced_train_segments.csv     split "train"
eval_segments.csv                                              split "test"
--PJHxphWEs_30.mp4                     a clip: video id, and start in seconds
--PJHxphWEs_30_40.mp4                  or start and end
--PJHxphWEs_30000_40000.mp4            or both in milliseconds
--PJHxphWEs.mp4                        a whole video, from which the clip is cut
```
Seconds may be written 30, 000030, 30.0 or 30.000 (see `clip_names`). A clip has several classes,
and the records contain all of them. Where only one class is used, it is the first.

Many of the videos are no longer available. Clips without a file are listed as failures, and
`--max_failure_rate` of `tools/make_tfrecords.py` sets how many may be missing.
"""

import os
from collections.abc import Sequence

from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import VIDEO_EXTENSIONS, MediaFiles
from avssl_tf.data.sources.listings.youtube import ClipFinder

LAYOUT = """  class_labels_indices.csv
  balanced_train_segments.csv, unbalanced_train_segments.csv, eval_segments.csv, one or more
    (these lists may also be in a folder annotations or csv, or be named with --input_csv)
  <any folders>/<YTID>_<start>_<end>.mp4, <YTID>_<start>.mp4  (a clip)
  <any folders>/<YTID>.mp4  (a whole video; with --trimmed: a clip)"""
CLASSES_FILE = "class_labels_indices.csv"
SPLITS = {
  "balanced_train_segments.csv": "train",
  "unbalanced_train_segments.csv": "train",
  "eval_segments.csv": "test",
}
_CLASS_COLUMNS = ("index", "mid", "display_name")
_FOLDERS = (".", "annotations", "csv")


def _classes(path: str) -> dict[str, str]:
  """Class names by class id, in the order of their index."""
  rows = []
  for where, fields in list_file.csv_records(path, _CLASS_COLUMNS):
    if fields["index"] != str(len(rows)):
      raise ListError(f"{where}: index {fields['index']!r}; expected {len(rows)}.")
    rows.append((fields["mid"], fields["display_name"]))
  names = dict(rows)
  if len(names) < len(rows) or len(set(names.values())) < len(rows):
    raise ListError(f"{path}: a class is listed twice.")
  return names


def _found(input_dir: str, names: Sequence[str]) -> list[str]:
  """Paths of the files `names` that exist in one of the usual folders."""
  paths = []
  for name in names:
    places = [os.path.normpath(os.path.join(input_dir, folder, name)) for folder in _FOLDERS]
    paths.extend([place for place in places if os.path.isfile(place)][:1])
  return paths


def clips_of_audioset(
  input_dir: str, list_paths: Sequence[str] = (), trimmed: bool = False
) -> Listing:
  """Lists the clips of AudioSet.

  Args:
    input_dir: folder with the videos, at any depth, and `class_labels_indices.csv`.
    list_paths: lists of segments with their published names; defaults to the lists found.
    trimmed: whether files named only by a video id are clips rather than whole videos.

  Returns:
    Clips in the order of the lists, with all their labels; classes in the published order.

  Raises:
    MissingFileError: no such folder or list.
    ListError: a list is missing or invalid, or none of its files exists.
  """
  list_file.check_folder(input_dir)
  classes_paths = _found(input_dir, [CLASSES_FILE])
  list_paths = list_paths or _found(input_dir, list(SPLITS))
  if not classes_paths or not list_paths:
    missing = "lists of segments" if classes_paths else CLASSES_FILE
    raise ListError(f"No {missing} in {input_dir!r}. Expected:\n{LAYOUT}")
  names = _classes(classes_paths[0])
  files = MediaFiles(input_dir, VIDEO_EXTENSIONS)
  finder = ClipFinder(files, trimmed)
  requests, seen = [], {}
  for path in list_paths:
    split = SPLITS.get(os.path.basename(path))
    if split is None:
      raise ListError(f"{path}: the name determines the split; expected {', '.join(SPLITS)}.")
    folders = [os.path.basename(path).removesuffix("_segments.csv"), split]
    for where, fields in list_file.csv_rows(path):
      if fields[0].startswith("#"):
        continue
      video_id, span_sec, labels = _parse(where, fields, names)
      if (video_id, span_sec[0]) in seen:
        raise ListError(f"{where}: duplicate of {seen[video_id, span_sec[0]]}. Keep one.")
      seen[video_id, span_sec[0]] = where
      usual_stem = f"{video_id}_{span_sec[0]:g}_{span_sec[1]:g}"
      requests.append(finder.request(split, video_id, span_sec, labels, usual_stem, folders))
  listing = Listing(requests, list(names.values()))
  return finder.compared(listing, LAYOUT)


def _parse(
  where: str, fields: list[str], names: dict[str, str]
) -> tuple[str, tuple[float, float], tuple[str, ...]]:
  """Video id, start and end, and class names of a row."""
  if len(fields) != 4:
    raise ListError(
      f"{where}: {len(fields)} fields; expected 4: YTID, start_seconds, end_seconds, and the "
      'labels in quotes ("/m/09x0r,/m/05zppz").'
    )
  video_id = fields[0]
  start_sec, end_sec = (
    list_file.seconds(text, column, where)
    for text, column in zip(fields[1:3], ("start_seconds", "end_seconds"))
  )
  if end_sec <= start_sec:
    raise ListError(f"{where}: end_seconds {end_sec:g} is not after start_seconds {start_sec:g}.")
  ids = [word.strip() for word in fields[3].split(",")]
  unknown = [label for label in ids if label not in names]
  if unknown:
    raise ListError(f"{where}: label {unknown[0]!r} is not in {CLASSES_FILE}.")
  return video_id, (start_sec, end_sec), tuple(names[label] for label in ids)
