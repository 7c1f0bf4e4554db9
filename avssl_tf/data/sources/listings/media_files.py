"""Finds the media files of a folder, and compares them with the lists."""

import bisect
import collections
import dataclasses
import functools
import math
import os
import types
from collections.abc import Mapping, Sequence
from typing import Optional

from avssl_tf.data.sources.listings.list_file import check_folder
from avssl_tf.data.sources.listings.listing import ListError, Listing

VIDEO_EXTENSIONS = frozenset(
  ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()
)
AUDIO_EXTENSIONS = frozenset(".aif .aiff .amb .caf .flac .m4a .mka .mp3 .ogg .opus .wav".split())


class MediaFiles:
  """The media files at any depth below a folder; hidden files and folders are skipped.

  Links to folders are followed. A folder that can be reached by several paths is listed once, which
  also handles folders linked into themselves.

  Attributes:
    root: the folder.
    names: paths of the files relative to `root`, with forward slashes, sorted.
    notes: remarks on skipped folders, for the user.
  """

  def __init__(self, root: str, extensions: frozenset[str]):
    """Finds the files.

    Args:
      root: folder.
      extensions: extensions of the media files, in lower case.

    Raises:
      MissingFileError: no such folder.
    """
    check_folder(root)
    self.root = root
    self._extensions = extensions
    self._by_stem: dict[str, list[str]] = collections.defaultdict(list)
    files, self.notes = _files_below(root)
    self.names = sorted(
      name for name in files if os.path.splitext(name)[1].lower() in extensions
    )
    for name in self.names:
      self._by_stem[stem_of(name)].append(name)
    self._paths = {self.path(name) for name in self.names}

  def path(self, name: str) -> str:
    """Path of the file with a relative name."""
    return os.path.join(self.root, *name.split("/"))

  def with_stem(self, stem: str) -> Sequence[str]:
    """Sorted names of the files with a stem, in any folder and with any extension."""
    return self._by_stem.get(stem, ())

  def stems_from(self, start: str) -> Sequence[str]:
    """Sorted stems of the files that start with `start`."""
    first = bisect.bisect_left(self._stems, start)
    # No file name contains the last Unicode character.
    return self._stems[first : bisect.bisect_left(self._stems, f"{start}\U0010ffff")]

  @functools.cached_property
  def _stems(self) -> Sequence[str]:
    return sorted(self._by_stem)

  def usual_extension(self, default: str) -> str:
    """The most common extension."""
    counts = collections.Counter(os.path.splitext(name)[1] for name in self.names)
    return max(sorted(counts), key=counts.get) if counts else default

  def compared(
    self,
    listing: Listing,
    layout: str,
    links_die: bool = False,
    similar: Mapping[str, str] = types.MappingProxyType({}),
  ) -> Listing:
    """Adds notes about missing files and unlisted files to a listing.

    Missing files stay in the listing: the build reports them as failures.

    Args:
      listing: listing with paths below `root`.
      layout: expected layout, for errors.
      links_die: whether missing files are common, because videos disappear from the web: the note
        then states how to build without them.
      similar: for missing paths, the name of an existing file that may be meant.

    Raises:
      ListError: nothing is listed, or none of the files exists.
    """
    if not listing.requests:
      raise ListError(f"The lists of {self.root!r} contain no clips. Expected:\n{layout}")
    listed = {request.path for request in listing.requests}
    # A list may refer to a file by a link to a folder that is listed under another name.
    missing = [
      r.path
      for r in listing.requests
      if r.path not in self._paths and not os.path.isfile(r.path)
    ]
    if len(missing) == len(listing.requests):
      ending = f" Extensions of media files: {' '.join(sorted(self._extensions))}."
      raise ListError(
        f"None of the {len(listed)} listed files is in {self.root!r}, for example {missing[0]!r}. "
        f"The folder contains {len(self.names)} other media files"
        f"{self._such_as(missing, similar)}.{'' if self.names else ending}\nExpected:\n{layout}"
      )
    notes = [*listing.notes, *self.notes]
    if missing:
      share = len(missing) / len(listing.requests)
      remedy = (
        " Videos of this data set disappear over time; "
        f"{_allowing(share)} builds the remaining ones."
      )
      notes.append(
        f"{len(missing)} of {len(listing.requests)} listed clips ({share:.1%}) have no file, such "
        f"as {missing[0]!r}: they count as failures.{self._meant(missing, similar)}"
        f"{remedy if links_die else ''}"
      )
    really_listed = {os.path.realpath(path) for path in listed} if self.notes else set()
    extra = [
      name
      for name in self.names
      if self.path(name) not in listed and os.path.realpath(self.path(name)) not in really_listed
    ]
    if extra:
      notes.append(
        f"Media files in {self.root!r} that are in no list are skipped: {len(extra)}, such as "
        f"{extra[0]!r}."
      )
    return dataclasses.replace(listing, notes=notes)


  def _such_as(self, missing: Sequence[str], similar: Mapping[str, str]) -> str:
    """An existing file, for the message that the listed ones are missing."""
    names = [similar[path] for path in missing if path in similar] or self.names
    return f", such as {names[0]!r}" if names else ""

  def _meant(self, missing: Sequence[str], similar: Mapping[str, str]) -> str:
    pairs = [(path, similar[path]) for path in missing if path in similar]
    if not pairs:
      return ""
    return (
      f" For {len(pairs)} there is a file of the same video, such as {pairs[0][1]!r} instead of "
      f"{os.path.basename(pairs[0][0])!r}: if it is that clip, rename it or correct the list."
    )


