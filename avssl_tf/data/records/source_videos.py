"""Which records of a split were cut from the same video."""

import os
import re
from typing import NamedTuple

import numpy as np

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError

# Sources whose files are segments of videos: the name of a file, of which "video" is the video's.
# Of all others, each file is a video.
_SEGMENTS = {"yt360": re.compile(r"(?P<video>.+)-\d+\.[^.]+")}


class SourceVideos(NamedTuple):
  """The records of a split by the video that they were cut from.

  Attributes:
    records: int64 `[N]`, positions in the split, those of a video next to each other.
    starts: int64 `[V + 1]`, where in `records` each of the V videos begins; the last one is N.
  """

  records: np.ndarray
  starts: np.ndarray

  @property
  def num_videos(self) -> int:
    """Number of videos."""
    return len(self.starts) - 1


def video_of(example_id: str, source: str) -> str:
  """The video that a record was cut from.

  >>> video_of("street/a.mp4@10.000", "folder")
  'street/a.mp4'
  >>> video_of("x7_-Q-54.mp4@0.000", "yt360")
  'x7_-Q'

  Args:
    example_id: `example/id`: the name of the file, "@", and the start of the clip in it.
    source: what the data set was built from, as in `DatasetInfo.build`.
  """
  media_id, separator, _ = example_id.rpartition("@")
  name = media_id if separator else example_id
  segment = source in _SEGMENTS and _SEGMENTS[source].fullmatch(os.path.basename(name))
  return segment["video"] if segment else name


def of_split(info: DatasetInfo, split: str) -> SourceVideos:
  """The records of a split, subset or slice by video. Nothing but `info` is looked at.

  Raises:
    UserError: there is no such split, subset or slice.
  """
  source = info.build.get("source", "")
  names = [video_of(example_id, source) for example_id in info.records(split).ids]
  number_of: dict[str, int] = {}
  videos = np.array([number_of.setdefault(name, len(number_of)) for name in names], np.int64)
  counts = np.bincount(videos, minlength=len(number_of))
  return SourceVideos(
    np.argsort(videos, kind="stable").astype(np.int64),
    np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
  )


def check_batch(videos: SourceVideos, split: str, batch_size: int) -> None:
  """Raises a `UserError` if there are fewer videos than clips in a batch."""
  if batch_size > videos.num_videos:
    raise UserError(
      f"A batch has {batch_size} clips, of different videos each, but the "
      f"{len(videos.records)} clips of split {split!r} are of {videos.num_videos} videos: lower "
      'batch_size, or draw clips whatever video they are of (train.sampling="independent").'
    )
