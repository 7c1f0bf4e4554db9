"""Deletes only files that this package wrote: known names only, without following links.

A tree describes the expected contents of a folder: patterns of whole names, each with None for a
file or with the tree of a subfolder. The first matching pattern applies. The temporary files of
`files.whole_file` are matched together with the file itself.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

from avssl_tf.errors import UserError

Tree = Mapping[str, Optional["Tree"]]

_TEMPORARY = re.compile(r"(.+)\.tmp-\d+")
_NUM_LISTED = 5


class ForeignFilesError(UserError):
  """A folder contains files that this package did not write; nothing was deleted."""


def foreign(folder: str, tree: Tree) -> list[str]:
  """Entries of `folder` that do not match `tree`, sorted.

  Returns:
    Paths relative to `folder`. Links and other entries that are not regular files are included,
    even if their names match.
  """
  found = _walk(folder, tree)
  return sorted(os.path.relpath(path, folder) for path, _, known in found if not known)


def check(folder: str, tree: Tree, remedy: str) -> None:
  """Checks that `folder` is a folder, not a link, and that all its entries match `tree`.

  Args:
    folder: the folder; it need not exist.
    tree: expected contents.
    remedy: the last sentence of the message: what the user can do.

  Raises:
    ForeignFilesError: `folder` is a link or a file, or has other entries; the message lists them.
  """
  if not os.path.lexists(folder):
    return
  check_no_link(folder, remedy)
  if not os.path.isdir(folder):
    raise ForeignFilesError(f"{folder} is not a folder and is not changed. {remedy}")
  others = foreign(folder, tree)
  if others:
    raise ForeignFilesError(
      f"{folder} contains {listed(others)}, which this program did not write: nothing was deleted. "
      f"{remedy}"
    )


def links(folder: str, tree: Tree) -> list[str]:
  """Paths of the symbolic links in `folder` that match `tree`; no link is followed."""
  if os.path.islink(folder) or not os.path.isdir(folder):
    return []
  found = []
  with os.scandir(folder) as entries:
    for entry in entries:
      if entry.is_symlink():
        if any(re.fullmatch(pattern, entry.name) for pattern in tree):
          found.append(entry.path)
      elif entry.is_dir():
        found += links(entry.path, _named(entry.name, tree, True)[1] or {})
  return sorted(found)


def check_no_links(folder: str, tree: Tree, remedy: str) -> None:
  """Checks that no link in `folder` matches `tree`: writing would follow it.

  Raises:
    ForeignFilesError: a link matches.
  """
  for path in links(folder, tree):
    check_no_link(path, remedy)


def check_no_link(path: str, remedy: str) -> None:
  """Checks that `path` is not a symbolic link, which may point to any file.

  Raises:
    ForeignFilesError: `path` is a symbolic link.
  """
  if os.path.islink(path):
    raise ForeignFilesError(
      f"{path} is a symbolic link to {os.readlink(path)!r} and is not changed. {remedy}"
    )


def delete(folder: str, tree: Tree, remedy: str) -> None:
  """Deletes a folder and its contents if all its entries match `tree`; see `check`.

  Raises:
    ForeignFilesError: see `check`; nothing was deleted.
  """
  check(folder, tree, remedy)
  if os.path.lexists(folder):
    empty(folder, tree)
    os.rmdir(folder)


def empty(folder: str, tree: Tree, last: Optional[str] = None) -> None:
  """Deletes only the entries of a folder that match `tree`.

  Args:
    folder: the folder.
    tree: the entries to delete.
    last: name of the file in `folder` to delete last.
  """
  entries = [(path, is_folder) for path, is_folder, known in _walk(folder, tree) if known]
  final = os.path.join(folder, last or "")
  # The contents of a folder follow the folder.
  for path, is_folder in reversed(entries):
    if is_folder:
      if not os.listdir(path):
        os.rmdir(path)
    elif path != final:
      os.remove(path)
  if last is not None and (final, False) in entries:
    os.remove(final)


def listed(names: Sequence[str]) -> str:
  """The first names, and the number of further ones."""
  text = ", ".join(map(repr, names[:_NUM_LISTED]))
  return text if len(names) <= _NUM_LISTED else f"{text} and {len(names) - _NUM_LISTED} more"


def _walk(folder: str, tree: Tree) -> Iterator[tuple[str, bool, bool]]:
  """Path of each entry, whether it is a folder, and whether it matches `tree`; outermost first."""
  with os.scandir(folder) as found:
    entries = sorted(found, key=lambda entry: entry.name)
  for entry in entries:
    is_folder = entry.is_dir(follow_symlinks=False)
    if is_folder:
      known, inner = _named(entry.name, tree, True)
    elif entry.is_file(follow_symlinks=False):
      temporary = _TEMPORARY.fullmatch(entry.name)
      known, inner = _named(entry.name, tree, False)
      if not known and temporary:
        known, inner = _named(temporary[1], tree, False)
    else:
      known, inner = False, None
    yield entry.path, is_folder, known
    if known and inner is not None:
      yield from _walk(entry.path, inner)


def _named(name: str, tree: Tree, is_folder: bool) -> tuple[bool, Optional[Tree]]:
  for pattern, inner in tree.items():
    if (inner is not None) == is_folder and re.fullmatch(pattern, name):
      return True, inner
  return False, None
