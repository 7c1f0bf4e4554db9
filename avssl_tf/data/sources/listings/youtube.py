"""Finds the files of clips that are listed by video id and time span.

A file is either a clip, with the span in its name in one of the formats of `clip_names`, or a whole
video, named only by its id, from which the span is cut.
"""

import collections
import dataclasses
import os
from collections.abc import Sequence

import av

from avssl_tf.data.media import media_opening
from avssl_tf.data.media.media_limits import MediaError
from avssl_tf.data.sources.listings import clip_names
from avssl_tf.data.sources.listings.clip_request import ClipRequest
from avssl_tf.data.sources.listings.listing import ListError, Listing
from avssl_tf.data.sources.listings.media_files import MediaFiles

# Number of files opened to distinguish whole videos from clips.
_NUM_CHECKED = 5


class ClipFinder:
  """Creates requests for listed clips and finds their files.

  Attributes:
    files: the existing videos.
    trimmed: whether files named only by a video id are also clips rather than whole videos.
    similar: for missing paths, an existing file of the same video.
  """

  def __init__(self, files: MediaFiles, trimmed: bool):
    self.files = files
    self.trimmed = trimmed
    self._extension = files.usual_extension(".mp4")
    self._folders = {name for name in os.listdir(files.root) if os.path.isdir(files.path(name))}
    self._whole: list[ClipRequest] = []
    self._clips: list[ClipRequest] = []
    self.similar: dict[str, str] = {}

  def request(
    self,
    split: str,
    video_id: str,
    span_sec: tuple[float, float],
    labels: tuple[str, ...],
    usual_stem: str,
    folders: Sequence[str],
  ) -> ClipRequest:
    """Creates the request for a clip. If there is no file, it has the expected path.

    Args:
      split: split of the clip.
      video_id: id of the whole video.
      span_sec: start and end of the clip in the video.
      labels: classes of the clip.
      usual_stem: usual name of the file of the clip, without folder and extension.
      folders: names of preferred folders, the best first; files in other folders come last.
    """
    others = self.files.stems_from(video_id)
    distances = {
      stem: found
      for stem in others
      if (found := clip_names.distance(stem[len(video_id) :], span_sec)) is not None
    }
    nearest = min(distances.values(), default=None)
    stems = [stem for stem, found in distances.items() if found == nearest] or [video_id]
    names = [name for stem in stems for name in self.files.with_stem(stem)]
    if names:
      name = min(names, key=lambda n: _rank(n, folders))
      is_clip = bool(distances) or self.trimmed
      times = (None, None) if is_clip else span_sec
      request = ClipRequest(split, self.files.path(name), *times, labels, name)
      (self._clips if is_clip else self._whole).append(request)
      return request
    expected_in = [folder for folder in folders if folder in self._folders]
    name = "/".join([*expected_in[-1:], usual_stem + self._extension])
    request = ClipRequest(split, self.files.path(name), None, None, labels, name)
    if others:
      self.similar[request.path] = self.files.with_stem(others[0])[0]
    return request

  def compared(self, listing: Listing, layout: str) -> Listing:
    """Adds notes to a listing, see `MediaFiles.compared`.

    Raises:
      ListError: see `MediaFiles.compared` and `check_whole_videos`.
    """
    counts = collections.Counter(request.path for request in self._clips)
    shared = [request.media_id for request in self._clips if counts[request.path] > 1]
    if shared:
      note = (
        f"{len(shared)} rows of the lists share files with others, such as {shared[0]!r}: the name "
        "of a clip should contain its start."
      )
      listing = dataclasses.replace(listing, notes=[*listing.notes, note])
    listing = self.files.compared(listing, layout, links_die=True, similar=self.similar)
    self.check_whole_videos()
    return listing

  def check_whole_videos(self) -> None:
    """Checks a few of the files that are requested as whole videos.

    Raises:
      ListError: all of them end before their spans start, like clips with the name of a video.
    """
    checked = sorted(self._whole, key=lambda r: -r.start_sec)[:_NUM_CHECKED]
    if checked and all(_ends_before(request.path, request.start_sec) for request in checked):
      first = checked[0]
      raise ListError(
        f"{first.path!r} is named like a whole video, but ends before the start of the clip at "
        f"{first.start_sec:g} s, and so do {len(checked) - 1} others. If such files are the clips "
        "themselves, pass --trimmed."
      )


def _rank(name: str, folders: Sequence[str]) -> tuple[int, str]:
  """Sort key of files with the same name, by preference."""
  found = [number for number, folder in enumerate(folders) if folder in name.split("/")[:-1]]
  return min(found, default=len(folders)), name


def _ends_before(path: str, time_sec: float) -> bool:
  """Whether a video is known to be shorter than `time_sec`; False if it cannot be read."""

  try:
    with media_opening.open_container(path) as container:
      return container.duration is not None and container.duration / av.time_base < time_sec
  except (MediaError, OSError):
    return False
