"""Groups the records of a split by the video that they were cut from."""

import os
import re
from typing import NamedTuple

import numpy as np

from avssl_tf.data.records.dataset_info import DatasetInfo
from avssl_tf.errors import UserError

# Sources whose files are segments of videos, with the pattern of their file names; the group
# "video" is the name of the video. In all other sources each file is one video.
_SEGMENTS = {"yt360": re.compile(r"(?P<video>.+)-\d+\.[^.]+")}


class SourceVideos(NamedTuple):
  """The records of a split, grouped by source video.

  Attributes:
    records: int64 `[N]`, positions in the split; records of the same video are adjacent.
    starts: int64 `[V + 1]`, start of each of the V videos in `records`; the last entry is N.
  """

  records: np.ndarray
  starts: np.ndarray

  @property
  def num_videos(self) -> int:
    """Number of videos."""
    return len(self.starts) - 1


def video_of(example_id: str, source: str) -> str:
  """Source video of a record.

  Args:
    example_id: `example/id`: the file name, "@", and the start of the clip in the file.
    source: source of the data set, as in `DatasetInfo.build`.

  Returns:
    The name of the video.

  Examples:
    >>> video_of("street/a.mp4@10.000", "folder")
    'street/a.mp4'
    >>> video_of("x7_-Q-54.mp4@0.000", "yt360")
    'x7_-Q'
  """
  media_id, separator, _ = example_id.rpartition("@")
  name = media_id if separator else example_id
  segment = source in _SEGMENTS and _SEGMENTS[source].fullmatch(os.path.basename(name))
  return segment["video"] if segment else name


def of_split(info: DatasetInfo, split: str) -> SourceVideos:
  """Groups the records of a split, subset or slice by source video. Uses only `info`.

  Raises:
    UserError: the split, subset or slice does not exist.
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
      f"A batch needs {batch_size} clips from different videos, but the {len(videos.records)} "
      f"clips of split {split!r} come from only {videos.num_videos} videos: lower batch_size, or "
      'draw clips independently of their video (train.sampling="independent").'
    )
