"""Deleting what this package wrote, and nothing else: known names only, and links never followed.

A tree of names says what a folder may hold: patterns of whole names, of which the first that fits
counts, with None for a file or the tree of a folder. Temporary files of `files.whole_file` are
known beside the file itself.
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
  """A folder holds something that this package did not write; nothing of it was deleted."""


def foreign(folder: str, tree: Tree) -> list[str]:
  """What `folder` holds that `tree` does not name, sorted.

  Returns:
    Paths relative to `folder`. What is named, but is a link or no regular file, is among them.
  """
  found = _walk(folder, tree)
  return sorted(os.path.relpath(path, folder) for path, _, known in found if not known)


def check(folder: str, tree: Tree, remedy: str) -> None:
  """Makes sure that `folder` is a folder, no link, and holds nothing but what `tree` names.

  Args:
    folder: the folder; one that is not there holds nothing.
    tree: what is known.
    remedy: what to do about other things, the last sentence of the message.

  Raises:
    ForeignFilesError: it holds other things; the message lists them.
  """
  if not os.path.lexists(folder):
    return
  check_no_link(folder, remedy)
  if not os.path.isdir(folder):
    raise ForeignFilesError(f"{folder} is no folder: it is left alone. {remedy}")
  others = foreign(folder, tree)
  if others:
    raise ForeignFilesError(
      f"{folder} holds {listed(others)}, which this program did not write: nothing there was "
      f"deleted. {remedy}"
    )


def links(folder: str, tree: Tree) -> list[str]:
  """Paths of the symbolic links in `folder` that have names of `tree`; no link is followed."""
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
  """Makes sure that no link in `folder` has a name of `tree`: writing would follow it.

  Raises:
    ForeignFilesError: one has.
  """
  for path in links(folder, tree):
    check_no_link(path, remedy)


def check_no_link(path: str, remedy: str) -> None:
  """Makes sure that `path` is no symbolic link: what it points to may be anybody's.

  Raises:
    ForeignFilesError: it is one.
  """
  if os.path.islink(path):
    raise ForeignFilesError(
      f"{path} is a symbolic link to {os.readlink(path)!r}: it is left alone. {remedy}"
    )


def delete(folder: str, tree: Tree, remedy: str) -> None:
  """Deletes a folder and all in it, if `check` finds nothing else there.

  Raises:
    ForeignFilesError: as `check`; nothing was deleted.
  """
  check(folder, tree, remedy)
  if os.path.lexists(folder):
    empty(folder, tree)
    os.rmdir(folder)


def empty(folder: str, tree: Tree, last: Optional[str] = None) -> None:
  """Deletes what `tree` names in a folder, and nothing else.

  Args:
    folder: the folder.
    tree: what is known.
    last: name of the file in `folder` that goes after all others.
  """
  entries = [(path, is_folder) for path, is_folder, known in _walk(folder, tree) if known]
  final = os.path.join(folder, last or "")
  # What is in a folder comes after it.
  for path, is_folder in reversed(entries):
    if is_folder:
      if not os.listdir(path):
        os.rmdir(path)
    elif path != final:
      os.remove(path)
  if last is not None and (final, False) in entries:
    os.remove(final)


def listed(names: Sequence[str]) -> str:
  """The first names, and how many there are beside them."""
  text = ", ".join(map(repr, names[:_NUM_LISTED]))
  return text if len(names) <= _NUM_LISTED else f"{text} and {len(names) - _NUM_LISTED} more"


def _walk(folder: str, tree: Tree) -> Iterator[tuple[str, bool, bool]]:
  """Path of each entry, whether it is a folder, and whether `tree` names it, outermost first."""
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
