"""Paths that users name: always of local files, and taken literally.

TensorFlow takes paths for patterns in places (`*?[]` and the backslash), and refuses names that are
no UTF-8; `for_tensorflow` gives it another name of the same file. Nothing here reads addresses such
as `gs://bucket/data`: Python would make a local folder called `gs:` of them.
"""

import os
import re
import unicodedata
from typing import Any, Optional

from absl import flags

from avssl_tf.errors import UserError

# Flags are those of the module that calls `define_flag`, for --help.
flags.disclaim_key_flags()

_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):(//)")
_PATTERN = re.compile(r"[*?\[\]{}\\]")
_ALIAS = re.compile(r"/proc/self/fd/(\d+)")
# Descriptors of folders by device and inode, kept open as long as the process runs.
_descriptors: dict[tuple[int, int], int] = {}
_folders: dict[int, str] = {}


class PathError(UserError):
  """A path that cannot be used; the message says why and what to do."""


def is_address(text: str) -> bool:
  """Whether a text is an address such as `gs://bucket/data` rather than a path.

  >>> is_address("gs://bucket/data"), is_address("data/12:30.mp4"), is_address("a:/b")
  (True, False, False)
  """
  return bool(_ADDRESS.match(text))


def check(path: str, name: str) -> str:
  """Makes sure that a path is no address.

  Args:
    path: what the user named.
    name: what the message calls it, such as `--output_dir`.

  Returns:
    `path`.

  Raises:
    PathError: it is an address.
  """
  why = _why_refused(path)
  if why:
    raise PathError(f"{name}={path}: {why}")
  return path


def check_values(name: str, value: Any) -> None:
  """Makes sure that no text in a setting is an address, however deep in containers.

  Raises:
    PathError: one is; the message names the setting.
  """
  if isinstance(value, str):
    check(value, name)
  elif isinstance(value, dict):
    for key, part in value.items():
      check_values(f"{name}[{key!r}]", part)
  elif isinstance(value, (list, tuple)):
    for part in value:
      check_values(name, part)


def _why_refused(path: str) -> str:
  if is_address(path):
    return (
      "an address, not a local path. Expected a local file or folder, or one of a file system that "
      "is mounted (for buckets, with gcsfuse or s3fs, for example)."
    )
  if "\0" in path:
    return "the path holds a NUL character, which no file name has."
  return ""


class _Parser(flags.ArgumentParser):
  """Reads a flag that names a file or folder."""

  syntactic_help = "a path"

  def parse(self, argument: str) -> str:
    why = _why_refused(argument)
    if why:
      raise UserError(why)
    return as_on_disk(argument)


def is_path_flag(flag: flags.Flag) -> bool:
  """Whether a flag was defined by `define_flag` or `define_multi_flag`."""
  return isinstance(flag.parser, _Parser)


def define_flag(
  name: str,
  default: Optional[str],
  help_text: str,
  flag_values: flags.FlagValues = flags.FLAGS,
  required: bool = False,
) -> flags.FlagHolder:
  """Defines a flag that names a local file or folder; every such flag of a command is one."""
  return flags.DEFINE(
    _Parser(),
    name,
    default,
    help_text,
    flag_values=flag_values,
    serializer=flags.ArgumentSerializer(),
    required=required,
  )


def define_multi_flag(
  name: str, default: Any, help_text: str, flag_values: flags.FlagValues = flags.FLAGS
) -> flags.FlagHolder:
  """Defines a repeatable flag that names local files or folders."""
  return flags.DEFINE_multi(
    _Parser(), flags.ArgumentSerializer(), name, default, help_text, flag_values=flag_values
  )


def for_tensorflow(path: str) -> str:
  """A name of `path` that TensorFlow takes literally.

  Args:
    path: a folder that exists, or anything in one; there, the last part of the name has to be
      plain.

  Returns:
    `path`, or where that holds characters of patterns or bytes that are no UTF-8, a name of the
    same by a descriptor of the folder, which is good in this process alone.

  Raises:
    PathError: the last part is not plain.
    OSError: the folder cannot be opened.
  """
  path = os.fspath(path)
  if not _is_taken_amiss(path):
    return path
  folder, name = (path, "") if os.path.isdir(path) else os.path.split(path)
  if _is_taken_amiss(name):
    raise PathError(
      f"{path}: TensorFlow would take the name {name!r} for a pattern, or not read it. Rename it."
    )
  return os.path.join(_alias(folder or "."), name) if name else _alias(folder)


def pattern_note(path: str) -> str:
  """What to know of a folder whose name other programs may take for a pattern; "" of others."""
  path = os.path.abspath(path)
  if not _is_taken_amiss(path):
    return ""
  return (
    f"Note: TensorFlow itself takes characters of {path!r} for a pattern, or cannot read them. "
    "This program names the folder otherwise; before other programs load it, rename or move it."
  )


def readable(message: str) -> str:
  """A message with the true names of folders in place of those by `for_tensorflow`."""
  return _ALIAS.sub(lambda found: _folders.get(int(found[1]), found[0]), message)


def spelled_otherwise(path: str) -> Optional[str]:
  """An existing file or folder whose name differs from `path` in how its accents are composed.

  A letter with an accent can be one character or two, and systems differ in which they write.

  Returns:
    Its path; None where there is none, or several.
  """
  found = as_on_disk(path)
  return found if found != path and os.path.lexists(found) else None


def as_on_disk(path: str) -> str:
  """`path` with accents composed as in the names of what there is; unchanged where it exists.

  Of a file that is yet to be written, the folders are looked for.
  """
  found, parts = path.rstrip(os.sep), []
  while found and not os.path.lexists(found):
    found, part = os.path.split(found)
    parts.append(part)
    found = found.rstrip(os.sep) or found
  changed = False
  while parts:
    part = parts.pop()
    alike = names_alike(part, found or ".")
    changed = changed or (len(alike) == 1 and alike[0] != part)
    found = os.path.join(found, alike[0] if len(alike) == 1 else part)
  return found if changed else path


def names_alike(name: str, folder: str) -> list[str]:
  """Names in a folder that are `name` but for how accents are composed, sorted."""
  if name.isascii():
    return [name] if os.path.lexists(os.path.join(folder, name)) else []
  wanted = composed(name)
  try:
    return sorted(other for other in os.listdir(folder) if composed(other) == wanted)
  except OSError:
    return []


def composed(text: str) -> str:
  """Text with its accents composed, to compare names by.

  >>> composed("e\\u0301") == "\\u00e9"
  True
  """
  return text if text.isascii() else unicodedata.normalize("NFC", text)


def has_bytes(path: str) -> bool:
  """Whether a name holds bytes that are no UTF-8, as `os.fsdecode` keeps them."""
  try:
    path.encode("utf-8")
  except UnicodeEncodeError:
    return True
  return False


def _is_taken_amiss(path: str) -> bool:
  return bool(_PATTERN.search(path)) or has_bytes(path)


def _alias(folder: str) -> str:
  descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
  found = os.fstat(descriptor)
  known = _descriptors.setdefault((found.st_dev, found.st_ino), descriptor)
  if known != descriptor:
    os.close(descriptor)
  alias = f"/proc/self/fd/{known}"
  if not os.path.isdir(alias):
    raise PathError(
      f"{folder}: TensorFlow would take this name for a pattern, or not read it, and without /proc "
      "there is no other way to name the folder. Rename it."
    )
  _folders[known] = folder
  return alias
