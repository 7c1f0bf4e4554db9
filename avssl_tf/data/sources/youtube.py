"""Finds the files of clips that lists name by the id of a video and a span of seconds.

Files are either clips, whose names hold the span, or whole videos, named by their id alone, from
which the span is taken.
"""

import os
from collections.abc import Sequence

import av

from avssl_tf.data import media_opening
from avssl_tf.data.media_limits import MediaError
from avssl_tf.data.sources.clip_request import ClipRequest
from avssl_tf.data.sources.listing import ListError
from avssl_tf.data.sources.media_files import MediaFiles

# Files looked at to tell whole videos from clips.
_NUM_LOOKED_AT = 5


class ClipFinder:
  """Makes requests for the clips of lists, as far as their files can be found.

  Attributes:
    files: the videos that there are.
    trimmed: whether files that are named by an id alone are clips too, rather than whole videos.
  """

  def __init__(self, files: MediaFiles, trimmed: bool):
    self.files = files
    self.trimmed = trimmed
    self._extension = files.usual_extension(".mp4")
    self._folders = {name for name in os.listdir(files.root) if os.path.isdir(files.path(name))}
    self._whole: list[ClipRequest] = []

  def request(
    self,
    split: str,
    video_id: str,
    span_sec: tuple[float, float],
    labels: tuple[str, ...],
    stems: Sequence[str],
    folders: Sequence[str],
  ) -> ClipRequest:
    """What to read for a clip; where there is no file, the path where it was expected.

    Args:
      split: of the clip.
      video_id: name of the whole video.
      span_sec: where the clip begins and ends in it.
      labels: classes.
      stems: names that the file of the clip may have, without folder and extension; the first
        one is the usual one.
      folders: names of folders that it may be in, the best first; files elsewhere come after.
    """
    for stem in (*stems, video_id):
      names = self.files.with_stem(stem)
      if names:
        name = min(names, key=lambda n: _rank(n, folders))
        if stem in stems or self.trimmed:
          return ClipRequest(split, self.files.path(name), None, None, labels, name)
        request = ClipRequest(split, self.files.path(name), *span_sec, labels, name)
        self._whole.append(request)
        return request
    expected_in = [folder for folder in folders if folder in self._folders]
    name = "/".join([*expected_in[-1:], stems[0] + self._extension])
    return ClipRequest(split, self.files.path(name), None, None, labels, name)

  def check_whole_videos(self) -> None:
    """Looks at a few of the whole videos that were asked for: are they?

    Raises:
      ListError: all of them end before their spans do, as clips under names of videos would.
    """
    looked_at = sorted(self._whole, key=lambda r: -r.start_sec)[:_NUM_LOOKED_AT]
    if looked_at and all(_ends_before(request.path, request.start_sec) for request in looked_at):
      first = looked_at[0]
      raise ListError(
        f"{first.path!r} is named like a whole video, but ends before the clip at "
        f"{first.start_sec:g} s begins, and so do {len(looked_at) - 1} others. If such files are "
        "the clips themselves, pass --trimmed."
      )


def _rank(name: str, folders: Sequence[str]) -> tuple[int, str]:
  """Order of preference among files of one name."""
  found = [number for number, folder in enumerate(folders) if folder in name.split("/")[:-1]]
  return min(found, default=len(folders)), name


def _ends_before(path: str, time_sec: float) -> bool:
  """Whether a video is known to be shorter than `time_sec`; what cannot be read is not."""
  try:
    with media_opening.open_container(path) as container:
      return container.duration is not None and container.duration / av.time_base < time_sec
  except (MediaError, OSError):
    return False
