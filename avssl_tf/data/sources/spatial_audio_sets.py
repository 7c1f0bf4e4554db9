"""REC-Street, YT-Clean, YT-Music and YT-All: 360° videos with spatial audio, in three folds each.

Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360° Video",
NeurIPS 2018, section 3. The authors publish lists of YouTube ids, one per line, with their code:

```
meta/subsets/REC-Street.train.1.lst     (or in lists/, or in the folder itself)
meta/subsets/REC-Street.test.1.lst      folds 1 to 3, and the same for the other three data sets
data/preproc/<youtube id>-video.mp4     (or preproc/) output of the authors' `preprocess.py`:
data/preproc/<youtube id>-ambix.m4a     equirectangular video, and W Y Z X
```
Instead of `data/preproc`, the folder may contain
```
video/<youtube id>.mp4                  video
audio/<youtube id>.m4a                  its audio, 4 channels (or in the video file itself)
```
Downloads differ: most are equi-angular cubemaps, some are equirectangular or stereoscopic, and the
channel order depends on the codec (see the authors' `scraping/video_formats.txt` and
`audio_formats.txt`). Convert them to one projection and channel order first, as `preprocess.py`
does. If these are not the defaults, state them with `--projection` and `--channel_order`.
Many of the videos are no longer available. Videos without a file are listed as failures, and
`--max_failure_rate` of `tools/make_tfrecords.py` sets how many may be missing.
"""

import os

from avssl_tf.data.sources.listings import list_file
from avssl_tf.data.sources.listings.fold_listing import listing_of_folds
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import VIDEO_EXTENSIONS, MediaFiles, first_folder
from avssl_tf.errors import UserError

NAMES = ("REC-Street", "YT-Clean", "YT-Music", "YT-All")
FOLDS = (1, 2, 3)
LAYOUT = """  meta/subsets/{name}.train.1.lst, {name}.test.1.lst, and so on for 2 and 3
  data/preproc/<youtube id>-video.mp4, <youtube id>-ambix.m4a
or, instead of data/preproc:
  video/<youtube id>.mp4
  audio/<youtube id>.m4a  (or the audio in the video file)"""
_LIST_FOLDERS = ("meta/subsets", "subsets", "lists", ".")
_VIDEO_FOLDERS = ("video", "data/preproc", "preproc")


def clips_of_spatial_audio_set(input_dir: str, name: str) -> Listing:
  """Lists the videos of one of the data sets.

  Args:
    input_dir: folder with the lists and the videos, such as the authors' repository.
    name: one of `NAMES`.

  Returns:
    Every listed video once, in the split "all", without labels; the subsets train1, test1, ... of
    the folds.

  Raises:
    MissingFileError: no such folder.
    ListError: lists are missing or invalid, or none of the videos exists.
    UserError: `name` is not one of `NAMES`.
  """
  if name not in NAMES:
    raise UserError(f"Unknown data set {name!r}; expected one of {', '.join(NAMES)}.")
  list_file.check_folder(input_dir)
  layout = LAYOUT.format(name=name)
  members = {
    f"{part}{fold}": _ids(_list_path(input_dir, f"{name}.{part}.{fold}.lst", layout))
    for fold in FOLDS
    for part in ("train", "test")
  }
  videos = first_folder(input_dir, _VIDEO_FOLDERS)
  if videos is None:
    raise ListError(f"No video folder in {input_dir!r}. Expected:\n{layout}")
  files = MediaFiles(videos, VIDEO_EXTENSIONS)
  preprocessed = os.path.basename(videos) == "preproc"
  extension = files.usual_extension(".mp4")

  def file_of(video_id: str) -> str:
    stem = f"{video_id}-video" if preprocessed else video_id
    found = files.with_stem(stem)
    return found[0] if found else stem + extension

  subsets = {subset: [file_of(video_id) for video_id in ids] for subset, ids in members.items()}
  label_of = dict.fromkeys(file for names in subsets.values() for file in names)
  listing = listing_of_folds(files, label_of, [], subsets)
  return files.compared(listing, layout, links_die=True)


def _list_path(input_dir: str, file: str, layout: str) -> str:
  for folder in _LIST_FOLDERS:
    path = os.path.normpath(os.path.join(input_dir, folder, file))
    if os.path.isfile(path):
      return path
  raise ListError(
    f"No {file} in {input_dir!r} or its folder meta/subsets. Expected:\n{layout}"
  )


def _ids(path: str) -> list[str]:
  """Video ids of a list."""
  ids = []
  for where, (video_id,) in list_file.word_rows(path, (1,)):
    if len(video_id.split()) > 1:
      raise ListError(f"{where}: {video_id!r}; expected a video id.")
    if video_id in ids:
      raise ListError(f"{where}: {video_id!r} is already in this list.")
    ids.append(video_id)
  if not ids:
    raise ListError(f"{path} lists no videos.")
  return ids
