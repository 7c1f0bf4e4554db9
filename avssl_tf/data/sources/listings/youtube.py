"""Finds the files of clips that lists name by the id of a video and a span of seconds.

Files are either clips, whose names hold the span in one of the spellings of `clip_names`, or whole
videos, named by their id alone, from which the span is taken.
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

# Files looked at to tell whole videos from clips.
_NUM_LOOKED_AT = 5


class ClipFinder:
  """Makes requests for the clips of lists, as far as their files can be found.

  Attributes:
    files: the videos that there are.
    trimmed: whether files that are named by an id alone are clips too, rather than whole videos.
    beside: for paths where clips were expected, a file of the same video that is there.
  """

  def __init__(self, files: MediaFiles, trimmed: bool):
    self.files = files
    self.trimmed = trimmed
    self._extension = files.usual_extension(".mp4")
    self._folders = {name for name in os.listdir(files.root) if os.path.isdir(files.path(name))}
    self._whole: list[ClipRequest] = []
    self._clips: list[ClipRequest] = []
    self.beside: dict[str, str] = {}

  def request(
    self,
    split: str,
    video_id: str,
    span_sec: tuple[float, float],
    labels: tuple[str, ...],
    usual_stem: str,
    folders: Sequence[str],
  ) -> ClipRequest:
    """What to read for a clip; where there is no file, the path where it was expected.

    Args:
      split: of the clip.
      video_id: name of the whole video.
      span_sec: where the clip begins and ends in it.
      labels: classes.
      usual_stem: name that the file of the clip usually has, without folder and extension.
      folders: names of folders that it may be in, the best first; files elsewhere come after.
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
      self.beside[request.path] = self.files.with_stem(others[0])[0]
    return request

  def compared(self, listing: Listing, layout: str) -> Listing:
    """The listing with notes, as `MediaFiles.compared` makes them.

    Raises:
      ListError: as there; or as `check_whole_videos`.
    """
    counts = collections.Counter(request.path for request in self._clips)
    shared = [request.media_id for request in self._clips if counts[request.path] > 1]
    if shared:
      note = (
        f"{len(shared)} rows of the lists share files with others, such as {shared[0]!r}: the name "
        "of a clip should tell where it begins."
      )
      listing = dataclasses.replace(listing, notes=[*listing.notes, note])
    listing = self.files.compared(listing, layout, links_die=True, beside=self.beside)
    self.check_whole_videos()
    return listing

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
