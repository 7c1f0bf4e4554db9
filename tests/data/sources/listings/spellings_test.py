"""Tests of finding files that lists spell differently."""

import os
import unicodedata

from absl.testing import absltest

from avssl_tf.data.sources import manifest
from avssl_tf.data.sources.listings.listing import ListError
from avssl_tf.data.sources.listings.spellings import Spellings
from tests.data.sources import source_case

_NFC = unicodedata.normalize("NFC", "Café Übung")
_NFD = unicodedata.normalize("NFD", "Café Übung")


class SpellingsTest(source_case.SourceCase):

  def found(self, name: str) -> str:
    path = Spellings().find(self.path(name))
    return os.path.relpath(path, self.folder)

  def test_accents(self):
    for on_disk, listed in ((_NFC, _NFD), (_NFD, _NFC)):
      self.make({}, [f"{on_disk}/{on_disk}.mp4"])
      self.assertEqual(self.found(f"{listed}/{listed}.mp4"), f"{on_disk}/{on_disk}.mp4")
      self.assertEqual(self.found(f"{listed}/{listed}.mkv"), f"{on_disk}/{on_disk}.mp4")
      os.remove(self.path(f"{on_disk}/{on_disk}.mp4"))
      os.rmdir(self.path(on_disk))

  def test_extensions(self):
    self.make({}, ["a.mp4.mkv", "b.MP4", "b.wav", "c.mp4", "c.mkv", "d.1.webm", "e.txt", "f.wav"])
    for listed, expected in {
      "a.mp4": "a.mp4.mkv",
      "a": "a.mp4.mkv",
      "b.mp4": "b.MP4",
      "b.flac": "b.wav",
      "b": "b",  # Two modalities.
      "c": "c",
      "c.webm": "c.webm",
      "c.mkv": "c.mkv",
      "d.1": "d.1.webm",
      "d.1.avi": "d.1.webm",
      "e": "e",
      "f.mp4": "f.mp4",
      "none/g.mp4": "none/g.mp4",
    }.items():
      with self.subTest(listed):
        self.assertEqual(self.found(listed), expected)

  def test_manifests(self):
    self.make({}, [f"v/{_NFD}.mp4", "v/plain.mkv"])
    for names in ((f"v/{_NFC}.mp4", "v/plain.mp4"), (f"v/{_NFC}", "v/plain")):
      content = "".join(f"{name},b\n" for name in names)
      self.make({"list.csv": f"path,label\n{content}"})
      listing = manifest.clips_of_manifest(self.path("list.csv"))
      paths = [os.path.relpath(r.path, self.folder) for r in listing.requests]
      self.assertEqual(paths, [f"v/{_NFD}.mp4", "v/plain.mkv"])
      self.assert_notes(listing, "2 files are spelled differently")

  def test_two_spellings_of_one_file_are_one_file(self):
    self.make({"list.csv": f"path\nv/{_NFC}.mp4\nv/{_NFD}.mp4\n"}, [f"v/{_NFD}.mp4"])
    with self.assertRaisesRegex(ListError, "row 3: duplicate of row 2"):
      manifest.clips_of_manifest(self.path("list.csv"))

  def test_names_that_are_no_text(self):
    name = os.fsdecode(b"caf\xe9.mp4")
    self.make({}, [name])
    with open(self.path("list.csv"), "wb") as f:
      f.write(b"path,label\r\ncaf\xe9.mp4,d\xe9j\xe0\r\n")
    listing = manifest.clips_of_manifest(self.path("list.csv"))
    self.assertEqual(listing.requests[0].path, self.path(name))

  def test_addresses_in_manifests(self):
    self.make({"list.csv": "path\na.mp4\ngs://bucket/b.mp4\n"}, ["a.mp4"])
    with self.assertRaisesRegex(ListError, "row 3: 'gs://bucket/b.mp4' is a URL.*local file"):
      manifest.clips_of_manifest(self.path("list.csv"))


if __name__ == "__main__":
  absltest.main()
