"""YT-360: 360° video with spatial audio from YouTube.

Morgado, Li, Vasconcelos, "Learning Representations from Audio-Visual Spatial Alignment", NeurIPS
2020, section 4. The layout is that of the authors' repository:

```
train.txt, test.txt                     video ids, one per line
segments.txt                            `<youtube id> <start>,<start>,...` in seconds, one per line
video/<youtube id>-<start>.mp4          video of 10 s
audio/<youtube id>-<start>.m4a          its audio, 4 channels (or in the video file itself)
segmentation/<youtube id>-<start>/      optional: things-0000.png, stuff-0000.png at 4 Hz
```
The lists may be in `input_dir` or in its folder `lists`. Many of the videos are no longer
available. Segments without a file are listed as failures, and `--max_failure_rate` of
`tools/make_tfrecords.py` sets how many may be missing.
"""

import os

from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import VIDEO_EXTENSIONS, MediaFiles

LAYOUT = """  train.txt, test.txt  (or in lists/; video ids, one per line)
  segments.txt  (<youtube id> <start>,<start>,... in seconds, one line per video)
  video/<youtube id>-<start>.mp4
  audio/<youtube id>-<start>.m4a  (or the audio in the video file)
  segmentation/<youtube id>-<start>/things-0000.png, stuff-0000.png  (optional)"""
_SPLITS = ("train", "test")


def clips_of_yt360(input_dir: str) -> Listing:
  """Lists the segments of YT-360, the training split first, in the order of the lists.

  Args:
    input_dir: folder with the lists and `video`.

  Returns:
    One request per segment of each video in a split, without labels.

  Raises:
    MissingFileError: no such folder.
    ListError: a list is missing or invalid, or none of its files exists.
  """
  list_file.check_folder(input_dir)
  segments = _segments(_list_path(input_dir, "segments.txt"))
  videos = os.path.join(input_dir, "video")
  if not os.path.isdir(videos):
    raise ListError(f"No folder 'video' in {input_dir!r}. Expected:\n{LAYOUT}")
  files = MediaFiles(videos, VIDEO_EXTENSIONS)
  extension = files.usual_extension(".mp4")
  requests, split_of, without_segments = [], {}, []
  for split in _SPLITS:
    path = _list_path(input_dir, f"{split}.txt")
    for where, (video_id,) in list_file.word_rows(path, (1,)):
      if video_id in split_of:
        raise ListError(f"{where}: {video_id!r} is already in {split_of[video_id]}.txt.")
      split_of[video_id] = split
      if video_id not in segments:
        without_segments.append(video_id)
        continue
      for start_sec in segments[video_id]:
        stem = f"{video_id}-{start_sec}"
        names = files.with_stem(stem)
        name = names[0] if names else stem + extension
        requests.append(ClipRequest(split, files.path(name), None, None, (), name))
  notes = []
  if without_segments:
    notes.append(
      f"{len(without_segments)} videos of the splits are not in segments.txt and are skipped, such "
      f"as {without_segments[0]!r}."
    )
  return files.compared(Listing(requests, [], notes=notes), LAYOUT, links_die=True)


def _list_path(input_dir: str, name: str) -> str:
  for folder in (input_dir, os.path.join(input_dir, "lists")):
    path = os.path.join(folder, name)
    if os.path.exists(path):
      return path
  raise ListError(f"No {name} in {input_dir!r} or its folder 'lists'. Expected:\n{LAYOUT}")


def _segments(path: str) -> dict[str, list[int]]:
  """Starts of the segments of each video, in seconds."""
  found: dict[str, list[int]] = {}
  for where, (video_id, listed) in list_file.word_rows(path, (2,)):
    starts = listed.split(",")
    if not all(start.isdigit() for start in starts):
      raise ListError(
        f"{where}: {listed!r} after the video id; expected the starts of its segments in whole "
        "seconds, such as '54,68,78'."
      )
    known = found.setdefault(video_id, [])
    known.extend(start for start in map(int, starts) if start not in known)
  return found
