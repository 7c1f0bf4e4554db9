"""Finds the media files of a folder, and compares them with what lists name."""

import collections
import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Optional

from avssl_tf.data.sources.list_file import check_folder
from avssl_tf.data.sources.listing import ListError, Listing

VIDEO_EXTENSIONS = frozenset(
  ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()
)
AUDIO_EXTENSIONS = frozenset(".aif .aiff .flac .m4a .mp3 .ogg .opus .wav".split())


class MediaFiles:
  """The media files at any depth below a folder; hidden files and folders are passed over.

  Attributes:
    root: the folder.
    names: their paths relative to it, with forward slashes, sorted.
  """

  def __init__(self, root: str, extensions: frozenset[str]):
    """Looks for the files.

    Args:
      root: folder.
      extensions: what the names of media files end in, lower case.

    Raises:
      FileNotFoundError: no such folder.
    """
    check_folder(root)
    self.root = root
    self._extensions = extensions
    self.names: list[str] = []
    self._by_stem: dict[str, list[str]] = collections.defaultdict(list)
    for folder, folders, files in os.walk(root, followlinks=True):
      folders[:] = [name for name in folders if not name.startswith(".")]
      for name in files:
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in extensions:
          path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
          self.names.append(path)
    self.names.sort()
    for name in self.names:
      self._by_stem[os.path.splitext(os.path.basename(name))[0]].append(name)
    self._paths = {self.path(name) for name in self.names}

  def path(self, name: str) -> str:
    """Where the file of a relative name is."""
    return os.path.join(self.root, *name.split("/"))

  def with_stem(self, stem: str) -> Sequence[str]:
    """Names of the files called `stem`, whatever their folder and extension; sorted."""
    return self._by_stem.get(stem, ())

  def usual_extension(self, default: str) -> str:
    """The extension that most files have."""
    counts = collections.Counter(os.path.splitext(name)[1] for name in self.names)
    return max(sorted(counts), key=counts.get) if counts else default

  def compared(self, listing: Listing, layout: str, links_die: bool = False) -> Listing:
    """The listing with notes about files that are missing, and files that it does not name.

    What is missing stays in the listing: the build lists it among its failures.

    Args:
      listing: paths of its requests lie below `root`.
      layout: the layout expected, for errors.
      links_die: whether it is usual that files are missing, as their sources are gone: the note
        says how to go on.

    Raises:
      ListError: nothing is listed, or none of the files is there.
    """
    if not listing.requests:
      raise ListError(f"The lists of {self.root!r} name no clips. Expected:\n{layout}")
    listed = {request.path for request in listing.requests}
    missing = [r.path for r in listing.requests if r.path not in self._paths]
    if len(missing) == len(listing.requests):
      ending = f" Media files end in {' '.join(sorted(self._extensions))}."
      raise ListError(
        f"None of the {len(listed)} files listed is in {self.root!r}, not even {missing[0]!r}; "
        f"{len(self.names)} other media files are there."
        f"{'' if self.names else ending}\nExpected:\n{layout}"
      )
    notes = list(listing.notes)
    if missing:
      share = len(missing) / len(listing.requests)
      remedy = (
        " Videos of this data set vanish over the years; "
        f"--max_failure_rate={math.ceil(share * 100) / 100:g} or more builds what is left."
      )
      notes.append(
        f"{len(missing)} of {len(listing.requests)} clips listed ({share:.1%}) have no file, such "
        f"as {missing[0]!r}: they count as failures.{remedy if links_die else ''}"
      )
    extra = [name for name in self.names if self.path(name) not in listed]
    if extra:
      notes.append(
        f"Media files in {self.root!r} that no list names are left out: {len(extra)}, such as "
        f"{extra[0]!r}."
      )
    return dataclasses.replace(listing, notes=notes)


def first_folder(input_dir: str, names: Sequence[str]) -> Optional[str]:
  """The first of the folders `names` below `input_dir` that exists; "." stands for itself."""
  for name in names:
    path = os.path.normpath(os.path.join(input_dir, name))
    if os.path.isdir(path):
      return path
  return None
