"""Names of splits and data sets, and slices of splits such as `train[:100]`."""

import re
from typing import Any, Optional

from avssl_tf.errors import UserError

_SPLIT_PATTERN = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<start>\d*):(?P<stop>\d*)\])?")


def check_name(name: str) -> None:
  """Makes sure that a split or subset of this name could be asked for.

  Raises:
    UserError: it could not.
  """
  match = _SPLIT_PATTERN.fullmatch(name)
  if match is None or match["name"] != name or not is_plain_name(name):
    raise UserError(
      f"A split or subset is called {name!r}; expected text without brackets and slashes."
    )


def is_plain_name(name: Any) -> bool:
  """Whether `name` is that of a file in a folder, which no path can lead out of."""
  return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & {"/", "\0"}


def parse_split(split: str) -> tuple[str, int, Optional[int]]:
  """Takes a split such as `"train"`, `"train[:3584]"` or `"train[3584:]"` apart.

  Returns:
    The name of the whole split or subset, the number of the first record and that after the
    last one (None: its end).

  Raises:
    UserError: `split` is not of this form.
  """
  match = _SPLIT_PATTERN.fullmatch(split)
  if match is None:
    raise UserError(
      f"Split {split!r} is not understood: expected a name, or a name and a range of records "
      'such as "train[:3584]" or "train[3584:]".'
    )
  stop = match["stop"]
  return match["name"], int(match["start"] or 0), int(stop) if stop else None
