"""Names of splits and data sets, and slices of splits such as `train[:100]`."""

import re
from typing import Any, Optional

from avssl_tf.errors import UserError

_SPLIT_PATTERN = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<start>\d*):(?P<stop>\d*)\])?")


def check_name(name: str) -> None:
  """Checks that a name can be used for a split or subset.

  Raises:
    UserError: the name contains brackets or slashes, or is empty.
  """
  match = _SPLIT_PATTERN.fullmatch(name)
  if match is None or match["name"] != name or not is_plain_name(name):
    raise UserError(
      f"Invalid split or subset name {name!r}; expected text without brackets and slashes."
    )


def is_plain_name(name: Any) -> bool:
  """Whether `name` is a file name without a folder, so that it cannot lead out of a folder."""
  return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & {"/", "\0"}


def parse_split(split: str) -> tuple[str, int, Optional[int]]:
  """Parses a split such as `"train"`, `"train[:3584]"` or `"train[3584:]"`.

  Returns:
    The name of the whole split or subset, the position of the first record, and the position after
    the last record (None: the end).

  Raises:
    UserError: `split` does not have this form.

  Examples:
    >>> parse_split("train[:3584]")
    ('train', 0, 3584)
  """
  match = _SPLIT_PATTERN.fullmatch(split)
  if match is None:
    raise UserError(
      f"Split {split!r} is not valid; expected a name, or a name and a range of records such as "
      '"train[:3584]" or "train[3584:]".'
    )
  stop = match["stop"]
  return match["name"], int(match["start"] or 0), int(stop) if stop else None
