"""What must be the same on all machines that work together: packages and files."""

import os
from collections.abc import Mapping, Sequence
from importlib import metadata

# They determine the bytes of outputs.
_PACKAGES = ("tensorflow", "numpy", "av", "opencv-python-headless")
_NUM_LISTED = 3


def facts(folder: str, shared: Sequence[str], inputs: Sequence[str]) -> dict[str, str]:
  """Versions of packages, and facts of files, as this process finds them.

  Args:
    folder: folder of relative paths.
    shared: files that all machines share: their size and time.
    inputs: files that may be copies: their size.

  Returns:
    Texts by package or path.
  """
  found = {}
  for name in _PACKAGES:
    try:
      found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
      found[name] = "not installed"
  for path in (*inputs, *shared):
    try:
      status = os.stat(os.path.join(folder, path))
    except OSError as error:
      found[path] = error.strerror
    else:
      found[path] = f"{status.st_size} bytes"
      if path in shared:
        found[path] += f", modified at {int(status.st_mtime)}"
  return found


def differences(machine: str, there: Mapping[str, str], here: Mapping[str, str]) -> str:
  """A message for the user if the facts of a machine differ from those of this one; or "".

  >>> message = differences("10.0.0.7", {"a.mp4": "No such file"}, {"a.mp4": "9 bytes"})
  >>> print(*message.split("\\n")[:2], sep="\\n")
  Machine 10.0.0.7 differs from this one in 1 file(s) or package(s):
    a.mp4: No such file (here: 9 bytes)
  """
  wrong = [fact for fact in here if there.get(fact) != here[fact]]
  if not wrong:
    return ""
  return "\n".join([
    f"Machine {machine} differs from this one in {len(wrong)} file(s) or package(s):",
    *(f"  {fact}: {there.get(fact)} (here: {here[fact]})" for fact in wrong[:_NUM_LISTED]),
    "All machines need the same packages, and the same files under the same paths: a file system "
    "that they share.",
  ])
