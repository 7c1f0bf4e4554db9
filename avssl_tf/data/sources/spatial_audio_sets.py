"""REC-Street, YT-Clean, YT-Music and YT-All: 360° videos with spatial audio, in three folds each.

Morgado, Vasconcelos, Langlois, Wang, "Self-Supervised Generation of Spatial Audio for 360° Video",
NeurIPS 2018, section 3. The authors give lists of YouTube ids, one a line, beside their code:

```
meta/subsets/REC-Street.train.1.lst     (or in lists/, or in the folder itself)
meta/subsets/REC-Street.test.1.lst      and so on: folds 1 to 3, and the other three data sets
data/preproc/<youtube id>-video.mp4     (or preproc/) what the authors' `preprocess.py` makes:
data/preproc/<youtube id>-ambix.m4a     equirectangular pictures, and W Y Z X
```
In place of `data/preproc` there may be
```
video/<youtube id>.mp4                  pictures
audio/<youtube id>.m4a                  their sound, 4 channels (or in the video file itself)
```
Downloads differ: most are equi-angular cubemaps, some equirectangular or stereoscopic, and the
order of channels depends on the codec (the authors' `scraping/video_formats.txt` and
`audio_formats.txt` tell). They have to be brought to one projection and order before, as
`preprocess.py` does; `--projection` and `--channel_order` say which, where it is another one.
Many of the videos are gone for good: those without a file are listed among the failures, and
`--max_failure_rate` of `tools/make_tfrecords.py` says how many may be missing.
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
or, in place of data/preproc:
  video/<youtube id>.mp4
  audio/<youtube id>.m4a  (or the sound in the video file)"""
_LIST_FOLDERS = ("meta/subsets", "subsets", "lists", ".")
_VIDEO_FOLDERS = ("video", "data/preproc", "preproc")


def clips_of_spatial_audio_set(input_dir: str, name: str) -> Listing:
  """Lists the videos of one of the data sets.

  Args:
    input_dir: folder of the lists and the videos, such as the authors' repository.
    name: one of `NAMES`.

  Returns:
    Every video of the lists once, in the split "all"; no labels; the subsets train1, test1, ...
    of the folds.

  Raises:
    MissingFileError: no such folder.
    ListError: lists are missing or not what they should be, or none of the videos is there.
    UserError: another name.
  """
  if name not in NAMES:
    raise UserError(f"{name!r} is none of the data sets {', '.join(NAMES)}.")
  list_file.check_folder(input_dir)
  layout = LAYOUT.format(name=name)
  members = {
    f"{part}{fold}": _ids(_list_path(input_dir, f"{name}.{part}.{fold}.lst", layout))
    for fold in FOLDS
    for part in ("train", "test")
  }
  videos = first_folder(input_dir, _VIDEO_FOLDERS)
  if videos is None:
    raise ListError(f"No folder of videos in {input_dir!r}. Expected:\n{layout}")
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
    f"No {file} in {input_dir!r}, nor in its folder meta/subsets. Expected:\n{layout}"
  )


def _ids(path: str) -> list[str]:
  """Ids of the videos of a list."""
  ids = []
  for where, (video_id,) in list_file.word_rows(path, (1,)):
    if len(video_id.split()) > 1:
      raise ListError(f"{where}: {video_id!r}, expected the id of a video.")
    if video_id in ids:
      raise ListError(f"{where}: {video_id!r} is in this list already.")
    ids.append(video_id)
  if not ids:
    raise ListError(f"{path} names no video.")
  return ids
