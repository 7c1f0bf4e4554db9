"""Paths of local files, interpreted literally.

Some functions of TensorFlow interpret paths as patterns (`*?[]` and the backslash) or reject names
that are not UTF-8; `for_tensorflow` returns an equivalent safe path. Addresses such as
`gs://bucket/data` are rejected: Python would create a local folder `gs:`.
"""

import os
import re
import unicodedata
from typing import Any, Optional

from absl import flags

from avssl_tf.errors import UserError

# In --help, the flags belong to the module that calls `define_flag`.
flags.disclaim_key_flags()

_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):(//)")
_PATTERN = re.compile(r"[*?\[\]{}\\]")
_ALIAS = re.compile(r"/proc/self/fd/(\d+)")
# Descriptors of folders by device and inode, kept open until the process ends.
_descriptors: dict[tuple[int, int], int] = {}
_folders: dict[int, str] = {}


class PathError(UserError):
  """A path cannot be used; the message states the reason and the remedy."""


def is_address(text: str) -> bool:
  """Whether a string is an address such as `gs://bucket/data` rather than a path.

  >>> is_address("gs://bucket/data"), is_address("data/12:30.mp4"), is_address("a:/b")
  (True, False, False)
  """
  return bool(_ADDRESS.match(text))


def check(path: str, name: str) -> str:
  """Checks that a path is a local path.

  Args:
    path: the path that the user specified.
    name: its name in the message, such as `--output_dir`.

  Returns:
    `path`.

  Raises:
    PathError: the path is an address or contains a NUL character.
  """
  why = _why_refused(path)
  if why:
    raise PathError(f"{name}={path}: {why}")
  return path


def check_values(name: str, value: Any) -> None:
  """Checks that no string in a setting, including nested containers, is an address.

  Raises:
    PathError: a string is an address; the message contains the name of the setting.
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
      "an address, not a local path. Expected a local file or folder, or one in a mounted file "
      "system (gcsfuse or s3fs, for example, mount buckets)."
    )
  if "\0" in path:
    return "the path contains a NUL character, which file names cannot contain."
  return ""


class _Parser(flags.ArgumentParser):
  """Parser of flags for paths of files or folders."""

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
  """Defines a flag for the path of a local file or folder; used for all such flags."""
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
  """Defines a repeatable flag for paths of local files or folders."""
  return flags.DEFINE_multi(
    _Parser(), flags.ArgumentSerializer(), name, default, help_text, flag_values=flag_values
  )


def for_tensorflow(path: str) -> str:
  """An equivalent of `path` that TensorFlow interprets literally.

  Args:
    path: an existing folder, or a path in an existing folder. In the latter case, its last
      component must not contain pattern characters or bytes that are not UTF-8.

  Returns:
    `path` if TensorFlow interprets it literally. Otherwise an equivalent path that uses a file
    descriptor of the folder and is valid only in this process.

  Raises:
    PathError: the last component contains pattern characters or bytes that are not UTF-8.
    OSError: the folder cannot be opened.
  """
  path = os.fspath(path)
  if not _is_taken_amiss(path):
    return path
  folder, name = (path, "") if os.path.isdir(path) else os.path.split(path)
  if _is_taken_amiss(name):
    raise PathError(
      f"{path}: TensorFlow would interpret the name {name!r} as a pattern or fail to read it. "
      "Rename it."
    )
  return os.path.join(_alias(folder or "."), name) if name else _alias(folder)


def pattern_note(path: str) -> str:
  """A note if other programs may interpret the name of a folder as a pattern, otherwise ""."""
  path = os.path.abspath(path)
  if not _is_taken_amiss(path):
    return ""
  return (
    f"Note: TensorFlow interprets {path!r} as a pattern or cannot read it. This program uses "
    "another path internally; rename or move the folder before other programs load it."
  )


def readable(message: str) -> str:
  """A message with the paths of `for_tensorflow` replaced by the original ones."""
  return _ALIAS.sub(lambda found: _folders.get(int(found[1]), found[0]), message)


def spelled_otherwise(path: str) -> Optional[str]:
  """An existing file or folder that differs from `path` only in the Unicode normalisation.

  An accented letter can be one character or two, and operating systems differ in this.

  Returns:
    Its path; None if there is none or several.
  """
  found = as_on_disk(path)
  return found if found != path and os.path.lexists(found) else None


def as_on_disk(path: str) -> str:
  """`path` in the Unicode normalisation of existing files; unchanged if it exists.

  For a file that does not exist yet, its folders are matched.
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
  """Names in a folder that equal `name` up to Unicode normalisation, sorted."""
  if name.isascii():
    return [name] if os.path.lexists(os.path.join(folder, name)) else []
  wanted = composed(name)
  try:
    return sorted(other for other in os.listdir(folder) if composed(other) == wanted)
  except OSError:
    return []


def composed(text: str) -> str:
  """Text in Unicode normalisation form C, for comparing names.

  >>> composed("e\\u0301") == "\\u00e9"
  True
  """
  return text if text.isascii() else unicodedata.normalize("NFC", text)


def has_bytes(path: str) -> bool:
  """Whether a name contains bytes that are not UTF-8, as decoded by `os.fsdecode`."""
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
      f"{folder}: TensorFlow would interpret this name as a pattern or fail to read it, and "
      "without /proc there is no alternative path. Rename the folder."
    )
  _folders[known] = folder
  return alias
