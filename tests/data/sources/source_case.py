"""Common code of the tests of published data sets: folders in their layouts."""

import os
import tempfile

from absl.testing import parameterized


def write_files(folder: str, files: dict[str, str]) -> None:
  """Writes text files by their names relative to `folder`, with forward slashes."""
  for name, content in files.items():
    path = os.path.join(folder, *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
      f.write(content)


class SourceCase(parameterized.TestCase):
  """Creates folders with empty media files: sources only read their names."""

  def setUp(self):
    super().setUp()
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.folder = temporary.name

  def make(self, lists: dict[str, str], media=()) -> str:
    """Writes lists and empty media files; returns the folder."""
    write_files(self.folder, {**lists, **dict.fromkeys(media, "")})
    return self.folder

  def path(self, name: str) -> str:
    """Path of a file of the folder."""
    return os.path.join(self.folder, *name.split("/"))

  def summary(self, listing) -> list[tuple]:
    """Split, name relative to the folder, span and labels of each request."""
    return [
      (
        r.split,
        os.path.relpath(r.path, self.folder).replace(os.sep, "/"),
        (r.start_sec, r.end_sec),
        r.labels,
      )
      for r in listing.requests
    ]

  def assert_notes(self, listing, *patterns: str) -> None:
    """Each note matches its pattern, and there are no others."""
    self.assertLen(listing.notes, len(patterns), listing.notes)
    for note, pattern in zip(listing.notes, patterns):
      self.assertRegex(note, pattern)