def stem_of(name: str) -> str:
  """The name of a media file without folder and extensions; downloaders may leave two extensions.

  >>> stem_of("train/0Ab1cD2eF3g_12_22.mp4.mkv"), stem_of("a/b_40.5_42.5.MP4"), stem_of("c_40.5")
  ('0Ab1cD2eF3g_12_22', 'b_40.5_42.5', 'c_40.5')
  """
  stem = os.path.basename(name)
  while os.path.splitext(stem)[1].lower() in VIDEO_EXTENSIONS | AUDIO_EXTENSIONS:
    stem = os.path.splitext(stem)[0]
  return stem


def _allowing(share: float) -> str:
  """The flag that allows a share of the clips to fail, at most 1."""
  rounded = math.ceil(share * 100) / 100
  return f"--max_failure_rate={rounded:g}" + (" or more" if rounded < 1 else "")


def _files_below(root: str) -> tuple[list[str], list[str]]:
  """Relative paths of the files below a folder, and notes on skipped folders.

  Folders are visited before links to them, regardless of their names.
  """
  files: list[str] = []
  repeated, unreadable = [], []
  seen = set()
  folders, links = collections.deque([""]), collections.deque()
  while folders or links:
    is_link = not folders
    relative = links.popleft() if is_link else folders.popleft()
    path = os.path.join(root, *relative.split("/"))
    # Not identified by inode, because some network file systems invent them.
    place = os.path.realpath(path)
    if place in seen:
      repeated.append(relative)
      continue
    seen.add(place)
    try:
      with os.scandir(path) as entries:
        found = sorted((e.name, os.path.isdir(e.path), e.is_symlink()) for e in entries)
    except OSError as error:
      if not relative:
        raise
      unreadable.append(f"{relative!r} ({error.strerror})")
      continue
    for name, is_folder, is_linked in found:
      if not name.startswith("."):
        below = f"{relative}/{name}" if relative else name
        (files if not is_folder else links if is_linked else folders).append(below)
  notes = []
  if repeated:
    notes.append(
      f"Links in {root!r} to folders that are already listed are skipped: {len(repeated)}, such as "
      f"{repeated[0]!r}."
    )
  if unreadable:
    notes.append(
      f"Folders in {root!r} that cannot be read are skipped: {len(unreadable)}, such as "
      f"{unreadable[0]}."
    )
  return files, notes


def first_folder(input_dir: str, names: Sequence[str]) -> Optional[str]:
  """The first existing folder of `names` in `input_dir`; "." means `input_dir`. None if none."""
  for name in names:
    path = os.path.normpath(os.path.join(input_dir, name))
    if os.path.isdir(path):
      return path
  return None
