"""Finds files with names that are spelled differently in lists and on disk."""

import collections
import os
from collections.abc import Sequence

from avssl_tf import local_paths
from avssl_tf.data.sources.listings.media_files import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS, stem_of


class Spellings:
  """Finds files by path, tolerating two differences in the name.

  One is the composition of accents, which differs between systems. The other is the extension,
  which downloaders and conversions change and lists may omit: a video is found under any video
  extension, an audio file under any audio extension, and a name without extension under both.
  """

  def __init__(self):
    """Starts without any searches."""
    self._folders: dict[str, dict[str, list[str]]] = {}
    self._found: list[tuple[str, str]] = []

  def find(self, path: str) -> str:
    """The path of the file that `path` refers to; `path` itself if there is none, or several."""
    if os.path.lexists(path):
      return path
    folder, name = os.path.split(path)
    if not os.path.isdir(folder or "."):
      folder = local_paths.spelled_otherwise(folder) or folder
    alike = self._by_stem(folder).get(local_paths.composed(stem_of(name)), [])
    same = [other for other in alike if local_paths.composed(other) == local_paths.composed(name)]
    if not same:
      kinds = _extensions_like(name)
      same = [other for other in alike if _extension(other) in kinds]
    if len(same) != 1:
      return path
    found = os.path.join(folder, same[0])
    self._found.append((path, found))
    return found

  @property
  def notes(self) -> Sequence[str]:
    """Remarks on files that were found under other names."""
    if not self._found:
      return ()
    listed, found = self._found[0]
    return (
      f"{len(self._found)} files are spelled differently in the list (extension, or composition of "
      f"accents), such as {listed!r} for {found!r}: they are used.",
    )

  def _by_stem(self, folder: str) -> dict[str, list[str]]:
    if folder not in self._folders:
      by_stem = collections.defaultdict(list)
      for name in sorted(os.listdir(folder or ".")) if os.path.isdir(folder or ".") else []:
        by_stem[local_paths.composed(stem_of(name))].append(name)
      self._folders[folder] = by_stem
    return self._folders[folder]


def _extension(name: str) -> str:
  return os.path.splitext(name)[1].lower()


def _extensions_like(name: str) -> frozenset[str]:
  for extensions in (VIDEO_EXTENSIONS, AUDIO_EXTENSIONS):
    if _extension(name) in extensions:
      return extensions
  return VIDEO_EXTENSIONS | AUDIO_EXTENSIONS
