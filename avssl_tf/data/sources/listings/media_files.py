"""Finds the media files of a folder, and compares them with what lists name."""

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
  """The media files at any depth below a folder; hidden files and folders are passed over.

  Links to folders are followed. What several of them lead to, or a link and the place itself, is
  listed once: a folder linked into itself would be listed for ever.

  Attributes:
    root: the folder.
    names: their paths relative to it, with forward slashes, sorted.
    notes: folders that were left out, for the user.
  """

  def __init__(self, root: str, extensions: frozenset[str]):
    """Looks for the files.

    Args:
      root: folder.
      extensions: what the names of media files end in, lower case.

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
    """Where the file of a relative name is."""
    return os.path.join(self.root, *name.split("/"))

  def with_stem(self, stem: str) -> Sequence[str]:
    """Names of the files called `stem`, whatever their folder and extension; sorted."""
    return self._by_stem.get(stem, ())

  def stems_from(self, start: str) -> Sequence[str]:
    """Names of the files, without folder and extension, that begin with `start`; sorted."""
    first = bisect.bisect_left(self._stems, start)
    # No file name continues with the last character that there is.
    return self._stems[first : bisect.bisect_left(self._stems, f"{start}\U0010ffff")]

  @functools.cached_property
  def _stems(self) -> Sequence[str]:
    return sorted(self._by_stem)

  def usual_extension(self, default: str) -> str:
    """The extension that most files have."""
    counts = collections.Counter(os.path.splitext(name)[1] for name in self.names)
    return max(sorted(counts), key=counts.get) if counts else default

  def compared(
    self,
    listing: Listing,
    layout: str,
    links_die: bool = False,
    beside: Mapping[str, str] = types.MappingProxyType({}),
  ) -> Listing:
    """The listing with notes about files that are missing, and files that it does not name.

    What is missing stays in the listing: the build lists it among its failures.

    Args:
      listing: paths of its requests lie below `root`.
      layout: the layout expected, for errors.
      links_die: whether it is usual that files are missing, as their sources are gone: the note
        says how to go on.
      beside: for paths that are missing, the name of a file that is there and may be meant.

    Raises:
      ListError: nothing is listed, or none of the files is there.
    """
    if not listing.requests:
      raise ListError(f"The lists of {self.root!r} name no clips. Expected:\n{layout}")
    listed = {request.path for request in listing.requests}
    # A list may name a file by a link to a folder that is listed under another name.
    missing = [
      r.path
      for r in listing.requests
      if r.path not in self._paths and not os.path.isfile(r.path)
    ]
    if len(missing) == len(listing.requests):
      ending = f" Media files end in {' '.join(sorted(self._extensions))}."
      raise ListError(
        f"None of the {len(listed)} files listed is in {self.root!r}, not even {missing[0]!r}; "
        f"{len(self.names)} other media files are there"
        f"{self._such_as(missing, beside)}.{'' if self.names else ending}\nExpected:\n{layout}"
      )
    notes = [*listing.notes, *self.notes]
    if missing:
      share = len(missing) / len(listing.requests)
      remedy = (
        " Videos of this data set vanish over the years; "
        f"{_allowing(share)} builds what is left."
      )
      notes.append(
        f"{len(missing)} of {len(listing.requests)} clips listed ({share:.1%}) have no file, such "
        f"as {missing[0]!r}: they count as failures.{self._meant(missing, beside)}"
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
        f"Media files in {self.root!r} that no list names are left out: {len(extra)}, such as "
        f"{extra[0]!r}."
      )
    return dataclasses.replace(listing, notes=notes)


  def _such_as(self, missing: Sequence[str], beside: Mapping[str, str]) -> str:
    """A file that is there, for the message that those listed are missing."""
    names = [beside[path] for path in missing if path in beside] or self.names
    return f", such as {names[0]!r}" if names else ""

  def _meant(self, missing: Sequence[str], beside: Mapping[str, str]) -> str:
    pairs = [(path, beside[path]) for path in missing if path in beside]
    if not pairs:
      return ""
    return (
      f" Of {len(pairs)} there is a file of the same video, such as {pairs[0][1]!r} where "
      f"{os.path.basename(pairs[0][0])!r} is expected: if it is that clip, rename it or correct "
      "the list."
    )


def stem_of(name: str) -> str:
  """The name of a media file without folder and extensions, of which downloaders leave two.

  >>> stem_of("train/0Ab1cD2eF3g_12_22.mp4.mkv"), stem_of("a/b_40.5_42.5.MP4"), stem_of("c_40.5")
  ('0Ab1cD2eF3g_12_22', 'b_40.5_42.5', 'c_40.5')
  """
  stem = os.path.basename(name)
  while os.path.splitext(stem)[1].lower() in VIDEO_EXTENSIONS | AUDIO_EXTENSIONS:
    stem = os.path.splitext(stem)[0]
  return stem


def _allowing(share: float) -> str:
  """The flag that lets a share of the clips fail; 1 is the most that it takes."""
  rounded = math.ceil(share * 100) / 100
  return f"--max_failure_rate={rounded:g}" + (" or more" if rounded < 1 else "")


def _files_below(root: str) -> tuple[list[str], list[str]]:
  """Relative paths of the files below a folder, and notes on the folders that were left out.

  Folders come before links to them, whatever their names.
  """
  files: list[str] = []
  repeated, unreadable = [], []
  seen = set()
  folders, links = collections.deque([""]), collections.deque()
  while folders or links:
    is_link = not folders
    relative = links.popleft() if is_link else folders.popleft()
    path = os.path.join(root, *relative.split("/"))
    # Not by their inodes, which some network file systems make up.
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
      f"Links in {root!r} to folders that are listed already are left out: {len(repeated)}, such "
      f"as {repeated[0]!r}."
    )
  if unreadable:
    notes.append(
      f"Folders in {root!r} that cannot be read are left out: {len(unreadable)}, such as "
      f"{unreadable[0]}."
    )
  return files, notes


def first_folder(input_dir: str, names: Sequence[str]) -> Optional[str]:
  """The first of the folders `names` below `input_dir` that exists; "." stands for itself."""
  for name in names:
    path = os.path.normpath(os.path.join(input_dir, name))
    if os.path.isdir(path):
      return path
  return None
